import { Refusal } from "../../core/refusal.ts";
import type { Prover } from "../factor.ts";
import { type OtpChannel, otpChannels } from "./channels.ts";
import type { createOtp } from "./otp.ts";
import { toDelivery } from "./otp-messages.ts";
import { sessionOfChallenge } from "./otp-session.ts";

type Otp = Pick<ReturnType<typeof createOtp>, "settingsFor" | "proofOf" | "sendFor" | "findSent">;

const purposes = { LOG_IN: "log_in", STEP_UP: "step_up" } as const;

/** All of a prover but its case. */
const sentBy = (otp: Otp, channel: OtpChannel) =>
  ({
    type: channel.factorType,
    counter: "typed-code",
    signsAction: false,
    async proofOf(call, owner, code, asked) {
      const settings = await otp.settingsFor(owner, channel);
      if (settings instanceof Refusal) return settings;
      const typed = { channel, challengeId: asked.challengeId, code };
      return otp.proofOf(call, { owner, sessionId: sessionOfChallenge(asked) }, { typed, settings });
    },
    async prepare(call, owner, asked) {
      const { challengeId, factorId } = asked;
      const holder = { owner, sessionId: sessionOfChallenge(asked) };
      const send = await otp.sendFor(call, holder, {
        channel,
        challengeId,
        factorId,
        purpose: purposes[asked.purpose],
      });
      if (send instanceof Refusal) return send;
      return async (tx) => {
        const sent = await send(tx);
        if (sent instanceof Refusal) return sent;
        const value = toDelivery(sent);
        return { factorId: sent.address.factorId, preparation: { case: channel.name, value } };
      };
    },
    async deliveryOf(tx, owner, challengeId) {
      const sent = await otp.findSent(tx, owner, challengeId);
      return sent?.challenge.channel === channel.name ? toDelivery(sent) : undefined;
    },
  }) satisfies Omit<Prover<"smsCode">, "answers">;

/** How a code that came by text message answers a challenge. */
export const smsProver = (otp: Otp): Prover<"smsCode"> => ({ answers: "smsCode", ...sentBy(otp, otpChannels.sms) });

/** How a code that came by e-mail answers a challenge. */
export const emailProver = (otp: Otp): Prover<"emailCode"> => ({
  answers: "emailCode",
  ...sentBy(otp, otpChannels.email),
});

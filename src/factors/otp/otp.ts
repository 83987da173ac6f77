import { recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { outboxRepository } from "../../outbox/outbox.repository.ts";
import { type Proof, prove } from "../../protection/proof.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import { createAddressBook } from "./address-book.ts";
import type { ChannelName, OtpChannel } from "./channels.ts";
import type { OtpPurpose } from "./otp.table.ts";
import { type OtpAddressRow, otpAddressRepository } from "./otp-addresses.repository.ts";
import { type OtpChallengeRow, otpChallengeRepository } from "./otp-challenges.repository.ts";
import { createDispatch, type OtpOptions } from "./otp-dispatch.ts";
import { createOtpEnrollment } from "./otp-enrollment.ts";
import { createOtpJudge, type Holder, type Loaded, type Typed } from "./otp-judge.ts";
import { isForChallenge } from "./otp-session.ts";

export type { OtpOptions } from "./otp-dispatch.ts";

/** Codes by text message and e-mail: one mechanism, whose differences are the rows of `channels.ts`. */
export function createOtp(options: OtpOptions) {
  const { keyring, settingsOf, guardLast, carried, allowed: allowedIn } = options;
  const dispatch = createDispatch(options);
  const book = createAddressBook(options);
  const codes = createOtpJudge(keyring, dispatch);

  const settingsFor = async (owner: Owner, channel: OtpChannel): Promise<EffectiveSettings | Refusal> => {
    const settings = await settingsOf(owner.tenantId);
    if (channel.isOn(settings) && carried.has(channel.name)) return settings;
    const allowed = allowedIn(settings).filter((type) => type !== channel.factorType);
    return new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: allowed.join(",") } });
  };

  const enrollment = createOtpEnrollment({ book, dispatch, codes, spare: options.codes, settingsFor });

  /** The proof of a code that was sent for a log-in or a step-up. */
  const proofOf = (
    call: Call,
    holder: Holder,
    { typed, settings }: { typed: Typed; settings: EffectiveSettings },
  ): Proof<Loaded, OtpChallengeRow, { factorId: string }> => ({
    ...codes.counted(typed.channel),
    load: (tx) => codes.load(tx, holder, typed, ["log_in", "step_up"]),
    judge: (loaded) => codes.judge(loaded, holder, typed),
    failureOf: (tx, loaded, code) => codes.failureOf(tx, loaded, code, call.now),
    spend: async (tx, challenge) => {
      const { owner } = holder;
      await userRepository(tx).serialise(owner, call.now);
      const refused = await codes.refusalOf(tx, challenge, typed.channel, settings);
      if (refused) return refused;
      if (!(await codes.spend(tx, call, owner, challenge))) return undefined;
      const { factorId, purpose } = challenge;
      const address = await otpAddressRepository(tx).use({ ...owner, factorId }, call.now);
      if (!address) return undefined;
      const sending = { channel: typed.channel, purpose, address };
      await dispatch.limits.typedIn(tx, call, owner, { sending, settings });
      return { factorId };
    },
  });

  return {
    start: enrollment.start,
    finish: enrollment.finish,
    settingsFor,
    proofOf,
    book,

    /** What limits the notices to a user, by whichever way: asked for each in the unit that writes it. */
    async limitNotices(owner: Owner) {
      const settings = await settingsOf(owner.tenantId);
      return (tx: Tx, channel: ChannelName, now: Date) =>
        dispatch.limits.drawNotice(tx, owner, { channel, settings, now });
    },

    /** Sends a code to the number or address in force; with the id of a challenge, that one's anew. */
    async send(
      call: Call,
      holder: Holder,
      {
        channel,
        purpose,
        challengeId,
        locale,
      }: { channel: OtpChannel; purpose: OtpPurpose; challengeId: string; locale: string },
    ) {
      const { owner } = holder;
      const settings = await settingsFor(owner, channel);
      if (settings instanceof Refusal) return settings;
      const prepared = await dispatch.prepare(owner, { channel, locale, settings });
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        if (challengeId !== "") return dispatch.again(tx, call, holder, { channel, challengeId, prepared });
        const [address] = await otpAddressRepository(tx).listInUse({ ...owner, channel: channel.name }, call.now);
        if (address?.state !== "active") return new Refusal("NOT_ENROLLED");
        const challenge = await dispatch.begin(tx, call, holder, { channel, purpose, address, prepared });
        return challenge instanceof Refusal ? challenge : { address, challenge };
      });
    },

    /**
     * Sends a code for another's challenge, which has an id already: what is to be done outside of units now, the rest
     * in the unit of the function answered. An empty `factorId` takes whatever is in force.
     */
    async sendFor(
      call: Call,
      holder: Holder,
      {
        channel,
        factorId,
        ...terms
      }: { channel: OtpChannel; factorId: string; challengeId: string; purpose: OtpPurpose },
    ) {
      const { owner } = holder;
      const settings = await settingsFor(owner, channel);
      if (settings instanceof Refusal) return settings;
      const prepared = await dispatch.prepare(owner, { channel, locale: "", settings });
      return async (tx: Tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const [address] = await otpAddressRepository(tx).listActive({ ...owner, channel: channel.name });
        if (!address || ![address.factorId, ""].includes(factorId)) return new Refusal("NOT_ENROLLED");
        const challenge = await dispatch.adopt(tx, call, holder, { channel, address, prepared, ...terms });
        return challenge instanceof Refusal ? challenge : { address, challenge };
      };
    },

    /** The newest code of a challenge, and how far its message got; undefined when none was sent. */
    async findSent(tx: Tx, owner: Owner, challengeId: string) {
      const challenge = await otpChallengeRepository(tx).find({ ...owner, challengeId });
      const address = challenge && (await otpAddressRepository(tx).find({ ...owner, factorId: challenge.factorId }));
      if (!challenge || !address) return undefined;
      return { challenge, address, message: await outboxRepository(tx).find(owner, challenge.messageId) };
    },

    /** Whether the code was sent without a challenge, for this caller and under this id. */
    async isOwn(tx: Tx, owner: Owner, challengeId: string): Promise<boolean> {
      const sent = await otpChallengeRepository(tx).find({ ...owner, challengeId });
      return sent !== undefined && !isForChallenge(sent);
    },

    /** Spends a code that was sent for a log-in or a step-up. */
    async verify(call: Call, holder: Holder, typed: Typed) {
      const settings = await settingsFor(holder.owner, typed.channel);
      if (settings instanceof Refusal) return settings;
      return prove(call, holder.owner, proofOf(call, holder, { typed, settings }));
    },

    /** Switches the number or address on or off, and keeps it. What is so already is no change. */
    async setState(
      call: Call,
      owner: Owner,
      { channel, state, confirmed }: { channel: OtpChannel; state: "active" | "disabled"; confirmed: boolean },
    ): Promise<OtpAddressRow | Refusal> {
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const [addresses, of] = [otpAddressRepository(tx), { ...owner, channel: channel.name }];
        const changed = await addresses.setState(of, state, call.now);
        if (!changed) return (await addresses.listInUse(of, call.now))[0] ?? new Refusal("NOT_ENROLLED");
        const on = state === "active";
        if (!on && channel.counts) await guardLast(tx, call, owner, confirmed);
        await recordChange(tx, call, {
          owner,
          type: on ? "FACTOR_ENABLED" : "FACTOR_DISABLED",
          factorType: channel.factorType,
          action: `${channel.name}.${on ? "enabled" : "disabled"}`,
          targetId: changed.factorId,
        });
        return changed;
      });
    },
  };
}

import type { Owner } from "../../core/caller.ts";
import type { Tx } from "../../db/store.ts";
import type { Factor } from "../factor.ts";
import { type OtpChannel, otpChannels, TOLD_MS } from "./channels.ts";
import { otpAddressRepository } from "./otp-addresses.repository.ts";
import { otpChallengeRepository } from "./otp-challenges.repository.ts";

const states = { pending: "PENDING", active: "ACTIVE", disabled: "DISABLED" } as const;

/** A way of sending codes as the registry of factors sees it. */
const factorOf = (channel: OtpChannel): Factor => {
  const list = (tx: Tx, owner: Owner, now: Date) =>
    otpAddressRepository(tx).list({ ...owner, channel: channel.name }, now);
  return {
    type: channel.factorType,
    counts: channel.counts,
    restricted: channel.restricted,
    isEnrollable: channel.isOn,
    isEnrolled: async (tx, owner) =>
      (await otpAddressRepository(tx).listActive({ ...owner, channel: channel.name })).length > 0,
    list: async (tx, owner, now) =>
      (await list(tx, owner, now)).flatMap(({ factorId, state, masked, createTime, updateTime, lastUseTime }) =>
        state === "former"
          ? []
          : [
              {
                factorId,
                state: states[state],
                displayName: "",
                maskedTarget: masked,
                createTime,
                updateTime,
                lastUseTime,
              },
            ],
      ),
    async forget(tx, owner, now) {
      const of = { ...owner, channel: channel.name };
      const addresses = otpAddressRepository(tx);
      await otpChallengeRepository(tx).deleteOf(of);
      const pending = await addresses.deletePending(of);
      // The notice of the removal goes there too; then it is forgotten.
      const former = await addresses.retire(of, now, new Date(now.getTime() + TOLD_MS));
      return pending.length + former.length;
    },
  };
};

/** Codes by text message as the registry sees them. */
export const smsFactor = factorOf(otpChannels.sms);

/** Codes by e-mail as the registry sees them. */
export const emailFactor = factorOf(otpChannels.email);

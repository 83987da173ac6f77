import type { Owner, Tx } from "../../db/store.ts";
import type { Factor } from "../factor.ts";
import { type OtpChannel, type OtpFactorType, otpChannels, TOLD_MS } from "./channels.ts";
import { otpAddressRepository } from "./otp-addresses.repository.ts";
import { otpChallengeRepository } from "./otp-challenges.repository.ts";

const states = { pending: "PENDING", active: "ACTIVE", disabled: "DISABLED" } as const;

/** A way of sending codes as the registry of factors sees it. */
const factorOf = <T extends OtpFactorType>(channel: OtpChannel<T>): Factor<T> => {
  const list = (tx: Tx, owner: Owner, now: Date) =>
    otpAddressRepository(tx).list({ ...owner, channel: channel.name }, now);
  const retire = async (tx: Tx, owner: Owner, now: Date) => {
    const of = { ...owner, channel: channel.name };
    await otpChallengeRepository(tx).deleteOf(of);
    // The notice of the removal goes there too; then it is forgotten.
    const former = await otpAddressRepository(tx).retire(of, now, new Date(now.getTime() + TOLD_MS));
    return former.length;
  };
  return {
    type: channel.factorType,
    word: channel.word,
    receiptKind: channel.receiptKind,
    amr: { own: channel.method, of: () => [channel.method] },
    consumed: false,
    recovers: false,
    phishingResistant: false,
    canBeDeviceBound: false,
    channels: [channel.name],
    counts: channel.counts,
    restricted: channel.restricted,
    isOn: channel.isOn,
    isEnrollable: channel.isOn,
    isEnrolled: async (tx, owner) =>
      (await otpAddressRepository(tx).listActive({ ...owner, channel: channel.name })).length > 0,
    list: async (tx, owner, now) =>
      (await list(tx, owner, now)).flatMap((row) =>
        row.state === "former"
          ? []
          : [
              {
                factorId: row.factorId,
                state: states[row.state],
                displayName: "",
                maskedTarget: row.masked,
                createTime: row.createTime,
                updateTime: row.updateTime,
                lastUseTime: row.lastUseTime,
                refusedBy: (settings) => channel.refusedBy(row, settings),
              },
            ],
      ),
    listHoldings: async (tx, span) =>
      (await otpAddressRepository(tx).listHoldings(span, channel.name)).map((row) => ({
        userId: row.userId,
        refusedBy: (settings) => channel.refusedBy(row, settings),
      })),
    // A kind that users must be told of is to have another beside it.
    ...(channel.restricted && {
      recommend: ({ isOnly }) => (isOnly ? "REPLACE_SMS" : undefined),
      gapOf: ({ isOnly }) => (isOnly ? "SMS_ONLY" : undefined),
    }),
    async endPending(tx, owner) {
      const of = { ...owner, channel: channel.name };
      await otpAddressRepository(tx).deletePending(of);
      await otpChallengeRepository(tx).deleteOf(of);
    },
    async forget(tx, owner, now) {
      const pending = await otpAddressRepository(tx).deletePending({ ...owner, channel: channel.name });
      return pending.length + (await retire(tx, owner, now));
    },
    // There is one in use at most, and one that waits to take its place.
    async forgetOne(tx, owner, factorId, now) {
      const row = await otpAddressRepository(tx).find({ ...owner, factorId });
      if (row?.channel !== channel.name || row.state === "former") return 0;
      if (row.state !== "pending") return retire(tx, owner, now);
      return (await otpAddressRepository(tx).deletePending({ ...owner, channel: channel.name })).length;
    },
  };
};

/** Codes by text message as the registry sees them. */
export const smsFactor = factorOf(otpChannels.sms);

/** Codes by e-mail as the registry sees them. */
export const emailFactor = factorOf(otpChannels.email);

import { recordAudit } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { admitEnrollment, enroll } from "../../protection/enrollment.ts";
import { prove } from "../../protection/proof.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { CodesForEnrollment } from "../factor.ts";
import type { createAddressBook } from "./address-book.ts";
import { type OtpChannel, TOLD_MS } from "./channels.ts";
import { type OtpAddressRow, otpAddressRepository } from "./otp-addresses.repository.ts";
import type { createDispatch, PreparedCode } from "./otp-dispatch.ts";
import type { createOtpJudge, Holder, Loaded, Typed } from "./otp-judge.ts";

/** What enrollment shares with the other uses of codes. */
export interface OtpEnrollmentOptions {
  readonly book: ReturnType<typeof createAddressBook>;
  readonly dispatch: ReturnType<typeof createDispatch>;
  readonly codes: ReturnType<typeof createOtpJudge>;
  /** Backup codes, where the tenant has them made with a factor. */
  readonly spare: CodesForEnrollment;
  /** The tenant's settings, or why the channel is not to be used. */
  readonly settingsFor: (owner: Owner, channel: OtpChannel) => Promise<EffectiveSettings | Refusal>;
}

const PENDING_MS = 10 * 60 * 1000;

/** How numbers and addresses come into use: by a code that is sent to them and typed in. */
export function createOtpEnrollment({ book, dispatch, codes, spare, settingsFor }: OtpEnrollmentOptions) {
  /** Takes the older number or address out of force, and puts the pending one in its place. */
  const putInForce = async (
    tx: Tx,
    call: Call,
    { owner, channel, factorId }: { owner: Owner; channel: OtpChannel; factorId: string },
  ) => {
    const addresses = otpAddressRepository(tx);
    await addresses.retire({ ...owner, channel: channel.name }, call.now, new Date(call.now.getTime() + TOLD_MS));
    const address = await addresses.activate({ ...owner, channel: channel.name, factorId }, call.now);
    if (!address) throw new Refusal("ENROLLMENT_EXPIRED");
    return address;
  };

  /** Puts a new pending number or address in the place of an older pending one, with its code on the way. */
  const begin = async (
    tx: Tx,
    call: Call,
    holder: Holder,
    {
      channel,
      row,
      identity,
      prepared,
    }: { channel: OtpChannel; row: OtpAddressRow; identity: string; prepared: PreparedCode },
  ) => {
    const { owner } = holder;
    const addresses = otpAddressRepository(tx);
    const held = await addresses.listInUse({ ...owner, channel: channel.name }, call.now);
    // One that is disabled gives way to itself, proven anew: who has no active factor cannot enable it.
    const isInForce = held.some(
      ({ state, addressDigest }) => state === "active" && book.isAddress(addressDigest, owner, identity),
    );
    if (isInForce) return new Refusal("DUPLICATE");
    const challenge = await dispatch.begin(tx, call, holder, { channel, purpose: "enroll", address: row, prepared });
    if (challenge instanceof Refusal) return challenge;
    await addresses.deletePending({ ...owner, channel: channel.name });
    await addresses.insert(row);
    const action = `${channel.name}.enrollment_started`;
    await recordAudit(tx, call, { owner, action, targetId: row.factorId });
    return { address: row, challenge };
  };

  return {
    /** Sends a code to a new number or address, which stays pending until the code is typed in. */
    async start(
      call: Call,
      holder: Holder,
      { channel, typed, locale }: { channel: OtpChannel; typed: string; locale: string },
    ) {
      const { owner } = holder;
      const settings = await settingsFor(owner, channel);
      if (settings instanceof Refusal) return settings;
      const destination = channel.read(typed, settings);
      if (!destination) return new Refusal("DESTINATION_REFUSED");
      const factorId = newId();
      const row: OtpAddressRow = {
        ...owner,
        factorId,
        channel: channel.name,
        state: "pending",
        ...(await book.seal(owner, factorId, destination)),
        createTime: call.now,
        updateTime: call.now,
        verifyTime: null,
        lastUseTime: null,
        expireTime: new Date(call.now.getTime() + PENDING_MS),
      };
      const prepared = await dispatch.prepare(owner, { channel, locale, settings });
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        await admitEnrollment(tx, call, owner);
        return begin(tx, call, holder, { channel, row, identity: destination.identity, prepared });
      });
    },

    /** Puts the pending number or address in force if the code proves it; the older one is told. */
    async finish(call: Call, holder: Holder, typed: Typed) {
      const { owner } = holder;
      const { channel } = typed;
      const settings = await settingsFor(owner, channel);
      if (settings instanceof Refusal) return settings;
      return prove(call, owner, {
        ...codes.counted(channel),
        load: async (tx) => {
          const known = await otpAddressRepository(tx).list({ ...owner, channel: channel.name }, call.now);
          if (!known.some(({ state }) => state === "pending")) return new Refusal("ENROLLMENT_EXPIRED");
          return codes.load(tx, holder, typed, ["enroll"]);
        },
        judge: async (loaded: Loaded) => {
          const challenge = await codes.judge(loaded, holder, typed);
          const issue = challenge && channel.counts ? await spare.draw(call, owner, false) : undefined;
          return challenge && { challenge, issue };
        },
        failureOf: (tx, loaded, match) => codes.failureOf(tx, loaded, match?.challenge, call.now),
        spend: async (tx, { challenge, issue }) => {
          await userRepository(tx).serialise(owner, call.now);
          const refused = await codes.refusalOf(tx, challenge, channel, settings);
          if (refused) return refused;
          const enrolled = await enroll(tx, call, owner, {
            factorType: channel.factorType,
            action: `${channel.name}.enrolled`,
            counts: channel.counts,
            activate: async () => {
              if (!(await codes.spend(tx, call, owner, challenge))) return undefined;
              const address = await putInForce(tx, call, { owner, channel, factorId: challenge.factorId });
              // Before the audit entry, as where codes are sent: units that lock in different orders wait for each other.
              const sending = { channel, purpose: "enroll", address } as const;
              await dispatch.limits.typedIn(tx, call, owner, { sending, settings });
              return address;
            },
            idOf: (address) => address.factorId,
          });
          return enrolled && { address: enrolled, codes: await issue?.(tx, call) };
        },
      });
    },
  };
}

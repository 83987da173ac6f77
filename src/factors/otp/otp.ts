import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import type { Owner } from "../../core/caller.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Tx } from "../../db/store.ts";
import { outboxRepository } from "../../outbox/outbox.repository.ts";
import { wasLockedSince } from "../../protection/attempts.ts";
import { admitEnrolment, enrol } from "../../protection/enrolment.ts";
import { type Failure, type Proof, prove } from "../../protection/proof.ts";
import type { Settings } from "../../tenants/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import { createAddressBook } from "./address-book.ts";
import { type ChannelName, type OtpChannel, TOLD_MS } from "./channels.ts";
import type { OtpPurpose } from "./otp.table.ts";
import { type OtpAddressRow, otpAddressRepository } from "./otp-addresses.repository.ts";
import { type OtpChallengeRow, otpChallengeRepository } from "./otp-challenges.repository.ts";
import { createDispatch, type OtpOptions, type Prepared } from "./otp-dispatch.ts";

export type { OtpOptions } from "./otp-dispatch.ts";

/** Whose codes they are, and of which session: a code is good in its own only. */
export interface Holder {
  readonly owner: Owner;
  readonly sessionId: string;
}

/** A code as somebody typed it in. */
export interface Typed {
  readonly channel: OtpChannel;
  readonly challengeId: string;
  readonly code: string;
}

const PENDING_MS = 10 * 60 * 1000;

/** The challenge that a code is typed for, or that it is one for something else. */
type Loaded = { readonly challenge: OtpChallengeRow | undefined; readonly isForeign: boolean };

const actionOf = (channel: ChannelName, verb: string) => `${channel}.${verb}`;

/** Codes by text message and e-mail: one mechanism, whose differences are the rows of `channels.ts`. */
export function createOtp(options: OtpOptions) {
  const { keyring, settingsOf, guardLast, carried, allowed: allowedIn } = options;
  const dispatch = createDispatch(options);
  const book = createAddressBook(options);

  const settingsFor = async (owner: Owner, channel: OtpChannel): Promise<Settings | Refusal> => {
    const settings = await settingsOf(owner.tenantId);
    if (channel.isOn(settings) && carried.has(channel.name)) return settings;
    const allowed = allowedIn(settings).filter((type) => type !== channel.factorType);
    return new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: allowed.join(",") } });
  };

  /** What decides about a typed code, outside of any unit. Takes as long for a challenge that does not exist. */
  const isRight = (challenge: OtpChallengeRow | undefined, { owner, sessionId }: Holder, typed: Typed): boolean => {
    const purpose = challenge?.purpose ?? "log_in";
    const parts = dispatch.partsOf({ owner, sessionId, challengeId: typed.challengeId, purpose, code: typed.code });
    const digest = challenge?.codeDigest ?? keyring.digest(...dispatch.decoy);
    return keyring.matches(digest, ...parts) && challenge !== undefined;
  };

  /** The challenge that is typed for, if it is of this channel and purpose. */
  const findTyped = async (
    tx: Tx,
    { owner }: Holder,
    typed: Typed,
    purposes: readonly OtpPurpose[],
  ): Promise<Loaded> => {
    const found = await otpChallengeRepository(tx).find({ ...owner, challengeId: typed.challengeId });
    const isTyped = found?.channel === typed.channel.name && purposes.includes(found.purpose);
    return { challenge: isTyped ? found : undefined, isForeign: found !== undefined && !isTyped };
  };

  /** What is known of a code that was refused: of a right one, what its challenge died of. */
  const failureOf = async (
    tx: Tx,
    { isForeign }: Loaded,
    code: OtpChallengeRow | undefined,
    now: Date,
  ): Promise<Failure | undefined> => {
    if (!code) return isForeign ? "WRONG_CHALLENGE" : undefined;
    if (code.spendTime) return "REPLAYED";
    if (code.expireTime <= now) return "EXPIRED";
    const { tenantId, userId, channel, factorId, purpose } = code;
    const owner = { tenantId, userId };
    if (await wasLockedSince(tx, owner, code.codeTime)) return "LOCKED";
    if (purpose === "enroll") return undefined;
    const active = await otpAddressRepository(tx).listActive({ ...owner, channel });
    return active.some((address) => address.factorId === factorId) ? undefined : "DISABLED_FACTOR";
  };

  const counted = ({ factorType }: OtpChannel) => ({ factorType, counter: "typed-code" }) as const;

  const judge = async ({ challenge }: Loaded, holder: Holder, typed: Typed) =>
    isRight(challenge, holder, typed) ? challenge : undefined;

  /** The proof of a code that was sent for a log-in or a step-up. */
  const proofOf = (
    call: Call,
    holder: Holder,
    { typed, settings }: { typed: Typed; settings: Settings },
  ): Proof<Loaded, OtpChallengeRow, { factorId: string }> => ({
    ...counted(typed.channel),
    load: (tx) => findTyped(tx, holder, typed, ["log_in", "step_up"]),
    judge: (loaded) => judge(loaded, holder, typed),
    failureOf: (tx, loaded, code) => failureOf(tx, loaded, code, call.now),
    spend: async (tx, { challengeId, codeDigest, codeTime, factorId, purpose }) => {
      const { owner } = holder;
      await userRepository(tx).serialise(owner, call.now);
      if (await wasLockedSince(tx, owner, codeTime)) return undefined;
      if (!(await otpChallengeRepository(tx).spend({ ...owner, challengeId, codeDigest }, call.now))) return undefined;
      const address = await otpAddressRepository(tx).use({ ...owner, factorId }, call.now);
      if (!address) return undefined;
      const sending = { channel: typed.channel, purpose, address };
      await dispatch.limits.typedIn(tx, call, owner, { sending, settings });
      return { factorId };
    },
  });

  /** Takes the older number or address out of force, and puts the pending one in its place. */
  const putInForce = async (
    tx: Tx,
    call: Call,
    { owner, channel, factorId }: { owner: Owner; channel: OtpChannel; factorId: string },
  ) => {
    const addresses = otpAddressRepository(tx);
    await addresses.retire({ ...owner, channel: channel.name }, call.now, new Date(call.now.getTime() + TOLD_MS));
    const address = await addresses.activate({ ...owner, factorId }, call.now);
    if (!address) throw new Refusal("ENROLLMENT_EXPIRED");
    return address;
  };

  const inUse = async (tx: Tx, owner: Owner, { channel, now }: { channel: OtpChannel; now: Date }) =>
    (await otpAddressRepository(tx).list({ ...owner, channel: channel.name }, now)).filter(
      ({ state }) => state !== "pending",
    );

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
    }: { channel: OtpChannel; row: OtpAddressRow; identity: string; prepared: Prepared },
  ) => {
    const { owner } = holder;
    const addresses = otpAddressRepository(tx);
    const held = await inUse(tx, owner, { channel, now: call.now });
    if (held.some(({ addressDigest }) => book.isAddress(addressDigest, owner, identity)))
      return new Refusal("DUPLICATE");
    const challenge = await dispatch.begin(tx, call, holder, { channel, purpose: "enroll", address: row, prepared });
    if (challenge instanceof Refusal) return challenge;
    await addresses.deletePending({ ...owner, channel: channel.name });
    await addresses.insert(row);
    const action = actionOf(channel.name, "enrollment_started");
    await recordAudit(tx, call, { owner, action, targetId: row.factorId });
    return { address: row, challenge };
  };

  return {
    settingsFor,
    proofOf,
    book,

    /** What limits the notices to a user, by whichever way: asked for each in the unit that writes it. */
    async limitNotices(owner: Owner) {
      const settings = await settingsOf(owner.tenantId);
      return (tx: Tx, channel: ChannelName, now: Date) =>
        dispatch.limits.drawNotice(tx, owner, { channel, settings, now });
    },

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
        await admitEnrolment(tx, call, owner);
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
        ...counted(channel),
        load: async (tx) => {
          const known = await otpAddressRepository(tx).list({ ...owner, channel: channel.name }, call.now);
          if (!known.some(({ state }) => state === "pending")) return new Refusal("ENROLLMENT_EXPIRED");
          return findTyped(tx, holder, typed, ["enroll"]);
        },
        judge: (loaded: Loaded) => judge(loaded, holder, typed),
        failureOf: (tx, loaded, code) => failureOf(tx, loaded, code, call.now),
        spend: async (tx, { challengeId, codeDigest, codeTime, factorId }) => {
          return enrol(tx, call, owner, {
            factorType: channel.factorType,
            action: actionOf(channel.name, "enrolled"),
            counts: channel.counts,
            activate: async () => {
              if (await wasLockedSince(tx, owner, codeTime)) return undefined;
              const spent = await otpChallengeRepository(tx).spend({ ...owner, challengeId, codeDigest }, call.now);
              if (!spent) return undefined;
              const address = await putInForce(tx, call, { owner, channel, factorId });
              // Before the audit entry, as where codes are sent: units that lock in different orders wait for each other.
              const sending = { channel, purpose: "enroll", address } as const;
              await dispatch.limits.typedIn(tx, call, owner, { sending, settings });
              return address;
            },
            idOf: (address) => address.factorId,
          });
        },
      });
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
        const [address] = await inUse(tx, owner, { channel, now: call.now });
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
        const changed = await otpAddressRepository(tx).setState({ ...owner, channel: channel.name }, state, call.now);
        if (!changed) return (await inUse(tx, owner, { channel, now: call.now }))[0] ?? new Refusal("NOT_ENROLLED");
        const on = state === "active";
        if (!on && channel.counts) await guardLast(tx, owner, confirmed, call.now);
        await recordChange(tx, call, {
          owner,
          type: on ? "FACTOR_ENABLED" : "FACTOR_DISABLED",
          factorType: channel.factorType,
          action: actionOf(channel.name, on ? "enabled" : "disabled"),
          targetId: changed.factorId,
        });
        return changed;
      });
    },
  };
}

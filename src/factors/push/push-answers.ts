import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { enqueueNotice } from "../../events/notices.ts";
import { lockAtOnce } from "../../protection/attempts.ts";
import { prove } from "../../protection/proof.ts";
import { userRepository } from "../../users/users.repository.ts";
import { isSigned, pairedKey } from "./device-key.ts";
import { type PushChallengeRow, type PushKey, pushChallengeRepository } from "./push-challenges.repository.ts";
import { type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";
import { coolDownEnd, LOOK_BACK_MS } from "./push-limits.ts";
import { numberParts, type RequestOptions } from "./push-requests.ts";
import { hasPaired } from "./push-session.ts";
import { pushStateOf, undecidable } from "./push-standing.ts";
import { approvalParts, denialParts } from "./signed-parts.ts";

/** Why a user denied a request. */
export type DenyReason = "NOT_ME" | "MISTAKE" | "OTHER";

/** How long an approval waits to be redeemed. */
const APPROVED_MS = 5 * 60_000;
/** How long after a request its user can still say that it was not theirs: phones are out of reach for a while. */
const REPORTABLE_MS = 60 * 60_000;
/** How long codes are locked when their user says that somebody else is at it. */
const REPORTED_LOCK_MS = 60 * 60_000;

/** What phones answer. */
export function createAnswers({
  keyring,
  settingsOf,
  challenges,
}: Pick<RequestOptions, "keyring" | "settingsOf" | "challenges">) {
  /** The request, and the device that answers it; throws NOT_FOUND where it was not asked. */
  const find = async (tx: Tx, call: Call, key: PushKey) => {
    const { tenantId, userId } = key;
    const device = await pushDeviceRepository(tx).findActive(call.caller.deviceId ?? "");
    const row = await pushChallengeRepository(tx).find(key);
    const isOwners = device?.tenantId === tenantId && device.userId === userId;
    if (!isOwners || !row || (row.deviceId !== "" && row.deviceId !== device.deviceId)) throw new Refusal("NOT_FOUND");
    return { row, device };
  };

  /** Undefined while the request can be answered. */
  const stopped = async (tx: Tx, row: PushChallengeRow, now: Date): Promise<Refusal | undefined> => {
    const state = await pushStateOf(tx, row, challenges, now);
    return state === "pending" ? undefined : undecidable(state);
  };

  /**
   * As `stopped`, for denials: what another factor has proved meanwhile can still be stopped, and what the phone was asked
   * for again since. Whoever asks again before an answer would else never be denied.
   */
  const undeniable = async (tx: Tx, row: PushChallengeRow, now: Date): Promise<Refusal | undefined> => {
    const owner = { tenantId: row.tenantId, userId: row.userId };
    const behind = await challenges.stateOf(tx, owner, row.challengeId, now);
    const isOpen = behind === "PENDING" || behind === "PROVEN";
    const isUnanswered = row.state === "pending" || row.state === "cancelled";
    return isOpen && isUnanswered && row.expireTime > now ? undefined : stopped(tx, row, now);
  };

  const signedBy = (device: PushDeviceRow, parts: Buffer, signature: Uint8Array) => {
    const key = pairedKey(keyring, device);
    return key !== undefined && isSigned(key, parts, signature);
  };

  const decision = (row: PushChallengeRow, device: PushDeviceRow, now: Date) => ({
    ...{ tenantId: row.tenantId, userId: row.userId, pushId: row.pushId, now },
    decidedDeviceId: device.deviceId,
    answerMs: Math.max(0, Math.min(now.getTime() - row.createTime.getTime(), 2 ** 31 - 1)),
  });

  /** Ends a request after too many wrong numbers. */
  const countWrong = (call: Call, key: PushKey) =>
    call.unit(async (tx) => {
      const { tenantId, userId } = key;
      await userRepository(tx).serialise({ tenantId, userId }, call.now);
      await pushChallengeRepository(tx).noteWrong(key, call.now);
      const failed = await pushChallengeRepository(tx).fail(key, call.now);
      if (!failed) return;
      const outcome = { challengeId: failed.challengeId, type: "PUSH", now: call.now } as const;
      await challenges.fail(tx, { tenantId, userId }, outcome);
    });

  /** Locks the user's codes, where they report that somebody else is at it. */
  const lockReported = async (tx: Tx, call: Call, owner: Owner) => {
    const until = new Date(call.now.getTime() + REPORTED_LOCK_MS);
    await lockAtOnce(tx, { ...owner, counter: "typed-code" }, until, call.now);
    await recordEvent(tx, call, { owner, type: "USER_LOCKED" });
  };

  /** A word to the user after the second denial. */
  const warn = async (tx: Tx, call: Call, owner: Owner) => {
    const rows = await pushChallengeRepository(tx).listSince(owner, new Date(call.now.getTime() - LOOK_BACK_MS));
    if (coolDownEnd(rows, call.now) === undefined) return;
    await enqueueNotice(tx, call, { owner, type: "PUSH_DENIED_TWICE", factorType: "PUSH" });
  };

  /** A report that comes too late to deny anything: somebody has the first factor all the same. Answers as before. */
  const reportLate = (
    call: Call,
    key: PushKey,
    { row, device, over, locks }: { row: PushChallengeRow; device: PushDeviceRow; over: Refusal; locks: boolean },
  ) =>
    call.unit(async (tx) => {
      const owner = { tenantId: key.tenantId, userId: key.userId };
      await userRepository(tx).serialise(owner, call.now);
      if (!(await pushDeviceRepository(tx).use({ ...owner, deviceId: device.deviceId }, call.now))) {
        throw new Refusal("NOT_FOUND");
      }
      const since = new Date(call.now.getTime() - REPORTABLE_MS);
      if (!(await pushChallengeRepository(tx).report(key, { now: call.now, since }))) throw over;
      const by = { factorType: "PUSH", factorId: device.deviceId, challengeId: row.challengeId } as const;
      await recordEvent(tx, call, { owner, type: "PUSH_REPORTED", ...by });
      if (locks) await lockReported(tx, call, owner);
      return over;
    });

  return {
    /** Approves by the number that was typed and the device's signature over it; proves the challenge behind it. */
    async approve(call: Call, key: PushKey, { number, signature }: { number: string; signature: Uint8Array }) {
      const { tenantId, userId } = key;
      const owner = { tenantId, userId };
      const { push } = await settingsOf(tenantId);
      if (!push.enabled) return new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
      const seen = await call.unit((tx) => find(tx, call, key));
      // Asked for when fewer digits would do.
      if (push.numberDigits > seen.row.numberLength) return undecidable("expired");
      if (hasPaired(seen.row.sessionDigest, seen.device)) return new Refusal("SELF_ACTION");
      // Before anything is counted: a signature is no guess, and without one the number is nobody's.
      if (!signedBy(seen.device, approvalParts(seen.row, number), signature)) return new Refusal("SIGNATURE_REJECTED");
      const outcome = await prove(call, owner, {
        factorType: "PUSH",
        counter: "typed-code",
        challengeId: seen.row.challengeId,
        load: async (tx) => {
          const refused = await stopped(tx, seen.row, call.now);
          if (refused) return refused;
          const row = await pushChallengeRepository(tx).attempt(key, call.now);
          return row ?? undecidable((await pushChallengeRepository(tx).find(key))?.state ?? "expired");
        },
        judge: async (row: PushChallengeRow) =>
          row.numberDigest && keyring.matches(row.numberDigest, ...numberParts(owner, row.pushId, number))
            ? row
            : undefined,
        spend: async (tx, row) => {
          await userRepository(tx).serialise(owner, call.now);
          const device = await pushDeviceRepository(tx).use({ ...owner, deviceId: seen.device.deviceId }, call.now);
          if (!device) return new Refusal("NOT_FOUND");
          const current = (await pushChallengeRepository(tx).find(key)) ?? row;
          const refused = await stopped(tx, current, call.now);
          if (refused) throw refused;
          const expireTime = new Date(call.now.getTime() + APPROVED_MS);
          const approved = await pushChallengeRepository(tx).approve({
            ...decision(row, device, call.now),
            expireTime,
          });
          if (!approved) throw undecidable("expired");
          await challenges.prove(tx, call, owner, {
            ...{ challengeId: row.challengeId, type: "PUSH", factorId: device.deviceId },
            ...{ signedAction: row.actionDigest !== null, numberLength: row.numberLength },
          });
          return { decideTime: call.now };
        },
      });
      if (outcome instanceof Refusal && outcome.reason === "CODE_REJECTED") await countWrong(call, key);
      return outcome;
    },

    /** Denies by the device's signature. Final: the challenge behind it ends in the same unit. */
    async deny(call: Call, key: PushKey, { reason, signature }: { reason: DenyReason; signature: Uint8Array }) {
      const { tenantId, userId } = key;
      const owner = { tenantId, userId };
      const { push } = await settingsOf(tenantId);
      const seen = await call.unit(async (tx) => {
        const found = await find(tx, call, key);
        return { ...found, over: await undeniable(tx, found.row, call.now) };
      });
      if (!signedBy(seen.device, denialParts(seen.row, reason), signature)) return new Refusal("SIGNATURE_REJECTED");
      // Asked again under the lock; of many at once, most need not wait for that.
      const { over } = seen;
      if (over && reason === "NOT_ME" && seen.row.denyReason === "") {
        return reportLate(call, key, { ...seen, over, locks: push.lockWhenReported });
      }
      if (over) return over;
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const device = await pushDeviceRepository(tx).use({ ...owner, deviceId: seen.device.deviceId }, call.now);
        if (!device) throw new Refusal("NOT_FOUND");
        const row = (await pushChallengeRepository(tx).find(key)) ?? seen.row;
        const refused = await undeniable(tx, row, call.now);
        if (refused) throw refused;
        const denied = await pushChallengeRepository(tx).deny({
          ...decision(row, device, call.now),
          denyReason: reason,
        });
        if (!denied) throw undecidable("expired");
        await challenges.deny(tx, call, owner, row.challengeId);
        const type = reason === "NOT_ME" ? "PUSH_REPORTED" : "PUSH_DENIED";
        const by = { factorType: "PUSH", factorId: device.deviceId, challengeId: row.challengeId } as const;
        await recordEvent(tx, call, { owner, type, ...by });
        await warn(tx, call, owner);
        if (reason === "NOT_ME" && push.lockWhenReported) await lockReported(tx, call, owner);
        return { decideTime: call.now };
      });
    },
  };
}

import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { bearerId, randomSecret } from "../../crypto/random.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { enqueue } from "../../outbox/outbox.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { ChallengeOutcomes, PreparedFactor, RequiredProof } from "../factor.ts";
import type { PushWays } from "./push-address.ts";
import { type PushChallengeRow, pushChallengeRepository } from "./push-challenges.repository.ts";
import { contextOf } from "./push-context.ts";
import { type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";
import { LIFETIME_MS, LOOK_BACK_MS, notBefore } from "./push-limits.ts";
import { toPrompt } from "./push-messages.ts";
import { newNumber } from "./push-number.ts";
import { askingSession, hasPaired, requesterOf } from "./push-session.ts";
import { pushStateOf } from "./push-standing.ts";
import { pushStatisticsRepository } from "./push-statistics.repository.ts";

/** Dependencies of asking a phone. */
export interface RequestOptions {
  readonly keyring: Keyring;
  readonly settingsOf: SettingsOf;
  readonly challenges: ChallengeOutcomes;
  readonly ways: PushWays;
  /** Where an address is, for people; empty where it is not known. */
  readonly locate: (ip: string) => string;
}

const PURPOSE = "push-number/v1";

/** What a number is bound to. */
export const numberParts = (owner: Owner, pushId: string, number: string) =>
  [PURPOSE, owner.tenantId, owner.userId, pushId, number] as const;

/** The backend or the hosted prompt that calls; empty for users. */
const backendOf = ({ caller }: Call): string => requesterOf(caller);

/** How phones are asked. */
export function createRequests({ keyring, settingsOf, challenges, ways, locate }: RequestOptions) {
  /** The devices to ask: never one that the asking session paired itself. */
  const devicesFor = async (
    tx: Tx,
    owner: Owner,
    { factorId, session }: { factorId: string; session: Buffer | null },
  ) =>
    (await pushDeviceRepository(tx).listActive(owner))
      .filter(({ deviceId }) => factorId === "" || deviceId === factorId)
      .filter((device) => !hasPaired(session, device));

  /**
   * Refuses what would be bombing, and counts it. A backend's own request that still waits gives way to its next one:
   * whoever asked for it may be gone, and it counts towards the limits all the same.
   */
  const limit = async (tx: Tx, call: Call, owner: Owner, challengeId: string) => {
    const requests = pushChallengeRepository(tx);
    const rows = await requests.listSince(owner, new Date(call.now.getTime() - LOOK_BACK_MS));
    let waiting: PushChallengeRow | undefined;
    const own: PushChallengeRow[] = [];
    for (const row of rows.filter((one) => one.state === "pending" && one.challengeId !== challengeId)) {
      if ((await pushStateOf(tx, row, challenges, call.now)) !== "pending") continue;
      if (row.createdBy !== "" && row.createdBy === backendOf(call)) own.push(row);
      else waiting = row;
    }
    const end = notBefore(rows, waiting, call.now);
    if (end === undefined) {
      for (const row of own) await requests.cancel(owner, row.challengeId, call.now);
      return undefined;
    }
    const blocked = await pushStatisticsRepository(tx).block(owner, call.now);
    // Once an hour: who bombs must not write without end.
    if (blocked === 1) await recordEvent(tx, call, { owner, type: "SEND_REFUSED", factorType: "PUSH" });
    return new Refusal("RATE_LIMITED", { retryAfterMs: end - call.now.getTime() });
  };

  /** Tells a device that something waits, by its id alone: what it is, the device asks for under its signature. */
  const tell = async (tx: Tx, row: PushChallengeRow, { deviceId, channel, channelGone }: PushDeviceRow) => {
    if (channel === "poll" || channelGone || !ways.carried.has(channel)) return;
    await enqueue(tx, row.createTime, {
      owner: { tenantId: row.tenantId, userId: row.userId },
      channel,
      kind: "push_challenge",
      data: { deviceId, pushChallengeId: row.pushId },
      expireTime: row.expireTime,
      idempotencyKey: `push.${row.pushId}.${deviceId}`,
    });
  };

  return {
    /** Readies a request for a generic challenge; what it answers makes it, in the unit that writes the challenge. */
    async prepare(call: Call, owner: Owner, asked: RequiredProof & { readonly factorId: string }) {
      const { push, totp } = await settingsOf(owner.tenantId);
      const numberLength = push.numberDigits === 6 ? 6 : 2;
      const number = newNumber(numberLength);
      const session = askingSession(asked.session, call.caller);
      const { factorId, challengeId, actionDigest, renderedAction } = asked;
      const freshId = bearerId();
      return async (tx: Tx): Promise<PreparedFactor | Refusal> => {
        await userRepository(tx).serialise(owner, call.now);
        const devices = await devicesFor(tx, owner, { factorId, session });
        if (devices.length === 0) return new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
        const limited = await limit(tx, call, owner, challengeId);
        if (limited) return limited;
        const requests = pushChallengeRepository(tx);
        await requests.cancel(owner, challengeId, call.now);
        // The first has the id of its challenge, so that a challenge of its own is one thing under one id.
        const pushId = (await requests.find({ ...owner, pushId: challengeId })) ? freshId : challengeId;
        const row: PushChallengeRow = {
          ...{ ...owner, pushId, challengeId, actionDigest, numberLength },
          rowId: newId(),
          deviceId: factorId,
          createdBy: backendOf(call),
          sessionDigest: session,
          state: "pending",
          nonce: randomSecret(16),
          numberDigest: keyring.digest(...numberParts(owner, pushId, number)),
          context: contextOf(call.client, { renderedAction, service: totp.issuer, location: locate(call.client.ip) }),
          attempts: 0,
          wrongNumbers: 0,
          denyReason: "",
          decidedDeviceId: "",
          createTime: call.now,
          expireTime: new Date(call.now.getTime() + LIFETIME_MS),
          decideTime: null,
          answerMs: null,
          updateTime: call.now,
        };
        await requests.insert(row);
        for (const device of devices) await tell(tx, row, device);
        return { factorId, preparation: { case: "push", value: toPrompt(row, number, devices) } };
      };
    },
  };
}

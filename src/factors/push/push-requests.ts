import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Call } from "../../core/call.ts";
import type { Owner } from "../../core/caller.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { bearerId, randomSecret } from "../../crypto/random.ts";
import type { Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { enqueue } from "../../outbox/outbox.ts";
import type { SettingsOf } from "../../tenants/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { Asked, ChallengeOutcomes, Prepared } from "../factor.ts";
import type { PushWays } from "./push-address.ts";
import { type PushChallengeRow, pushChallengeRepository } from "./push-challenges.repository.ts";
import { contextOf } from "./push-context.ts";
import { type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";
import { LIFETIME_MS, LOOK_BACK_MS, notBefore } from "./push-limits.ts";
import { toPrompt } from "./push-messages.ts";
import { newNumber } from "./push-number.ts";
import { askingSession, hasPaired } from "./push-session.ts";
import { standingOf } from "./push-standing.ts";
import { pushStatisticsRepository } from "./push-statistics.repository.ts";

/** What asking a phone needs of the process. */
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

  /** Refuses what would be bombing, and counts it. */
  const limit = async (tx: Tx, call: Call, owner: Owner, challengeId: string) => {
    const rows = await pushChallengeRepository(tx).listSince(owner, new Date(call.now.getTime() - LOOK_BACK_MS));
    let waiting: PushChallengeRow | undefined;
    for (const row of rows.filter((one) => one.state === "pending" && one.challengeId !== challengeId)) {
      if ((await standingOf(tx, row, challenges, call.now)) === "pending") waiting = row;
    }
    const end = notBefore(rows, waiting, call.now);
    if (end === undefined) return undefined;
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
      data: { deviceId, challengeId: row.pushId },
      expireTime: row.expireTime,
      idempotencyKey: `push.${row.pushId}.${deviceId}`,
    });
  };

  return {
    /** Readies a request for a generic challenge; what it answers makes it, in the unit that writes the challenge. */
    async prepare(call: Call, owner: Owner, asked: Asked & { readonly factorId: string }) {
      const { push, totp } = await settingsOf(owner.tenantId);
      const numberLength = push.numberDigits === 6 ? 6 : 2;
      const number = newNumber(numberLength);
      const session = askingSession(asked.session, call.caller);
      const { factorId, challengeId, actionDigest, renderedAction } = asked;
      const freshId = bearerId();
      return async (tx: Tx): Promise<Prepared | Refusal> => {
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
          createdBy: call.caller.principal === Principal.SERVICE ? call.caller.subject : "",
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

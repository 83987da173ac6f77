import { createHash } from "node:crypto";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type EventRow, eventRepository } from "./events.repository.ts";
import { enqueueNotice, enqueueNotices } from "./notices.ts";

/** An event before it is stored. */
export interface Happening {
  readonly owner: Owner;
  readonly type: EventRow["type"];
  readonly factorType?: EventRow["factorType"];
  readonly factorId?: string;
  /** The challenge concerned. Its id is a bearer secret, so only its digest is stored. */
  readonly challengeId?: string;
  /** Why a proof was refused: only events tell, replies never do. */
  readonly failureReason?: EventRow["failureReason"];
  /** After a refused proof, the attempts left before a lock. */
  readonly attemptsRemaining?: number;
  /** The user's epoch after the event, where it changed. */
  readonly mfaEpoch?: number;
}

const digestOf = (challengeId: string): string =>
  challengeId === "" ? "" : createHash("sha256").update(challengeId).digest("base64url");

/** Makes the event of something that happened in a call. */
function rowOf(call: Call, happening: Happening): EventRow {
  const { owner, type, factorType = "UNSPECIFIED", factorId = "", failureReason = "UNSPECIFIED" } = happening;
  const { attemptsRemaining = 0 } = happening;
  const { rpc, now, caller, client } = call;
  const { ip, userAgent, application } = client;
  return {
    ...owner,
    ...{
      eventId: newId(),
      position: null,
      type,
      factorType,
      factorId,
      failureReason,
      attemptsRemaining,
      rpc,
      createTime: now,
    },
    ...{ ip, userAgent, application, mfaEpoch: happening.mfaEpoch ?? 0 },
    challengeDigest: digestOf(happening.challengeId ?? ""),
    actorType: Principal[caller.principal],
    actorId: caller.subject === owner.userId ? "" : caller.subject,
  };
}

/** Makes the notice of an event. */
const notableOf = ({ tenantId, userId, type, factorType, eventId }: EventRow) => ({
  ...{ owner: { tenantId, userId }, type, factorType, key: eventId },
});

/**
 * Writes an event in the unit of its cause, so that neither exists without the other, and the notice to the user where
 * such events are notified. The sequencer gives its sequence number after the commit.
 */
export async function recordEvent(tx: Tx, call: Call, happening: Happening): Promise<void> {
  const row = rowOf(call, happening);
  await eventRepository(tx).insert(row);
  await enqueueNotice(tx, call, notableOf(row));
}

/** Writes many events in the unit of their cause, in few statements. */
export async function recordEvents(tx: Tx, call: Call, happenings: readonly Happening[]): Promise<void> {
  const rows = happenings.map((happening) => rowOf(call, happening));
  await eventRepository(tx).insertAll(rows);
  await enqueueNotices(tx, call, rows.map(notableOf));
}

/** Writes an event without a call, such as an expiry, in the unit that finds it, with the time at which it happened. */
export async function recordUpkeepEvent(
  tx: Tx,
  { owner, type, factorType = "UNSPECIFIED", challengeId = "" }: Happening,
  createTime: Date,
): Promise<void> {
  await eventRepository(tx).insert({
    ...owner,
    ...{ eventId: newId(), position: null, type, factorType, factorId: "", failureReason: "UNSPECIFIED", createTime },
    attemptsRemaining: 0,
    ...{ rpc: "", ip: "", userAgent: "", application: "", actorType: "UNSPECIFIED", actorId: "", mfaEpoch: 0 },
    challengeDigest: digestOf(challengeId),
  });
}

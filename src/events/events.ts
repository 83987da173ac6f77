import { createHash } from "node:crypto";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import type { Tx } from "../db/store.ts";
import { type EventRow, eventRepository } from "./events.repository.ts";
import { enqueueNotice } from "./notices.ts";

/** Something that happened to a user. */
export interface Happening {
  readonly owner: Owner;
  readonly type: EventRow["type"];
  readonly factorType?: EventRow["factorType"];
  readonly factorId?: string;
  /** The challenge it is about. Whoever knows the id of one may answer it, so only its digest is kept. */
  readonly challengeId?: string;
  /** Only events tell why a proof was refused; replies never do. */
  readonly failureReason?: EventRow["failureReason"];
  /** After a refused proof, how many more would be judged before a lock. */
  readonly attemptsRemaining?: number;
  /** The user's epoch after it, where it changed. */
  readonly mfaEpoch?: number;
}

const digestOf = (challengeId: string): string =>
  challengeId === "" ? "" : createHash("sha256").update(challengeId).digest("base64url");

/**
 * Writes an event in the unit of its cause, so that neither exists without the other, and the notice to the user where
 * users are told of such events. Its place in the tenant's stream it is given after the commit.
 */
export async function recordEvent(tx: Tx, call: Call, happening: Happening): Promise<void> {
  const { owner, type, factorType = "UNSPECIFIED", factorId = "", failureReason = "UNSPECIFIED" } = happening;
  const { attemptsRemaining = 0 } = happening;
  const { rpc, now, caller, client } = call;
  const { ip, userAgent, application } = client;
  const row = {
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
  await eventRepository(tx).insert(row);
  await enqueueNotice(tx, call, { owner, type, factorType, key: row.eventId });
}

/** Writes an event that nobody's call caused, in the unit that found it out: as of when it happened. */
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

import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Tx } from "../db/store.ts";
import { type Happening, recordEvent } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { append, subjectOf } from "./trail.ts";

/** An act that the audit trail keeps. */
export interface Act {
  /** Whom it concerns; a user id that is empty for what concerns the tenant as a whole. */
  readonly owner: Owner;
  /** Subject and verb: "totp.enrolled". */
  readonly action: string;
  /** What it was done to; the subject of the action unless it says otherwise. */
  readonly targetType?: string;
  readonly targetId: string;
  /** Why, as the actor stated. */
  readonly reason?: string;
  /** The state before and after, without secrets. */
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
}

/** Who is the user they act for. */
const users: readonly Principal[] = [Principal.USER, Principal.DEVICE, Principal.TICKET];

/**
 * Writes an audit entry in the unit of the act it tells of, at the end of the tenant's chain: from here until the unit
 * ends, other units of the tenant that write one wait. Take the locks of rows before it.
 */
export async function recordAudit(tx: Tx, call: Call, act: Act): Promise<void> {
  const { caller, rpc, now, client, logId, sign } = call;
  const { owner, action, targetType = subjectOf(action), targetId, reason = "", before = null, after = null } = act;
  const isByUser = users.includes(caller.principal);
  await append(tx, sign, {
    ...owner,
    ...{ action, targetType, targetId, reason, before, after },
    actorType: Principal[caller.principal],
    actorId: caller.subject,
    isByUser,
    isFromUser: isByUser || caller.principal === Principal.SERVICE,
    ip: client.ip,
    rpc,
    requestId: logId,
    outcome: "SUCCESS",
    createTime: now,
  });
}

/**
 * A change of a user's factors: audit entry, event and epoch, in the unit of the change. The unit has serialised the
 * user before its first statement: units that take the user's row at different moments can wait for each other.
 */
export async function recordChange(tx: Tx, call: Call, change: Happening & Act): Promise<void> {
  await recordUpdate(tx, call, { ...change, mfaEpoch: await userRepository(tx).bumpEpoch(change.owner, call.now) });
}

/** As `recordChange`, for what changes nothing about what a user can prove, such as a name: the epoch stays. */
export async function recordUpdate(tx: Tx, call: Call, change: Happening & Act): Promise<void> {
  await recordAudit(tx, call, change);
  await recordEvent(tx, call, { factorId: change.targetId, ...change });
}

import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type Happening, recordEvent, recordEvents } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { append, appendAll, type Draft, subjectOf } from "./trail.ts";

/** An administrative act to be recorded in the audit trail. */
export interface Act {
  /** The owner concerned; an empty user id means the tenant as a whole. */
  readonly owner: Owner;
  /** Subject and verb: "totp.enrolled". */
  readonly action: string;
  /** The kind of the object; by default the subject of the action. */
  readonly targetType?: string;
  readonly targetId: string;
  /** The reason that the actor stated. */
  readonly reason?: string;
  /** The state before and after, without secrets. */
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
}

/** The caller is the user concerned. */
const users: readonly Principal[] = [Principal.USER, Principal.DEVICE, Principal.TICKET, Principal.PROMPT];

/**
 * Appends an audit entry in the unit of the act. It locks the tenant's chain until the unit ends, so take the locks of
 * rows before it.
 */
export const recordAudit = (tx: Tx, call: Call, act: Act): Promise<void> => append(tx, call.sign, draftOf(call, act));

function draftOf(call: Call, act: Act): Draft {
  const { caller, rpc, now, client, callId } = call;
  const { owner, action, targetType = subjectOf(action), targetId, reason = "", before = null, after = null } = act;
  const isByUser = users.includes(caller.principal);
  return {
    ...owner,
    ...{ action, targetType, targetId, reason, before, after },
    actorType: Principal[caller.principal],
    actorId: caller.subject,
    isByUser,
    isFromUser: isByUser || caller.principal === Principal.SERVICE,
    ip: client.ip,
    rpc,
    callId,
    outcome: "SUCCESS",
    createTime: now,
  };
}

/** The changes that add to what a user has, or renew it. Every other one takes something away. */
const additions: ReadonlySet<Happening["type"]> = new Set([
  "FACTOR_ENROLLED",
  "FACTOR_ENABLED",
  "FACTOR_UPDATED",
  "FACTOR_IMPORTED",
  "BACKUP_CODES_GENERATED",
] as const);

/**
 * Records a change of a user's factors in the unit of the change: audit entry, event and epoch. A change that takes
 * something away voids the user's tokens of this service. The unit has locked the user's row before its first statement:
 * units that lock it at different moments can deadlock.
 */
export async function recordChange(tx: Tx, call: Call, change: Happening & Act): Promise<void> {
  const keepsTokens = additions.has(change.type);
  const mfaEpoch = await userRepository(tx).bumpEpoch(change.owner, call.now, { keepsTokens });
  await recordUpdate(tx, call, { ...change, mfaEpoch });
}

/** Like `recordChange`, for changes that leave open what a user can prove, such as a name: the epoch stays. */
export async function recordUpdate(tx: Tx, call: Call, change: Happening & Act): Promise<void> {
  await recordAudit(tx, call, change);
  await recordEvent(tx, call, { factorId: change.targetId, ...change });
}

/**
 * Like `recordChange` for additions to the factors of many users of one tenant, in few statements; a user's epoch grows
 * once for all of their changes.
 */
export async function recordChanges(tx: Tx, call: Call, changes: readonly (Happening & Act)[]): Promise<void> {
  const { tenantId } = call.caller;
  const userIds = [...new Set(changes.map(({ owner }) => owner.userId))];
  const epochs = await userRepository(tx).bumpEpochs({ tenantId, userIds }, call.now);
  const drafts = changes.map((change) => draftOf(call, change));
  await appendAll(tx, call.sign, tenantId, drafts);
  const happenings = changes.map((change) => ({
    factorId: change.targetId,
    ...change,
    mfaEpoch: epochs.get(change.owner.userId) ?? 0,
  }));
  await recordEvents(tx, call, happenings);
}

import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import type { Tx } from "../db/store.ts";
import { type Happening, recordEvent } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { auditEntryRepository } from "./audit-entries.repository.ts";

/** An act that the audit trail keeps. */
export interface Act {
  /** Whom it concerns; a user id that is empty for what concerns the tenant as a whole. */
  readonly owner: Owner;
  /** Subject and verb: "totp.enrolled". */
  readonly action: string;
  readonly targetId: string;
  /** Why, as the actor stated. */
  readonly reason?: string;
  /** The state before and after, without secrets. */
  readonly before?: Readonly<Record<string, unknown>>;
  readonly after?: Readonly<Record<string, unknown>>;
}

/** Writes an audit entry in the unit of the act it tells of. */
export async function recordAudit(tx: Tx, { caller, rpc, now }: Call, { owner, ...act }: Act): Promise<void> {
  const actor = { actorType: Principal[caller.principal], actorId: caller.subject };
  const stated = { reason: "", before: null, after: null, ...act };
  await auditEntryRepository(tx).insert({ ...owner, ...actor, ...stated, entryId: newId(), rpc, createTime: now });
}

/**
 * A change of a user's factors: audit entry, event and epoch, in the unit of the change. The unit has serialised the
 * user before its first statement: units that take the user's row at different moments can wait for each other.
 */
export async function recordChange(tx: Tx, call: Call, change: Happening & Act): Promise<void> {
  await recordUpdate(tx, call, change);
  await userRepository(tx).bumpEpoch(change.owner, call.now);
}

/** As `recordChange`, for what changes nothing about what a user can prove, such as a name: the epoch stays. */
export async function recordUpdate(tx: Tx, call: Call, change: Happening & Act): Promise<void> {
  const { type: _type, factorType: _factorType, factorId: _factorId, failureReason: _reason, ...act } = change;
  await recordAudit(tx, call, act);
  await recordEvent(tx, call, { factorId: change.targetId, ...change });
}

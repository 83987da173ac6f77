import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import type { Tx } from "../db/store.ts";
import { type Happening, recordEvent } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { auditEntryRepository } from "./audit-entries.repository.ts";

/** Writes an audit entry in the unit of the change it tells of. */
export async function recordAudit(tx: Tx, call: Call, { owner, type, targetId = "" }: Happening): Promise<void> {
  const { caller, rpc, now: createTime } = call;
  const actor = { actorType: Principal[caller.principal], actorId: caller.subject };
  call.trail.entries++;
  await auditEntryRepository(tx).insert({
    ...owner,
    ...actor,
    entryId: newId(),
    action: type,
    targetId,
    rpc,
    createTime,
  });
}

/** A change of a user's factors: audit entry, event and epoch, in the unit of the change. */
export async function recordChange(tx: Tx, call: Call, change: Happening): Promise<void> {
  await recordAudit(tx, call, change);
  await recordEvent(tx, call, change);
  await userRepository(tx).bumpEpoch(change.owner, call.now);
}

import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { type Happening, recordEvent } from "../events/events.ts";
import { userRepository } from "../users/users.repository.ts";
import { auditEntries } from "./audit-entries.table.ts";

type Row = {
  tenantId: string;
  entryId: string;
  action: string;
  actorType: string;
  actorId: string;
  userId: string;
  targetId: string;
  rpc: string;
  now: Date;
};

const insert = statement((s: Building<Row>) => {
  const t = s.table(auditEntries);
  return s.db
    .insert(t)
    .values({
      tenantId: s.param("tenantId", t.tenantId),
      entryId: s.param("entryId", t.entryId),
      action: s.param("action", t.action),
      actorType: s.param("actorType", t.actorType),
      actorId: s.param("actorId", t.actorId),
      userId: s.param("userId", t.userId),
      targetId: s.param("targetId", t.targetId),
      rpc: s.param("rpc", t.rpc),
      createTime: s.param("now", t.createTime),
    })
    .returning({ entryId: t.entryId });
});

/** Writes an audit entry in the unit of the change it tells of. */
export async function recordAudit(tx: Tx, call: Call, { owner, type, targetId = "" }: Happening): Promise<void> {
  const { caller, rpc, now } = call;
  const actor = { actorType: Principal[caller.principal], actorId: caller.subject };
  await tx.run(insert, { ...owner, ...actor, entryId: newId(), action: type, targetId, rpc, now });
}

/** A change of a user's factors: audit entry, event and epoch, in the unit of the change. */
export async function recordChange(tx: Tx, call: Call, change: Happening): Promise<void> {
  await recordAudit(tx, call, change);
  await recordEvent(tx, call, change);
  await userRepository(tx).bumpEpoch(change.owner, call.now);
}

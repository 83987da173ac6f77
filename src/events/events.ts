import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { events } from "./events.table.ts";

type Row = Owner & { eventId: string; type: string; targetId: string; rpc: string; now: Date };

const insert = statement((s: Building<Row>) => {
  const t = s.table(events);
  return s.db
    .insert(t)
    .values({
      tenantId: s.param("tenantId", t.tenantId),
      eventId: s.param("eventId", t.eventId),
      userId: s.param("userId", t.userId),
      type: s.param("type", t.type),
      targetId: s.param("targetId", t.targetId),
      rpc: s.param("rpc", t.rpc),
      createTime: s.param("now", t.createTime),
    })
    .returning({ eventId: t.eventId });
});

/** Something that happened to a user. */
export interface Happening {
  readonly owner: Owner;
  readonly type: string;
  readonly targetId?: string;
}

/** Writes an event in the unit of its cause, so that neither exists without the other. */
export async function recordEvent(tx: Tx, call: Call, { owner, type, targetId = "" }: Happening): Promise<void> {
  await tx.run(insert, { ...owner, eventId: newId(), type, targetId, rpc: call.rpc, now: call.now });
}

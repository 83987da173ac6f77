import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import type { Tx } from "../db/store.ts";
import { eventRepository } from "./events.repository.ts";

/** Something that happened to a user. */
export interface Happening {
  readonly owner: Owner;
  readonly type: string;
  readonly targetId?: string;
}

/** Writes an event in the unit of its cause, so that neither exists without the other. */
export async function recordEvent(tx: Tx, call: Call, { owner, type, targetId = "" }: Happening): Promise<void> {
  await eventRepository(tx).insert({ ...owner, eventId: newId(), type, targetId, rpc: call.rpc, createTime: call.now });
}

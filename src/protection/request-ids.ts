import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { requestIdRepository } from "./request-ids.repository.ts";

const KEPT_MS = 24 * 60 * 60 * 1000;

/** One request that carries an id, as its caller sent it. */
export interface Identified {
  readonly caller: Caller;
  readonly rpc: string;
  readonly requestId: string;
  readonly now: Date;
}

/**
 * Runs `work` unless the same caller already succeeded with this request id in the last 24 hours (AIP-155). The claim
 * shares the unit of the work, so a refused or failed attempt leaves the id free for a retry.
 */
export async function onceOnly<T>(
  tx: Tx,
  { caller, rpc, requestId, now }: Identified,
  work: () => Promise<T>,
): Promise<T> {
  const request = { tenantId: caller.tenantId, subject: caller.subject, rpc, requestId };
  const ids = requestIdRepository(tx);
  if (!(await ids.claim(request, now, new Date(now.getTime() + KEPT_MS)))) throw new Refusal("REQUEST_REPEATED");
  const result = await work();
  if (result instanceof Refusal) await ids.release(request);
  return result;
}

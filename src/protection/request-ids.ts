import { and, eq, lte } from "drizzle-orm";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { requestIds } from "./request-ids.table.ts";

type Request = { tenantId: string; subject: string; rpc: string; requestId: string };
type Claim = Request & { now: Date; expireTime: Date };

const KEPT_MS = 24 * 60 * 60 * 1000;

const isThisRequest = (s: Building<Request>) => {
  const t = s.table(requestIds);
  return and(
    eq(t.tenantId, s.param("tenantId", t.tenantId)),
    eq(t.subject, s.param("subject", t.subject)),
    eq(t.rpc, s.param("rpc", t.rpc)),
    eq(t.requestId, s.param("requestId", t.requestId)),
  );
};

const statements = {
  claim: statement((s: Building<Claim>) => {
    const t = s.table(requestIds);
    const row = {
      tenantId: s.param("tenantId", t.tenantId),
      subject: s.param("subject", t.subject),
      rpc: s.param("rpc", t.rpc),
      requestId: s.param("requestId", t.requestId),
      expireTime: s.param("expireTime", t.expireTime),
    };
    // A claim that outlived its day may be taken over before the clean-up has come by.
    return s.db
      .insert(t)
      .values(row)
      .onConflictDoUpdate({
        target: [t.tenantId, t.subject, t.rpc, t.requestId],
        set: { expireTime: row.expireTime },
        setWhere: lte(t.expireTime, s.param("now", t.expireTime)),
      })
      .returning({ requestId: t.requestId });
  }),
  release: statement((s: Building<Request>) => {
    const t = s.table(requestIds);
    return s.db.delete(t).where(isThisRequest(s)).returning({ requestId: t.requestId });
  }),
};

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
  const claimed = await tx.run(statements.claim, { ...request, now, expireTime: new Date(now.getTime() + KEPT_MS) });
  if (claimed.length === 0) throw new Refusal("REQUEST_REPEATED");
  const result = await work();
  if (result instanceof Refusal) await tx.run(statements.release, request);
  return result;
}

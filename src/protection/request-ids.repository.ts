import { and, eq, lte } from "drizzle-orm";
import { type Building, statement, type Tx } from "../db/store.ts";
import { requestIds } from "./request-ids.table.ts";

/** A request as its caller named it. */
export type NamedRequest = { tenantId: string; subject: string; rpc: string; requestId: string };
type Claim = NamedRequest & { now: Date; expireTime: Date };

const isThisRequest = (s: Building<NamedRequest>) => {
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
    // A claim that outlived its day may be taken over before the clean-up has come by.
    return s.db
      .insert(t)
      .values(s.row(t))
      .onConflictDoUpdate({
        target: [t.tenantId, t.subject, t.rpc, t.requestId],
        set: { expireTime: s.param("expireTime", t.expireTime) },
        setWhere: lte(t.expireTime, s.param("now", t.expireTime)),
      })
      .returning({ requestId: t.requestId });
  }),
  release: statement((s: Building<NamedRequest>) => {
    const t = s.table(requestIds);
    return s.db.delete(t).where(isThisRequest(s)).returning({ requestId: t.requestId });
  }),
};

/** The request ids of the last day. */
export const requestIdRepository = (tx: Tx) => ({
  /** Takes an id: true for exactly one of any number of callers until `expireTime`. */
  claim: async (request: NamedRequest, now: Date, expireTime: Date) =>
    (await tx.run(statements.claim, { ...request, now, expireTime })).length === 1,
  /** Gives an id back. */
  release: (request: NamedRequest) => tx.run(statements.release, request),
});

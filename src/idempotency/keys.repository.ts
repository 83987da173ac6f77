import { and, eq, lte } from "drizzle-orm";
import { type Building, statement, type Tx } from "../db/store.ts";
import { idempotencyKeys } from "./keys.table.ts";

/** The key: caller, RPC and request_id. */
export type NamedRequest = { tenantId: string; subject: string; rpc: string; requestId: string };
/** A row of the table. */
export type IdempotencyKeyRow = ReturnType<typeof idempotencyKeys>["$inferSelect"];

const isThisRequest = (s: Building<NamedRequest>) => {
  const t = s.table(idempotencyKeys);
  return and(
    eq(t.tenantId, s.param("tenantId", t.tenantId)),
    eq(t.subject, s.param("subject", t.subject)),
    eq(t.rpc, s.param("rpc", t.rpc)),
    eq(t.requestId, s.param("requestId", t.requestId)),
  );
};

const statements = {
  claim: statement((s: Building<IdempotencyKeyRow & { now: Date }>) => {
    const t = s.table(idempotencyKeys);
    // An expired claim may be taken over before retention deletes it.
    return s.db
      .insert(t)
      .values(s.row(t))
      .onConflictDoUpdate({
        target: [t.tenantId, t.subject, t.rpc, t.requestId],
        set: {
          userId: s.param("userId", t.userId),
          bodyDigest: s.param("bodyDigest", t.bodyDigest),
          sealedReply: null,
          expireTime: s.param("expireTime", t.expireTime),
        },
        setWhere: lte(t.expireTime, s.param("now", t.expireTime)),
      })
      .returning({ requestId: t.requestId });
  }),
  find: statement((s: Building<NamedRequest>) => s.db.select().from(s.table(idempotencyKeys)).where(isThisRequest(s))),
  keep: statement((s: Building<NamedRequest & { sealedReply: Buffer; expireTime: Date }>) => {
    const t = s.table(idempotencyKeys);
    return s.db
      .update(t)
      .set({ sealedReply: s.param("sealedReply", t.sealedReply) })
      .where(and(isThisRequest(s), eq(t.expireTime, s.param("expireTime", t.expireTime))))
      .returning({ requestId: t.requestId });
  }),
  release: statement((s: Building<NamedRequest>) => {
    const t = s.table(idempotencyKeys);
    return s.db.delete(t).where(isThisRequest(s)).returning({ requestId: t.requestId });
  }),
};

/** The idempotency keys of the last day. */
export const idempotencyKeyRepository = (tx: Tx) => ({
  /** Claims a key; returns true to exactly one of any number of callers until its `expireTime`. */
  claim: async (row: IdempotencyKeyRow, now: Date) => (await tx.run(statements.claim, { ...row, now })).length === 1,
  find: async (request: NamedRequest) => (await tx.run(statements.find, request))[0],
  /** Adds the reply to the claim with that expiry: not to a later one, nor after an erasure. */
  keep: (request: NamedRequest & { sealedReply: Buffer; expireTime: Date }) => tx.run(statements.keep, request),
  /** Releases a key. */
  release: (request: NamedRequest) => tx.run(statements.release, request),
});

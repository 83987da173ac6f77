import type { Dialect } from "../db/dialect.ts";

/** Idempotency keys of the last day (AIP-155), so that a retried call happens once. */
export const idempotencyKeys = (d: Dialect) =>
  d.table(
    "request_ids",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** The caller: a user's id, or an administrator's or a backend's name. */
      subject: d.text("subject").notNull(),
      rpc: d.text("rpc").notNull(),
      requestId: d.text("request_id").notNull(),
      /** The user whose data the reply holds and with whom it is erased; empty for the tenant's. */
      userId: d.text("user_id").notNull().default(""),
      /** Peppered digest of the request: the same id with another request is not a repeat. */
      bodyDigest: d.bytes("body_digest"),
      /** The reply for repeats; null until it exists, and for replies with a secret. */
      sealedReply: d.bytes("sealed_reply"),
      expireTime: d.instant("expire_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.subject, t.rpc, t.requestId] }),
      d.index("request_ids_by_end").on(t.expireTime),
      d.index("request_ids_by_user").on(t.tenantId, t.userId),
    ],
  );

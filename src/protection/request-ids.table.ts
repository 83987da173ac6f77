import type { Dialect } from "../db/dialect.ts";

/** Request ids that succeeded in the last day (AIP-155), so that a retried creation happens once. */
export const requestIds = (d: Dialect) =>
  d.table(
    "request_ids",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** The caller: a user's id, or an administrator's or a backend's name. */
      subject: d.text("subject").notNull(),
      rpc: d.text("rpc").notNull(),
      requestId: d.text("request_id").notNull(),
      /** Whose data the reply holds: with it the reply is erased. Empty for the tenant's. */
      userId: d.text("user_id").notNull().default(""),
      /** Peppered digest of the request: the same id on another request is no repeat of it. */
      bodyDigest: d.bytes("body_digest"),
      /** The reply, for the repeat; null until it was given, and for replies that hold a secret. */
      sealedReply: d.bytes("sealed_reply"),
      expireTime: d.instant("expire_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.subject, t.rpc, t.requestId] }),
      d.index("request_ids_by_end").on(t.expireTime),
      d.index("request_ids_by_user").on(t.tenantId, t.userId),
    ],
  );

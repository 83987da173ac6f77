import type { Dialect } from "../db/dialect.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * Who changed what, when and by which RPC. Rows are only ever added: triggers of `db/append-only.ts` refuse the rest.
 */
export const auditEntries = (d: Dialect) =>
  d.table(
    "audit_entries",
    {
      tenantId: d.text("tenant_id").notNull(),
      entryId: d.text("entry_id").notNull(),
      /** The sequence number in the tenant's chain, from 1 and without gaps; null in entries older than the chain. */
      sequence: d.counter("sequence"),
      /** Keyed hash over this row and the previous entry's hash. */
      hash: d.bytes("hash"),
      /** Subject and verb: "totp.enrolled". */
      action: d.text("action").notNull(),
      /** The subject of the action: "totp". */
      module: d.text("module").notNull().default(""),
      /** The principal's kind: USER, ADMIN, SERVICE …; UNSPECIFIED for the service itself. */
      actorType: d.text("actor_type").notNull(),
      /** An administrator's or a backend's name; of users, who act for themselves, the pseudonym. */
      actorId: d.text("actor_id").notNull(),
      /** The pseudonym of the user it concerns (`audit_subjects`); empty for none. */
      userId: d.text("user_id").notNull(),
      targetType: d.text("target_type").notNull().default(""),
      /** The subject's id; the pseudonym where that is the user. */
      targetId: d.text("target_id").notNull(),
      rpc: d.text("rpc").notNull(),
      /** The id of the call, as in the log. The column has the name that the contract gave it first. */
      callId: d.text("request_id").notNull().default(""),
      /** How the call ended, as the contract names it. */
      outcome: d.text("outcome").notNull().default("SUCCESS"),
      /** The reason that the actor stated; empty where the RPC takes none. */
      reason: d.text("reason").notNull().default(""),
      /** An administrator's address. */
      ip: d.text("ip").notNull().default(""),
      /** A user's address, under the user's key; null for none. */
      sealedIp: d.bytes("sealed_ip"),
      /** The state before and after the change, without secrets; null for none. */
      before: d.json<Json>("before"),
      after: d.json<Json>("after"),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.entryId] }),
      d.uniqueIndex("audit_entries_by_sequence").on(t.tenantId, t.sequence),
      d.index("audit_entries_by_time").on(t.tenantId, t.createTime, t.entryId),
      d.index("audit_entries_by_user").on(t.tenantId, t.userId),
    ],
  );

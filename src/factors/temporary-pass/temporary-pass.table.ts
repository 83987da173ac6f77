import { bindRows } from "../../db/bound-rows.ts";
import type { Dialect } from "../../db/dialect.ts";

/** The last temporary pass of each user. Issuing another one takes its place. */
export const temporaryPasses = (d: Dialect) =>
  d.table(
    "temporary_passes",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      passId: d.text("pass_id").notNull(),
      /** The administrator who issued it. */
      issuerId: d.text("issuer_id").notNull(),
      /** As of a backup code: the public characters, and a peppered slow hash of all. */
      selector: d.text("selector").notNull(),
      salt: d.bytes("salt").notNull(),
      verifier: d.bytes("verifier").notNull(),
      startTime: d.instant("start_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      createTime: d.instant("create_time").notNull(),
      /** When it was spent; null before. */
      useTime: d.instant("use_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId] }), d.index("temporary_passes_by_end").on(t.expireTime)],
  );

bindRows(
  temporaryPasses,
  [
    ...(["tenantId", "userId", "passId", "issuerId", "selector", "salt", "verifier"] as const),
    ...(["startTime", "expireTime", "createTime"] as const),
  ],
  { useTime: "back to null it is the row's earlier state" },
);

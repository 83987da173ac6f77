import type { Dialect } from "../../db/dialect.ts";

/**
 * Tombstones of erased users, under a digest keyed by the operator's keys, so that an erasure holds and the table names
 * no user. A row outlives the data it concerns.
 */
export const tombstones = (d: Dialect) =>
  d.table(
    "tombstones",
    {
      tenantId: d.text("tenant_id").notNull(),
      /** The peppered digest of the user, base64url. */
      userDigest: d.text("user_digest").notNull(),
      /** The caller's id for the erasure. */
      erasureId: d.text("erasure_id").notNull(),
      receiptId: d.text("receipt_id").notNull(),
      /** "begun" before the first deletion, "done" with the last. */
      state: d.text("state").$type<"begun" | "done">().notNull(),
      /** How many rows were deleted, by table. */
      removed: d.json<Readonly<Record<string, number>>>("removed").notNull(),
      pseudonymisedCount: d.integer("pseudonymised_count").notNull(),
      /** Whether the user had been erased before. */
      erasedBefore: d.boolean("erased_before").notNull(),
      eraseTime: d.instant("erase_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userDigest, t.erasureId] })],
  );

import { isNotNull } from "drizzle-orm";
import type { Dialect } from "../../db/dialect.ts";

/** Sets of backup codes: of each user at most one in force and one that waits for the word that it is saved. */
export const backupCodeSets = (d: Dialect) =>
  d.table(
    "backup_code_sets",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** "active" or "pending". In the key, so that no two of a user can be in force. */
      state: d.text("state").$type<"active" | "pending">().notNull(),
      setId: d.text("set_id").notNull(),
      /** How many codes it was made with. */
      total: d.integer("total").notNull(),
      /** How many are unused. Falls by one in the unit that spends one, and never rises. */
      remaining: d.integer("remaining").notNull(),
      /** The id of the pepper in its codes' verifiers: under an older one than today's a new set is due. */
      pepperId: d.text("pepper_id").notNull(),
      createTime: d.instant("create_time").notNull(),
      /** When its user said that it is saved; null before. */
      confirmTime: d.instant("confirm_time"),
      lastUseTime: d.instant("last_use_time"),
      /** When its user was told that few are left, which happens once; null before. */
      lowTime: d.instant("low_time"),
      /** When a pending set is forgotten; null in force. */
      expireTime: d.instant("expire_time"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.state] }),
      d.index("backup_code_sets_by_time").on(t.tenantId, t.createTime, t.setId),
      d.index("backup_code_sets_by_end").on(t.expireTime).where(isNotNull(t.expireTime)),
    ],
  );

/** The codes of these sets. */
export const backupCodes = (d: Dialect) =>
  d.table(
    "backup_codes",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      setId: d.text("set_id").notNull(),
      codeId: d.text("code_id").notNull(),
      /** Its first three characters, which are no secret: they find the row, so that one derivation judges. */
      selector: d.text("selector").notNull(),
      salt: d.bytes("salt").notNull(),
      verifier: d.bytes("verifier").notNull(),
      createTime: d.instant("create_time").notNull(),
      /** When it was spent; null before. */
      useTime: d.instant("use_time"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.codeId] }),
      d.uniqueIndex("backup_codes_by_selector").on(t.tenantId, t.userId, t.setId, t.selector),
    ],
  );

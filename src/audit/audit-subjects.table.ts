import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/**
 * Maps users to pseudonyms. Entries of the trail cannot be changed, so erasure deletes this row: without it the entries
 * cannot be attributed, and the addresses in them cannot be decrypted.
 */
export const auditSubjects = (d: Dialect) =>
  d.table(
    "audit_subjects",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** The random pseudonym; only this row leads from it to the user. */
      pseudonym: d.text("pseudonym").notNull(),
      /** The key that encrypts the user's addresses in the trail. */
      key: d.bytes("key").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId] }),
      d.uniqueIndex("audit_subjects_by_pseudonym").on(t.tenantId, t.pseudonym),
    ],
  );

bindRows(auditSubjects, ["tenantId", "userId", "pseudonym", "key"], {}, { broken: "absent" });

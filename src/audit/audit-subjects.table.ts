import type { Dialect } from "../db/dialect.ts";

/**
 * Who the pseudonyms of the audit trail are. Its entries cannot be changed, so a user is forgotten by deleting this
 * row: without it nobody can tell whose entries they were, nor read the addresses in them.
 */
export const auditSubjects = (d: Dialect) =>
  d.table(
    "audit_subjects",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** Random: nothing leads from it to the user but this row. */
      pseudonym: d.text("pseudonym").notNull(),
      /** What the user's addresses in the trail are encrypted with. */
      key: d.bytes("key").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId] }),
      d.uniqueIndex("audit_subjects_by_pseudonym").on(t.tenantId, t.pseudonym),
    ],
  );

import { type Building, statement, type Tx } from "../db/store.ts";
import { auditEntries } from "./audit-entries.table.ts";

/** A row of the table. */
export type AuditEntryRow = ReturnType<typeof auditEntries>["$inferSelect"];

const insert = statement((s: Building<AuditEntryRow>) => {
  const t = s.table(auditEntries);
  return s.db.insert(t).values(s.row(t)).returning({ entryId: t.entryId });
});

/** The audit trail. */
export const auditEntryRepository = (tx: Tx) => ({ insert: (row: AuditEntryRow) => tx.run(insert, row) });

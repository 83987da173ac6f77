import { and, desc, eq, lt } from "drizzle-orm";
import { type Building, statement, type Tx } from "../db/store.ts";
import { auditCheckpoints } from "./audit-checkpoints.table.ts";

/** A row of the table. */
export type AuditCheckpointRow = ReturnType<typeof auditCheckpoints>["$inferSelect"];

type Page = { tenantId: string; before: number; limit: number };

const statements = {
  insert: statement((s: Building<AuditCheckpointRow>) => {
    const t = s.table(auditCheckpoints);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ sequence: t.sequence });
  }),
  list: statement((s: Building<Page>) => {
    const t = s.table(auditCheckpoints);
    return s.db
      .select()
      .from(t)
      .where(and(eq(t.tenantId, s.param("tenantId", t.tenantId)), lt(t.sequence, s.param("before", t.sequence))))
      .orderBy(desc(t.sequence))
      .limit(s.limit("limit"));
  }),
};

/** Signed checkpoints of audit chains. */
export const auditCheckpointRepository = (tx: Tx) => ({
  /** Adds a checkpoint; an existing one of the same sequence number stays. */
  insert: async (row: AuditCheckpointRow) => (await tx.run(statements.insert, row)).length === 1,
  /** Newest first. */
  list: (page: Page) => tx.run(statements.list, page),
});

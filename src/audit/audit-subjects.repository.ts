import type { Owner } from "../core/caller.ts";
import { isOwnedBy } from "../db/owned.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { auditSubjects } from "./audit-subjects.table.ts";

/** A row of the table. */
export type AuditSubjectRow = ReturnType<typeof auditSubjects>["$inferSelect"];

const isUser = (s: Building<Owner>) => isOwnedBy(s, s.table(auditSubjects));

const statements = {
  find: statement((s: Building<Owner>) => s.db.select().from(s.table(auditSubjects)).where(isUser(s))),
  insert: statement((s: Building<AuditSubjectRow>) => {
    const t = s.table(auditSubjects);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning();
  }),
  delete: statement((s: Building<Owner>) => {
    const t = s.table(auditSubjects);
    return s.db.delete(t).where(isUser(s)).returning({ pseudonym: t.pseudonym });
  }),
};

/** Who the pseudonyms of the trail are. */
export const auditSubjectRepository = (tx: Tx) => ({
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  /** Adds a user; undefined when another unit has done so. */
  insert: async (row: AuditSubjectRow) => (await tx.run(statements.insert, row))[0],
  /** Makes the user's entries nobody's; says how many users that were. */
  delete: async (owner: Owner) => (await tx.run(statements.delete, owner)).length,
});

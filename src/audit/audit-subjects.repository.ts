import { type RowOf, type WithMac, writing } from "../db/bound-rows.ts";
import { anyRow } from "../db/conditions.ts";
import { isOwnedBy } from "../db/owned.ts";
import { select, setParams } from "../db/rows.ts";
import { insertSet, selectOfUsers, type Users } from "../db/sets.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { auditSubjects } from "./audit-subjects.table.ts";

/** A row of the table. */
export type AuditSubjectRow = RowOf<typeof auditSubjects>;

const isUser = (s: Building<Owner>) => isOwnedBy(s, s.table(auditSubjects));

const statements = {
  find: select(auditSubjects, isUser),
  put: writing(
    auditSubjects,
    statement((s: Building<WithMac<AuditSubjectRow>>) => {
      const t = s.table(auditSubjects);
      return s.db
        .insert(t)
        .values(s.row(t))
        .onConflictDoUpdate({ target: [t.tenantId, t.userId], set: setParams(s, t, "pseudonym", "key", "boundMac") })
        .returning({ pseudonym: t.pseudonym });
    }),
  ),
  delete: statement((s: Building<Owner>) => {
    const t = s.table(auditSubjects);
    return s.db.delete(t).where(isUser(s)).returning({ pseudonym: t.pseudonym });
  }),
};

const listOf = selectOfUsers(auditSubjects, anyRow);
const insertAll = insertSet<ReturnType<typeof auditSubjects>, AuditSubjectRow>(auditSubjects, { ifNew: true });

/** The mapping from users to their pseudonyms in the trail. */
export const auditSubjectRepository = (tx: Tx) => ({
  find: async (owner: Owner) => (await tx.run(statements.find, owner))[0],
  /** Finds the pseudonyms of many users. */
  listOf: (users: Users) => listOf(tx, users, {}),
  /** As `put`, for many users in few statements. */
  async putAll(rows: readonly AuditSubjectRow[]) {
    if ((await insertAll(tx, rows)) === rows.length) return;
    for (const row of rows) await tx.run(statements.put, row);
  },
  /**
   * Adds a user who was not found, whom nobody can add meanwhile: the unit holds the end of the chain. A row that is
   * there all the same was altered by somebody else, and gives way.
   */
  put: (row: AuditSubjectRow) => tx.run(statements.put, row),
  /** Deletes the pseudonym mapping, which anonymises the user's entries; returns the number of rows. */
  delete: async (owner: Owner) => (await tx.run(statements.delete, owner)).length,
});

import { type Building, statement, type Tx } from "../db/store.ts";
import { keyChecks } from "./key-checks.table.ts";

type KeyCheck = ReturnType<typeof keyChecks>["$inferSelect"];

const statements = {
  list: statement((s: Building<Record<never, never>>) => s.db.select().from(s.table(keyChecks))),
  insert: statement((s: Building<KeyCheck>) => {
    const t = s.table(keyChecks);
    return s.db.insert(t).values(s.row(t)).onConflictDoNothing().returning({ keyId: t.keyId });
  }),
};

/** The fingerprints of the keys that this database has known. */
export const keyCheckRepository = (tx: Tx) => ({
  list: (): Promise<KeyCheck[]> => tx.run(statements.list, {}),
  /** Remembers a key unless its id is known already. */
  insert: (row: KeyCheck) => tx.run(statements.insert, row),
});

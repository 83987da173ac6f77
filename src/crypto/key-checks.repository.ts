import { anyRow } from "../db/conditions.ts";
import { insertIfNew, select } from "../db/rows.ts";
import type { Tx } from "../db/store.ts";
import { keyChecks } from "./key-checks.table.ts";

type KeyCheck = ReturnType<typeof keyChecks>["$inferSelect"];

const statements = {
  list: select(keyChecks, anyRow),
  insert: insertIfNew(keyChecks),
};

/** The fingerprints of the keys that this database has known. */
export const keyCheckRepository = (tx: Tx) => ({
  list: (): Promise<KeyCheck[]> => tx.run(statements.list, {}),
  /** Stores a key's fingerprint unless its id has one already. */
  insert: (row: KeyCheck) => tx.run(statements.insert, row),
});

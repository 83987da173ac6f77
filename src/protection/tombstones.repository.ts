import { and, eq } from "drizzle-orm";
import { anyRow, having } from "../db/conditions.ts";
import { given, insertIfNew, select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { tombstones } from "./tombstones.table.ts";

/** A row of the table. */
export type TombstoneRow = ReturnType<typeof tombstones>["$inferSelect"];

type Digest = { readonly tenantId: string; readonly userDigest: string };
type Key = Digest & { readonly erasureId: string };
type Done = Key & Pick<TombstoneRow, "removed" | "pseudonymisedCount" | "erasedBefore" | "eraseTime">;

const isDigest = having(tombstones, "tenantId", "userDigest");

const statements = {
  list: select(tombstones, isDigest),
  listAll: select(tombstones, anyRow),
  insert: insertIfNew(tombstones),
  finish: statement((s: Building<Done>) => {
    const t = s.table(tombstones);
    return s.db
      .update(t)
      .set({
        state: "done",
        ...given(s, t, "removed", "pseudonymisedCount", "erasedBefore", "eraseTime"),
      })
      .where(and(isDigest(s), eq(t.erasureId, s.param("erasureId", t.erasureId)), eq(t.state, "begun")))
      .returning();
  }),
};

/** Erasures, begun and done. */
export const tombstoneRepository = (tx: Tx) => ({
  /** The erasures of one user. */
  list: (digest: Digest) => tx.run(statements.list, digest),
  /** All erasures of the installation: there are as many as people who asked to be forgotten. */
  listAll: () => tx.run(statements.listAll, {}),
  /** Begins an erasure; nothing where it was begun before. */
  insert: (row: TombstoneRow) => tx.run(statements.insert, row),
  /** Begun to done, in the unit that deletes: a row for exactly one of any number of callers. */
  finish: async (done: Done) => (await tx.run(statements.finish, done))[0],
});

import { anyRow, whereAll, whereEquals, whereIn } from "../../db/conditions.ts";
import { insertIfNew, select, setParams } from "../../db/rows.ts";
import { isAny, runForAll } from "../../db/sets.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { tombstones } from "./tombstones.table.ts";

/** A row of the table. */
export type TombstoneRow = ReturnType<typeof tombstones>["$inferSelect"];

type Digest = { readonly tenantId: string; readonly userDigest: string };
type Key = Digest & { readonly erasureId: string };
type Noted = Key & Pick<TombstoneRow, "removed">;
type Done = Key & Pick<TombstoneRow, "removed" | "pseudonymisedCount" | "erasedBefore" | "eraseTime">;

const isDigest = whereEquals(tombstones, "tenantId", "userDigest");

const isBegun = whereAll(
  whereEquals(tombstones, "tenantId", "userDigest", "erasureId"),
  whereIn(tombstones, "state", "begun"),
);

const statements = {
  list: select(tombstones, isDigest),
  listAll: select(tombstones, anyRow),
  listOfAny: select(tombstones, whereAll(whereEquals(tombstones, "tenantId"), isAny(tombstones, "userDigest"))),
  insert: insertIfNew(tombstones),
  note: statement((s: Building<Noted>) => {
    const t = s.table(tombstones);
    return s.db
      .update(t)
      .set(setParams(s, t, "removed"))
      .where(isBegun(s))
      .returning({ state: t.state });
  }),
  finish: statement((s: Building<Done>) => {
    const t = s.table(tombstones);
    return s.db
      .update(t)
      .set({
        state: "done",
        ...setParams(s, t, "removed", "pseudonymisedCount", "erasedBefore", "eraseTime"),
      })
      .where(isBegun(s))
      .returning();
  }),
};

/** Erasures, running and complete. */
export const tombstoneRepository = (tx: Tx) => ({
  /** The erasures of one user. */
  list: (digest: Digest) => tx.run(statements.list, digest),
  /** The erasures of many users. */
  listOfAny: (tenantId: string, userDigests: readonly string[]) =>
    runForAll(tx, statements.listOfAny, userDigests, { tenantId }),
  /** All erasures of the installation. */
  listAll: () => tx.run(statements.listAll, {}),
  /** Begins an erasure; returns nothing where it was begun before. */
  insert: (row: TombstoneRow) => tx.run(statements.insert, row),
  /** Stores the numbers of rows deleted so far. */
  note: ({ tenantId, userDigest, erasureId, removed }: Noted) =>
    tx.run(statements.note, { tenantId, userDigest, erasureId, removed }),
  /** Completes an erasure in the unit that deletes; returns a row to exactly one of any number of callers. */
  finish: async (done: Done) => (await tx.run(statements.finish, done))[0],
});

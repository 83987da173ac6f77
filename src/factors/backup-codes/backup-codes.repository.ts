import { and, eq, isNull, lt, lte, ne, or, sql } from "drizzle-orm";
import { whereAll, whereEquals, whereIn } from "../../db/conditions.ts";
import { deleteEnded } from "../../db/ended.ts";
import { deleteRows, insert, type PageAsked, select, selectPage } from "../../db/rows.ts";
import { isInSpan, type UserSpan } from "../../db/span.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { backupCodeSets, backupCodes } from "./backup-codes.table.ts";

/** A row of the table of sets. */
export type BackupCodeSetRow = ReturnType<typeof backupCodeSets>["$inferSelect"];
/** A row of the table of codes. */
export type BackupCodeRow = ReturnType<typeof backupCodes>["$inferSelect"];

type State = BackupCodeSetRow["state"];
type SetKey = Owner & { setId: string };
type CodeKey = SetKey & { codeId: string };
/** What makes a set low: so many left or fewer, or another pepper than this. */
export type Lowness = { readonly threshold: number; readonly pepperId: string };

const isOwners = whereEquals(backupCodeSets, "tenantId", "userId");
const isState = whereEquals(backupCodeSets, "tenantId", "userId", "state");
const isSet = whereEquals(backupCodeSets, "tenantId", "userId", "setId");
const isActive = whereIn(backupCodeSets, "state", "active");
const isCodeOfSet = whereEquals(backupCodes, "tenantId", "userId", "setId");
const oldestSets = { time: "createTime", id: "setId" } as const;

/** In force, of one tenant. */
const isInForce = whereAll(whereEquals(backupCodeSets, "tenantId"), isActive);

/** Of which a new one is due. */
const isLow = (s: Building<Lowness>) => {
  const t = s.table(backupCodeSets);
  const few = and(lte(t.remaining, s.param("threshold", t.remaining)), lt(t.remaining, t.total));
  return or(few, ne(t.pepperId, s.param("pepperId", t.pepperId)));
};

const statements = {
  listHoldings: statement((s: Building<UserSpan>) => {
    const t = s.table(backupCodeSets);
    return s.db
      .select({ userId: t.userId, remainingUses: t.remaining })
      .from(t)
      .where(and(isInSpan(s, t), isActive(s)));
  }),
  findSet: select(backupCodeSets, isState),
  // Put in order below: for an order of its own SQLite would go through the sets of all users.
  listSetsOf: select(backupCodeSets, isOwners),
  findSetById: select(backupCodeSets, isSet),
  insertSet: insert(backupCodeSets),
  deleteSet: deleteRows(backupCodeSets, isState),
  deleteExpired: deleteEnded(backupCodeSets, "expireTime"),
  deleteSets: deleteRows(backupCodeSets, isOwners),
  confirm: statement((s: Building<SetKey & { now: Date }>) => {
    const t = s.table(backupCodeSets);
    return s.db
      .update(t)
      .set({ state: "active", confirmTime: s.param("now", t.confirmTime), expireTime: null })
      .where(isSet(s))
      .returning();
  }),
  countDown: statement((s: Building<SetKey & { now: Date }>) => {
    const t = s.table(backupCodeSets);
    return s.db
      .update(t)
      .set({ remaining: sql`${t.remaining} - 1`, lastUseTime: s.param("now", t.lastUseTime) })
      .where(and(isSet(s), isActive(s)))
      .returning();
  }),
  noteLow: statement((s: Building<SetKey & { now: Date }>) => {
    const t = s.table(backupCodeSets);
    return s.db
      .update(t)
      .set({ lowTime: s.param("now", t.lowTime) })
      .where(and(isSet(s), isNull(t.lowTime)))
      .returning({ setId: t.setId });
  }),
  listSets: selectPage(backupCodeSets, isInForce, oldestSets),
  listLowSets: selectPage(backupCodeSets, whereAll(isInForce, isLow), oldestSets),
  insertCode: insert(backupCodes),
  findCode: select(backupCodes, whereAll(isCodeOfSet, whereEquals(backupCodes, "selector"))),
  listCodes: selectPage(backupCodes, isCodeOfSet, { time: "createTime", id: "codeId" }),
  spend: statement((s: Building<CodeKey & { now: Date }>) => {
    const t = s.table(backupCodes);
    return s.db
      .update(t)
      .set({ useTime: s.param("now", t.useTime) })
      .where(and(isCodeOfSet(s), eq(t.codeId, s.param("codeId", t.codeId)), isNull(t.useTime)))
      .returning({ codeId: t.codeId });
  }),
  deleteCodesOfSet: deleteRows(backupCodes, isCodeOfSet),
  deleteCodes: deleteRows(backupCodes, whereEquals(backupCodes, "tenantId", "userId")),
};

/** Users' sets of backup codes. A unit that writes serialises the user first. */
export const backupCodeSetRepository = (tx: Tx) => ({
  find: async (owner: Owner, state: State) => (await tx.run(statements.findSet, { ...owner, state }))[0],
  /** Sets in force, of many users. */
  listHoldings: (span: UserSpan) => tx.run(statements.listHoldings, span),
  /** The set in force and the one that waits, or once did. */
  listOf: async (owner: Owner) =>
    (await tx.run(statements.listSetsOf, owner)).sort(
      (a, b) => a.createTime.getTime() - b.createTime.getTime() || (a.setId < b.setId ? -1 : 1),
    ),
  findById: async (key: SetKey) => (await tx.run(statements.findSetById, key))[0],
  insert: (row: BackupCodeSetRow) => tx.run(statements.insertSet, row),
  /** Notes that a set is saved, and puts it in force if it waited for that. The place must be free. */
  confirm: async (key: SetKey, now: Date) => (await tx.run(statements.confirm, { ...key, now }))[0],
  /** One code of the set in force less; undefined when it is in force no more. */
  countDown: async (key: SetKey, now: Date) => (await tx.run(statements.countDown, { ...key, now }))[0],
  /** Notes that the user is told of how few are left: true once a set. */
  noteLow: async (key: SetKey, now: Date) => (await tx.run(statements.noteLow, { ...key, now })).length === 1,
  /** A page of a tenant's sets in force, oldest first. */
  list: (tenantId: string, page: PageAsked, { onlyLow, ...lowness }: Lowness & { onlyLow: boolean }) =>
    onlyLow ? statements.listLowSets(tx, { tenantId, ...lowness }, page) : statements.listSets(tx, { tenantId }, page),
  /** Forgets a set with its codes. */
  delete: async (owner: Owner, state: State) => {
    for (const { setId } of await tx.run(statements.deleteSet, { ...owner, state })) {
      await tx.run(statements.deleteCodesOfSet, { ...owner, setId });
    }
  },
  /** Forgets some sets that waited in vain for the word that they are saved, codes and all; says how many. */
  deleteExpired: async (before: Date, limit: number) => {
    const expired = await tx.run(statements.deleteExpired, { before, limit });
    for (const { tenantId, userId, setId } of expired) {
      await tx.run(statements.deleteCodesOfSet, { tenantId, userId, setId });
    }
    return expired.length;
  },
  /** Forgets all; says how many codes. */
  deleteAll: async (owner: Owner) => {
    await tx.run(statements.deleteSets, owner);
    return (await tx.run(statements.deleteCodes, owner)).length;
  },
});

/** The codes of sets. */
export const backupCodeRepository = (tx: Tx) => ({
  insert: (row: BackupCodeRow) => tx.run(statements.insertCode, row),
  find: async (key: SetKey & { selector: string }) => (await tx.run(statements.findCode, key))[0],
  /** A page of a set's codes, in the order of the printed sheet. */
  list: (key: SetKey, page: PageAsked) => statements.listCodes(tx, key, page),
  /** Spends a code: true for exactly one of any number of callers, and never once its set is gone. */
  spend: async (key: CodeKey, now: Date) => (await tx.run(statements.spend, { ...key, now })).length === 1,
});

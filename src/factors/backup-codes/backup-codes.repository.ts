import { and, asc, eq, isNull, lt, lte, ne, or, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { deleteEnded } from "../../db/ended.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { after, type PageParams, type Position, pageParams, slice } from "../../db/page.ts";
import { isInSpan, type Span } from "../../db/span.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { backupCodeSets, backupCodes } from "./backup-codes.table.ts";

/** A row of the table of sets. */
export type BackupCodeSetRow = ReturnType<typeof backupCodeSets>["$inferSelect"];
/** A row of the table of codes. */
export type BackupCodeRow = ReturnType<typeof backupCodes>["$inferSelect"];

type State = BackupCodeSetRow["state"];
type SetKey = Owner & { setId: string };
type CodeKey = SetKey & { codeId: string };
type Page = { position: Position; size: number };
/** What makes a set low: so many left or fewer, or another pepper than this. */
export type Lowness = { readonly threshold: number; readonly pepperId: string };

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(backupCodeSets));
const isState = (s: Building<Owner & { state: State }>) => {
  const t = s.table(backupCodeSets);
  return and(isOwners(s), eq(t.state, s.param("state", t.state)));
};
const isSet = (s: Building<SetKey>) => {
  const t = s.table(backupCodeSets);
  return and(isOwners(s), eq(t.setId, s.param("setId", t.setId)));
};
const isCodeOfOwner = (s: Building<Owner>) => isOwnedBy(s, s.table(backupCodes));
const isCodeOfSet = (s: Building<SetKey>) => {
  const t = s.table(backupCodes);
  return and(isCodeOfOwner(s), eq(t.setId, s.param("setId", t.setId)));
};

/** A page of the sets in force of a tenant, oldest first: all, or those of which a new one is due. */
const listSets = (isDue: (s: Building<Lowness>) => ReturnType<typeof or>) =>
  statement((s: Building<PageParams & Lowness & { tenantId: string }>) => {
    const t = s.table(backupCodeSets);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          eq(t.state, "active"),
          isDue(s),
          after(s, t.createTime, t.setId),
        ),
      )
      .orderBy(asc(t.createTime), asc(t.setId))
      .limit(s.limit("limit"));
  });

const statements = {
  listHoldings: statement((s: Building<Span>) => {
    const t = s.table(backupCodeSets);
    return s.db
      .select({ userId: t.userId, remainingUses: t.remaining })
      .from(t)
      .where(and(isInSpan(s, t), eq(t.state, "active")));
  }),
  findSet: statement((s: Building<Owner & { state: State }>) =>
    s.db.select().from(s.table(backupCodeSets)).where(isState(s)),
  ),
  listSetsOf: statement((s: Building<Owner>) => {
    const t = s.table(backupCodeSets);
    return s.db.select().from(t).where(isOwners(s)).orderBy(asc(t.createTime), asc(t.setId));
  }),
  findSetById: statement((s: Building<SetKey>) => s.db.select().from(s.table(backupCodeSets)).where(isSet(s))),
  insertSet: statement((s: Building<BackupCodeSetRow>) => {
    const t = s.table(backupCodeSets);
    return s.db.insert(t).values(s.row(t)).returning({ setId: t.setId });
  }),
  deleteSet: statement((s: Building<Owner & { state: State }>) => {
    const t = s.table(backupCodeSets);
    return s.db.delete(t).where(isState(s)).returning({ setId: t.setId });
  }),
  deleteExpired: deleteEnded(backupCodeSets, "expireTime"),
  deleteSets: statement((s: Building<Owner>) => {
    const t = s.table(backupCodeSets);
    return s.db.delete(t).where(isOwners(s)).returning({ setId: t.setId });
  }),
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
      .where(and(isSet(s), eq(t.state, "active")))
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
  listSets: listSets(() => undefined),
  listLowSets: listSets((s) => {
    const t = s.table(backupCodeSets);
    const few = and(lte(t.remaining, s.param("threshold", t.remaining)), lt(t.remaining, t.total));
    return or(few, ne(t.pepperId, s.param("pepperId", t.pepperId)));
  }),
  insertCode: statement((s: Building<BackupCodeRow>) => {
    const t = s.table(backupCodes);
    return s.db.insert(t).values(s.row(t)).returning({ codeId: t.codeId });
  }),
  findCode: statement((s: Building<SetKey & { selector: string }>) => {
    const t = s.table(backupCodes);
    return s.db
      .select()
      .from(t)
      .where(and(isCodeOfSet(s), eq(t.selector, s.param("selector", t.selector))));
  }),
  listCodes: statement((s: Building<SetKey & PageParams>) => {
    const t = s.table(backupCodes);
    return s.db
      .select()
      .from(t)
      .where(and(isCodeOfSet(s), after(s, t.createTime, t.codeId)))
      .orderBy(asc(t.createTime), asc(t.codeId))
      .limit(s.limit("limit"));
  }),
  spend: statement((s: Building<CodeKey & { now: Date }>) => {
    const t = s.table(backupCodes);
    return s.db
      .update(t)
      .set({ useTime: s.param("now", t.useTime) })
      .where(and(isCodeOfSet(s), eq(t.codeId, s.param("codeId", t.codeId)), isNull(t.useTime)))
      .returning({ codeId: t.codeId });
  }),
  deleteCodesOfSet: statement((s: Building<SetKey>) => {
    const t = s.table(backupCodes);
    return s.db.delete(t).where(isCodeOfSet(s)).returning({ codeId: t.codeId });
  }),
  deleteCodes: statement((s: Building<Owner>) => {
    const t = s.table(backupCodes);
    return s.db.delete(t).where(isCodeOfOwner(s)).returning({ codeId: t.codeId });
  }),
};

/** Users' sets of backup codes. A unit that writes serialises the user first. */
export const backupCodeSetRepository = (tx: Tx) => ({
  find: async (owner: Owner, state: State) => (await tx.run(statements.findSet, { ...owner, state }))[0],
  /** Sets in force, of many users. */
  listHoldings: (span: Span) => tx.run(statements.listHoldings, span),
  /** The set in force and the one that waits, or once did. */
  listOf: (owner: Owner) => tx.run(statements.listSetsOf, owner),
  findById: async (key: SetKey) => (await tx.run(statements.findSetById, key))[0],
  insert: (row: BackupCodeSetRow) => tx.run(statements.insertSet, row),
  /** Notes that a set is saved, and puts it in force if it waited for that. The place must be free. */
  confirm: async (key: SetKey, now: Date) => (await tx.run(statements.confirm, { ...key, now }))[0],
  /** One code of the set in force less; undefined when it is in force no more. */
  countDown: async (key: SetKey, now: Date) => (await tx.run(statements.countDown, { ...key, now }))[0],
  /** Notes that the user is told of how few are left: true once a set. */
  noteLow: async (key: SetKey, now: Date) => (await tx.run(statements.noteLow, { ...key, now })).length === 1,
  /** A page of a tenant's sets in force, oldest first. */
  list: async (tenantId: string, { position, size }: Page, due: Lowness & { onlyLow: boolean }) => {
    const { onlyLow, ...lowness } = due;
    const list = onlyLow ? statements.listLowSets : statements.listSets;
    const rows = await tx.run(list, { tenantId, ...lowness, ...pageParams(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.setId }));
  },
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
  list: async (key: SetKey, { position, size }: Page) => {
    const rows = await tx.run(statements.listCodes, { ...key, ...pageParams(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.codeId }));
  },
  /** Spends a code: true for exactly one of any number of callers, and never once its set is gone. */
  spend: async (key: CodeKey, now: Date) => (await tx.run(statements.spend, { ...key, now })).length === 1,
});

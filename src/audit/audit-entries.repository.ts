import { and, asc, count, desc, eq, getTableColumns, gt, gte, lt, lte, or, type SQL, sql } from "drizzle-orm";
import { readingPart } from "../db/bound-rows.ts";
import { insertSet } from "../db/sets.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { auditEntries } from "./audit-entries.table.ts";
import { auditSubjects } from "./audit-subjects.table.ts";

/** A row of the table. */
export type AuditEntryRow = ReturnType<typeof auditEntries>["$inferSelect"];

/** An entry with the user behind its pseudonym; null without a user, and after the user's erasure. */
export type NamedEntry = {
  readonly entry: AuditEntryRow;
  readonly subject: { readonly userId: string; readonly key: Buffer } | null;
};

/**
 * Selects entries of a tenant: sequence numbers between the two, both exclusive, and each further filter that is not
 * empty.
 */
export type EntryFilter = {
  readonly tenantId: string;
  readonly after: number;
  readonly before: number;
  readonly action: string;
  /** A pattern of LIKE, in which `\` escapes; empty for all. */
  readonly actionLike: string;
  readonly module: string;
  readonly targetType: string;
  readonly targetId: string;
  readonly userId: string;
  readonly operatorId: string;
  readonly outcome: string;
  readonly startTime: Date;
  readonly endTime: Date;
  readonly limit: number;
};

type Span = { tenantId: string; after: number; through: number; limit: number };

/**
 * The states of an entry as stored. A writer of the SQLite file can put invalid JSON there, and reading it must not
 * fail.
 */
const raw = (s: Building<unknown>) => {
  const { before, after, ...columns } = getTableColumns(s.table(auditEntries));
  return {
    ...columns,
    before: sql<unknown>`${before}`.as("raw_before"),
    after: sql<unknown>`${after}`.as("raw_after"),
  };
};

function stateOf(stored: unknown): AuditEntryRow["before"] {
  if (typeof stored !== "string") return stored as AuditEntryRow["before"];
  try {
    return JSON.parse(stored);
  } catch {
    return { malformed: stored };
  }
}

type Raw = Omit<AuditEntryRow, "before" | "after"> & { readonly before: unknown; readonly after: unknown };

const entryOf = (row: Raw): AuditEntryRow => ({ ...row, before: stateOf(row.before), after: stateOf(row.after) });

/** The columns of an entry, with the ids by which it is asked for told from those it is kept under. */
const wantedRows = (s: Building<EntryFilter>) => {
  const [t, u] = [s.table(auditEntries), s.table(auditSubjects)];
  const param = <N extends keyof EntryFilter & string>(name: N) => s.param(name, t.action) as SQL<string>;
  // An id is looked for as itself and, where it is a user's, as the pseudonym that it is kept under.
  const isOrIsKeptAs = (column: SQL.Aliased | typeof t.targetId, name: "targetId" | "operatorId") =>
    or(
      sql`${param(name)} = ''`,
      sql`${column} = ${param(name)}`,
      and(sql`${u.userId} = ${param(name)}`, sql`${column} = ${u.pseudonym}`),
    );
  return s.db
    .select({ entry: raw(s), subject: getTableColumns(u) })
    .from(t)
    .leftJoin(u, and(eq(u.tenantId, t.tenantId), eq(u.pseudonym, t.userId)))
    .where(
      and(
        eq(t.tenantId, s.param("tenantId", t.tenantId)),
        gt(t.sequence, s.param("after", t.sequence)),
        lt(t.sequence, s.param("before", t.sequence)),
        or(sql`${param("action")} = ''`, eq(t.action, param("action"))),
        or(sql`${param("actionLike")} = ''`, sql`${t.action} like ${param("actionLike")} escape '\\'`),
        or(sql`${param("module")} = ''`, eq(t.module, param("module"))),
        or(sql`${param("targetType")} = ''`, eq(t.targetType, param("targetType"))),
        isOrIsKeptAs(t.targetId, "targetId"),
        or(sql`${param("userId")} = ''`, sql`${u.userId} = ${param("userId")}`, eq(t.userId, param("userId"))),
        isOrIsKeptAs(t.actorId, "operatorId"),
        or(sql`${param("outcome")} = ''`, eq(t.outcome, param("outcome"))),
        gte(t.createTime, s.param("startTime", t.createTime)),
        lt(t.createTime, s.param("endTime", t.createTime)),
      ),
    );
};

const isTenant = (s: Building<{ tenantId: string }>) => {
  const t = s.table(auditEntries);
  return eq(t.tenantId, s.param("tenantId", t.tenantId));
};

const isAbout = (s: Building<{ tenantId: string; pseudonym: string }>) => {
  const t = s.table(auditEntries);
  return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.userId, s.param("pseudonym", t.userId)));
};

const statements = {
  countOf: statement((s: Building<{ tenantId: string; pseudonym: string }>) => {
    const t = s.table(auditEntries);
    return s.db.select({ count: count() }).from(t).where(isAbout(s));
  }),
  listOf: statement((s: Building<{ tenantId: string; pseudonym: string; limit: number }>) => {
    const t = s.table(auditEntries);
    return s.db.select(raw(s)).from(t).where(isAbout(s)).orderBy(desc(t.sequence)).limit(s.limit("limit"));
  }),
  insert: statement((s: Building<AuditEntryRow>) => {
    const t = s.table(auditEntries);
    return s.db.insert(t).values(s.row(t)).returning({ entryId: t.entryId });
  }),
  listOldest: readingPart(
    auditSubjects,
    "subject",
    statement((s: Building<EntryFilter>) =>
      wantedRows(s)
        .orderBy(asc(s.table(auditEntries).sequence))
        .limit(s.limit("limit")),
    ),
  ),
  listNewest: readingPart(
    auditSubjects,
    "subject",
    statement((s: Building<EntryFilter>) =>
      wantedRows(s)
        .orderBy(desc(s.table(auditEntries).sequence))
        .limit(s.limit("limit")),
    ),
  ),
  listSpan: statement((s: Building<Span>) => {
    const t = s.table(auditEntries);
    return s.db
      .select(raw(s))
      .from(t)
      .where(
        and(isTenant(s), gt(t.sequence, s.param("after", t.sequence)), lte(t.sequence, s.param("through", t.sequence))),
      )
      .orderBy(asc(t.sequence))
      .limit(s.limit("limit"));
  }),
  last: statement((s: Building<{ tenantId: string; through: number }>) => {
    const t = s.table(auditEntries);
    return s.db
      .select({ sequence: t.sequence })
      .from(t)
      .where(and(isTenant(s), gt(t.sequence, 0), lte(t.sequence, s.param("through", t.sequence))))
      .orderBy(desc(t.sequence))
      .limit(1);
  }),
  findFirstSince: statement((s: Building<{ tenantId: string; since: Date }>) => {
    const t = s.table(auditEntries);
    return s.db
      .select({ sequence: t.sequence })
      .from(t)
      .where(and(isTenant(s), gt(t.sequence, 0), gte(t.createTime, s.param("since", t.createTime))))
      .orderBy(asc(t.sequence))
      .limit(1);
  }),
  deleteThrough: statement((s: Building<{ tenantId: string; through: number }>) => {
    const t = s.table(auditEntries);
    return s.db
      .delete(t)
      .where(and(isTenant(s), lte(t.sequence, s.param("through", t.sequence))))
      .returning({ sequence: t.sequence });
  }),
};

const insertAll = insertSet<ReturnType<typeof auditEntries>, AuditEntryRow>(auditEntries);

/** The audit trail. */
export const auditEntryRepository = (tx: Tx) => ({
  insert: (row: AuditEntryRow) => tx.run(statements.insert, row),
  insertAll: (rows: readonly AuditEntryRow[]) => insertAll(tx, rows),
  list: async (wanted: EntryFilter, order: "oldest" | "newest"): Promise<NamedEntry[]> => {
    const rows = await tx.run(order === "oldest" ? statements.listOldest : statements.listNewest, wanted);
    return rows.map(({ entry, subject }) => ({ entry: entryOf(entry), subject }));
  },
  /** As they are stored, in the order of the chain. */
  listSpan: async (span: Span) => (await tx.run(statements.listSpan, span)).map(entryOf),
  /** The last place that an entry has, of those up to `through`; 0 for none. */
  lastSequence: async (tenantId: string, through = Number.MAX_SAFE_INTEGER) =>
    (await tx.run(statements.last, { tenantId, through }))[0]?.sequence ?? 0,
  /** The place of the first entry that is not older. */
  findFirstSince: async (tenantId: string, since: Date) =>
    (await tx.run(statements.findFirstSince, { tenantId, since }))[0]?.sequence ?? undefined,
  /** How many entries are about a user, by the pseudonym. */
  countOf: async (tenantId: string, pseudonym: string) =>
    (await tx.run(statements.countOf, { tenantId, pseudonym }))[0]?.count ?? 0,
  /** The newest entries about a user, by the pseudonym. */
  listOf: async (tenantId: string, pseudonym: string, limit: number) =>
    (await tx.run(statements.listOf, { tenantId, pseudonym, limit })).map(entryOf),
  /** Deletes what the store lets go: entries up to the tenant's floor. Says how many. */
  deleteThrough: async (tenantId: string, through: number) =>
    (await tx.run(statements.deleteThrough, { tenantId, through })).length,
});

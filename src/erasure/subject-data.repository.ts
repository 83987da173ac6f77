import { and, asc, eq, getTableColumns, getTableName, gt, sql, type Table } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import { type Define, type Dialect, dialects } from "../db/dialect.ts";
import { keyColumnsOf } from "../db/ended.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";

/** Every table of the service, as `schema.ts` has them. */
export type Tables = readonly ((d: Dialect) => Table)[];

/** A column of such a table. */
export interface ColumnOf {
  /** Its key in rows. */
  readonly key: string;
  /** Its name in the database. */
  readonly name: string;
}

/** A table with rows of users. */
export interface SubjectTable {
  readonly name: string;
  readonly columns: readonly ColumnOf[];
  /** Deletes at most `limit` rows of a user; returns how many. */
  deleteSome(tx: Tx, owner: Owner, limit: number): Promise<number>;
  /** Reads at most `limit` rows of a user. */
  list(tx: Tx, owner: Owner, limit: number): Promise<Record<string, unknown>[]>;
  /** Lists users of a tenant with rows, in the engine's order, after the given one, at most `limit`. */
  listUsers(tx: Tx, tenantId: string, after: string, limit: number): Promise<string[]>;
}

/**
 * Columns that look like user ids and are not: the audit trail holds pseudonyms, which become anonymous with the
 * deletion of the row in `audit_subjects`.
 */
export const PSEUDONYMOUS: readonly string[] = ["audit_entries"];

type UserTable = PgTable & { readonly tenantId: PgColumn; readonly userId: PgColumn };
type Param = <T>(name: string, column: { readonly _: { readonly data: T } }) => never;

function subjectTable(define: (d: Dialect) => Table): SubjectTable | undefined {
  const known = define(dialects.sqlite);
  const name = getTableName(known);
  const columns = Object.entries(getTableColumns(known)).map(([key, column]) => ({ key, name: column.name }));
  if (!columns.some((column) => column.name === "user_id") || PSEUDONYMOUS.includes(name)) return undefined;
  const isOwners = (s: Building<Owner>) => {
    const t = s.table(define) as UserTable;
    // The tables are known at run time only; their common columns were just checked.
    const param = s.param as Param;
    return and(eq(t.tenantId, param("tenantId", t.tenantId)), eq(t.userId, param("userId", t.userId)));
  };
  const key = keyColumnsOf(define as Define);
  const deleting = statement((s: Building<Owner & { limit: number }>) => {
    const t = s.table(define) as UserTable;
    const own = getTableColumns(t) as Record<string, PgColumn>;
    const among = Object.fromEntries(key.map((name) => [name, own[name] as PgColumn]));
    const some = s.db
      .select(among)
      .from(t as PgTable)
      .where(isOwners(s))
      .limit(s.limit("limit"));
    // The owner's condition stands inside only: with both PostgreSQL would compare each row with each.
    return s.db
      .delete(t)
      .where(sql`(${sql.join(Object.values(among), sql`, `)}) in ${some}`)
      .returning({ tenantId: t.tenantId });
  });
  const listing = statement((s: Building<Owner & { limit: number }>) =>
    s.db
      .select()
      .from(s.table(define) as UserTable)
      .where(isOwners(s))
      .limit(s.limit("limit")),
  );
  const listingUsers = statement((s: Building<{ tenantId: string; after: string; limit: number }>) => {
    const t = s.table(define) as UserTable;
    const param = s.param as Param;
    return s.db
      .selectDistinct({ userId: t.userId })
      .from(t)
      .where(and(eq(t.tenantId, param("tenantId", t.tenantId)), gt(t.userId, param("after", t.userId))))
      .orderBy(asc(t.userId))
      .limit(s.limit("limit"));
  });
  return {
    name,
    columns,
    deleteSome: async (tx, owner, limit) => (await tx.run(deleting, { ...owner, limit })).length,
    list: (tx, owner, limit) => tx.run(listing, { ...owner, limit }) as Promise<Record<string, unknown>[]>,
    listUsers: async (tx, tenantId, after, limit) =>
      (await tx.run(listingUsers, { tenantId, after, limit })).map(({ userId }) => String(userId)),
  };
}

/** The tables with rows about users, found by their column: a new one cannot be forgotten. */
export const subjectTables = (tables: Tables): SubjectTable[] => tables.flatMap((define) => subjectTable(define) ?? []);

import { and, asc, eq, getTableColumns, getTableName, gt, type Table } from "drizzle-orm";
import type { PgColumn, PgTable } from "drizzle-orm/pg-core";
import type { Owner } from "../core/caller.ts";
import { type Dialect, dialects } from "../db/dialect.ts";
import { type Building, statement, type Tx } from "../db/store.ts";

/** Every table of the service, as `schema.ts` has them. */
export type Tables = readonly ((d: Dialect) => Table)[];

/** A column as its readers need it. */
export interface ColumnOf {
  /** Its key in rows. */
  readonly key: string;
  /** Its name in the database. */
  readonly name: string;
}

/** A table with rows about users. */
export interface SubjectTable {
  readonly name: string;
  readonly columns: readonly ColumnOf[];
  /** Deletes the rows about a user; says how many. */
  delete(tx: Tx, owner: Owner): Promise<number>;
  /** At most so many rows about a user. */
  list(tx: Tx, owner: Owner, limit: number): Promise<Record<string, unknown>[]>;
  /** Whom of a tenant it has rows about, in the engine's own order: those behind one, `limit` at most. */
  listUsers(tx: Tx, tenantId: string, after: string, limit: number): Promise<string[]>;
}

/**
 * What looks like a column with a user and is none: the trail cannot be changed and holds pseudonyms, which mean nobody
 * once the row of `audit_subjects` is gone.
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
    // The tables are known at run time only; what they have in common was just looked at.
    const param = s.param as Param;
    return and(eq(t.tenantId, param("tenantId", t.tenantId)), eq(t.userId, param("userId", t.userId)));
  };
  const deleting = statement((s: Building<Owner>) => {
    const t = s.table(define) as UserTable;
    return s.db.delete(t).where(isOwners(s)).returning({ tenantId: t.tenantId });
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
    delete: async (tx, owner) => (await tx.run(deleting, owner)).length,
    list: (tx, owner, limit) => tx.run(listing, { ...owner, limit }) as Promise<Record<string, unknown>[]>,
    listUsers: async (tx, tenantId, after, limit) =>
      (await tx.run(listingUsers, { tenantId, after, limit })).map(({ userId }) => String(userId)),
  };
}

/** The tables with rows about users, found by their column: a new one cannot be forgotten. */
export const subjectTables = (tables: Tables): SubjectTable[] => tables.flatMap((define) => subjectTable(define) ?? []);

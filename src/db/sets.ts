import { setImmediate } from "node:timers/promises";
import { and, eq, getTableColumns, inArray, type SQL, sql } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { type MacColumn, writingSet } from "./bound-rows.ts";
import { type Column, type Condition, columnOf, whereAll } from "./conditions.ts";
import type { Define } from "./dialect.ts";
import { select } from "./rows.ts";
import { type Building, type Statement, statement, type Tx } from "./store.ts";

/**
 * The numbers of rows that one statement takes: powers of two, so that any number of rows needs few statements, each
 * prepared once.
 */
const SIZES = [32, 16, 8, 4, 2, 1] as const;

type Values = Readonly<Record<string, unknown>>;
/** The values of a set's rows, each under its row's number and its own name. */
type Flat = Record<string, unknown>;

const flat = (rows: readonly Values[]): Flat =>
  Object.fromEntries(
    rows.flatMap((row, n) => Object.entries(row).map(([name, value]) => [`${n}.${name}`, value] as const)),
  );

/** A value of the row of a number. */
export const ofRow = <T>(s: Building<Flat>, n: number, name: string, column: Column<T>): SQL<T> =>
  s.param(`${n}.${name}`, column);

/** Cuts a set into parts of the sizes that statements are made for. */
function partsOf<T>(rows: readonly T[]): T[][] {
  const parts: T[][] = [];
  for (let at = 0; at < rows.length; ) {
    const size = SIZES.find((one) => one <= rows.length - at) ?? 1;
    parts.push(rows.slice(at, at + size));
    at += size;
  }
  return parts;
}

/** Makes a statement of each size; what it answers runs a set by them, in the order of its rows. */
export function statementOfSet<R>(build: (size: number) => Statement<Flat, R>) {
  const made = new Map<number, Statement<Flat, R>>(SIZES.map((size) => [size, build(size)]));
  return async (tx: Tx, rows: readonly Values[]): Promise<R[]> => {
    const found: R[] = [];
    for (const part of partsOf(rows)) {
      const sized = made.get(part.length);
      if (sized) found.push(...(await tx.run(sized, flat(part))));
      // On SQLite the whole set would be one turn of the event loop.
      if (rows.length > part.length) await setImmediate();
    }
    return found;
  };
}

/** The numbers from 0 below another. */
export const upTo = (size: number): number[] => Array.from({ length: size }, (_, n) => n);

const rowAt = <T extends PgTable>(s: Building<Flat>, t: T, n: number) =>
  Object.fromEntries(
    Object.keys(getTableColumns(t)).map((name) => [name, ofRow(s, n, name, columnOf(t, name))]),
  ) as T["$inferInsert"];

/**
 * Inserts rows in few statements, and says how many. One whose key is there already fails the unit or, with `ifNew`, is
 * left out.
 */
export function insertSet<T extends PgTable, Row extends Values>(define: Define<T>, { ifNew = false } = {}) {
  const run = statementOfSet((size) =>
    writingSet(
      define,
      size,
      statement((s: Building<Flat>) => {
        const t = s.table(define);
        const inserting = s.db.insert(t).values(upTo(size).map((n) => rowAt(s, t, n)));
        return (ifNew ? inserting.onConflictDoNothing() : inserting).returning({ one: sql`1` });
      }),
    ),
  );
  return async (tx: Tx, rows: readonly Row[]): Promise<number> => (await run(tx, rows)).length;
}

/** Values that one statement is asked about at most. */
const MOST_VALUES = 256;

/** Up to 256 values of a set, the last repeated to fill it. */
type Filled = { readonly [name: `any.${number}`]: unknown };

const filled = (values: readonly unknown[]): Filled =>
  Object.fromEntries(upTo(MOST_VALUES).map((n) => [`any.${n}`, values[Math.min(n, values.length - 1)]]));

/** That a column holds one of the values of a set. */
export const isAny =
  <T extends PgTable>(define: Define<T>, name: keyof T["$inferSelect"] & string): Condition<Filled> =>
  (s) => {
    const column = columnOf(s.table(define), name);
    return inArray(
      column,
      upTo(MOST_VALUES).map((n) => s.param(`any.${n}`, column)),
    );
  };

type Owned = PgTable & { readonly tenantId: Column<string>; readonly userId: Column<string> };
/** The parameters of a statement about users of a set. */
export type SetOfUsers = Filled & { readonly tenantId: string };

/** That rows are of users of a set. */
export const isOfUsers =
  (define: Define<Owned>): Condition<SetOfUsers> =>
  (s) => {
    const t = s.table(define);
    return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), isAny(define, "userId")(s));
  };

/** Runs a statement about any number of values, 256 at once. */
export async function runForAll<P extends Filled, R>(
  tx: Tx,
  statement: Statement<P, R>,
  values: readonly unknown[],
  params: Omit<P, keyof Filled>,
): Promise<R[]> {
  const found: R[] = [];
  for (let at = 0; at < values.length; at += MOST_VALUES) {
    found.push(...(await tx.run(statement, { ...params, ...filled(values.slice(at, at + MOST_VALUES)) } as P & Flat)));
  }
  return found;
}

/** Finds the rows of many users that meet a condition. */
export function selectOfUsers<T extends Owned, Params>(define: Define<T>, condition: Condition<Params>) {
  const found = select(define, whereAll(isOfUsers(define as Define<Owned>), condition as Condition<Params & object>));
  return (tx: Tx, { tenantId, userIds }: Users, params: Params) =>
    runForAll(tx, found as Statement<SetOfUsers, Omit<T["$inferSelect"], MacColumn>>, userIds, { tenantId, ...params });
}

/** Users of a tenant. */
export interface Users {
  readonly tenantId: string;
  readonly userIds: readonly string[];
}

import { setImmediate as nextTurn } from "node:timers/promises";
import { getTableColumns, getTableName } from "drizzle-orm";
import { columnOf } from "./conditions.ts";
import { type AnyTable, type Define, dialects } from "./dialect.ts";
import type { Statement, Store, Tx } from "./store.ts";

/** Makes and checks the MACs of rows, under keys that the database does not hold. */
export interface RowMacs {
  mac(purpose: string, ...parts: readonly string[]): Buffer;
  verifies(mac: Uint8Array, purpose: string, ...parts: readonly string[]): boolean;
}

/** A row fails its MAC: it was altered, moved to another owner or table, or not written by the service. */
export class RowTampered extends Error {
  override readonly name = "RowTampered";

  constructor(table: string) {
    super(`a row of ${table} is not as the service wrote it`);
  }
}

type Values = Readonly<Record<string, unknown>>;

/** What the MAC of a table's rows covers. */
export interface Binding {
  readonly define: Define;
  readonly table: string;
  /** The columns under the MAC. */
  readonly columns: readonly string[];
  /** What each of them holds in rows from before it came. */
  readonly defaults: ReadonlyMap<string, unknown>;
  /** The others, each with the reason why it need not be: what a writer of the database gains by it. */
  readonly free: Readonly<Record<string, string>>;
  /** Whether the columns outside of the MAC agree with those under it. */
  agrees(row: Values): boolean;
  /** Of a row that is not ours: whether the call is refused, or the row counts as not there and the others still do. */
  readonly broken: "refused" | "absent";
}

/** The column that holds the MAC; the domain never sees it. */
export type MacColumn = "boundMac";

/** A row of a table as the domain has it. */
export type RowOf<D extends (...args: never[]) => AnyTable> = Omit<ReturnType<D>["$inferSelect"], MacColumn>;

/** A row as its statement writes it. */
export type WithMac<R> = R & { readonly boundMac: Buffer };

type Names<T extends AnyTable> = Exclude<keyof T["$inferSelect"] & string, MacColumn>;

const bound = new Map<unknown, Binding>();

/** Every table whose rows are bound. */
export const bindings = (): readonly Binding[] => [...bound.values()];

const PURPOSE = "row/v1";

/**
 * Puts the rows of a table under a MAC. Every column is either bound or free: one without a line does not compile. Call
 * it right behind the definition of the table.
 *
 * A column that comes later is bound without harm to rows from before it, as long as it is null, or the column's
 * default, in them.
 */
export function bindRows<T extends AnyTable, B extends Names<T>>(
  define: Define<T>,
  columns: readonly B[],
  free: Readonly<Record<Exclude<Names<T>, B>, string>>,
  {
    agrees = () => true,
    broken = "refused",
  }: { agrees?: (row: Omit<T["$inferSelect"], MacColumn>) => boolean; broken?: Binding["broken"] } = {},
): Binding {
  const t = define(dialects.sqlite);
  const sorted = [...columns].sort();
  const defaults = new Map(sorted.map((name) => [name, columnOf(t, name).default ?? null]));
  const rules = { free, agrees: agrees as Binding["agrees"], broken };
  const binding = { define, table: getTableName(t), columns: sorted, defaults, ...rules };
  bound.set(define, binding);
  return binding;
}

/** Bytes and times told from texts that look alike. */
function encoded(value: unknown): unknown {
  if (value instanceof Uint8Array) return { b: Buffer.from(value).toString("base64") };
  return value instanceof Date ? { t: value.getTime() } : value;
}

/** The columns under the MAC by name, without those that are null or have their default: so they may come later. */
function textOf({ defaults }: Binding, row: Values): string {
  const set: [string, unknown][] = [];
  for (const [name, unset] of defaults) {
    const value = row[name];
    if (value !== null && value !== unset) set.push([name, encoded(value)]);
  }
  return JSON.stringify(set);
}

/** The MAC of a row of a table. */
export const macOfRow = (macs: RowMacs, binding: Binding, row: Values): Buffer =>
  macs.mac(PURPOSE, binding.table, textOf(binding, row));

/** Gives the row without its MAC, if that is ours. */
function checked<R>(macs: RowMacs, binding: Binding, stored: R): R | undefined {
  const { boundMac, ...row } = stored as Values;
  const isOurs =
    boundMac instanceof Uint8Array &&
    macs.verifies(boundMac, PURPOSE, binding.table, textOf(binding, row)) &&
    binding.agrees(row);
  return isOurs ? (row as R) : undefined;
}

/** What is done with the MACs of the rows that a statement takes or gives. */
interface Handling {
  readonly binding: Binding;
  readonly plain: Statement<never, unknown>;
  readonly writes: boolean;
  readonly reads: boolean;
  /** Of statements that read several tables: which part of what they give is a row of this one. */
  readonly part?: string | undefined;
}

const handled = new WeakMap<object, Handling>();

function handle<P, R>(
  define: unknown,
  plain: Statement<P, R>,
  { writes = false, reads = false, part }: { writes?: boolean; reads?: boolean; part?: string },
): Statement<Omit<P, MacColumn>, R> {
  const binding = bound.get(define);
  if (!binding) return plain as Statement<never, R> as Statement<Omit<P, MacColumn>, R>;
  // Run without keys it would give what nobody has checked: `build` of this one is never called.
  const build = () => {
    throw new Error(`rows of ${binding.table} are bound: this store holds no keys`);
  };
  const statement: Statement<Omit<P, MacColumn>, R> = { build };
  handled.set(statement, { binding, plain: plain as Handling["plain"], writes, reads, part });
  return statement;
}

/** A statement that writes whole rows, whose parameters are all bound columns: it is given their MAC as `boundMac`. */
export const writing = <P, R>(define: Define, statement: Statement<P, R>): Statement<Omit<P, MacColumn>, R> =>
  handle(define, statement, { writes: true });

/** A statement that gives whole rows: each is checked before anybody sees it. */
export const reading = <P, R>(define: Define, statement: Statement<P, R>): Statement<Omit<P, MacColumn>, R> =>
  handle(define, statement, { reads: true });

/**
 * A statement that joins a whole row of a table as one part of what it gives: null instead, where there is none and where
 * it is not ours.
 */
export const readingPart = <P, R>(
  define: Define,
  part: keyof R & string,
  statement: Statement<P, R>,
): Statement<P, R> => handle(define, statement, { reads: true, part }) as Statement<P, R>;

/** A statement that writes a whole row and gives it back. */
export const rewriting = <P, R>(define: Define, statement: Statement<P, R>): Statement<Omit<P, MacColumn>, R> =>
  handle(define, statement, { writes: true, reads: true });

/** Statements that write several rows at once, each column under its row's number: "0.tenantId". */
const sets = new WeakMap<
  object,
  { readonly define: Define; readonly size: number; readonly plain: Statement<never, unknown> }
>();

/** A statement that writes a set of whole rows: each is given its MAC, "0.boundMac". */
export function writingSet<P, R>(define: Define, size: number, plain: Statement<P, R>): Statement<P, R> {
  if (!bound.has(define)) return plain;
  const build = () => {
    throw new Error("rows of a set are bound: this store holds no keys");
  };
  const statement: Statement<P, R> = { build };
  sets.set(statement, { define, size, plain: plain as Statement<never, unknown> });
  return statement;
}

/** The parameters of a set with the MAC of each row. */
function withSetMacs(macs: RowMacs, binding: Binding, size: number, params: Values): Record<string, unknown> {
  const columns = Object.keys(getTableColumns(binding.define(dialects.sqlite)));
  const made = Array.from({ length: size }, (_, n) => {
    const row = Object.fromEntries(columns.map((name) => [name, params[`${n}.${name}`]]));
    return [`${n}.boundMac`, macOfRow(macs, binding, row)] as const;
  });
  return { ...params, ...Object.fromEntries(made) };
}

/** The statement without its checks: for what is only shown or counted, so that one row does not spoil a list. */
export const unchecked = <P, R>(statement: Statement<P, R>): Statement<P, R> =>
  (handled.get(statement)?.plain ?? statement) as Statement<P, R>;

/** Rows whose MACs are checked in one turn of the event loop: some milliseconds' work. */
const CHECKED_AT_ONCE = 64;

type OnTampered = (table: string) => void;

/** The unit's inside with keys: it makes the MACs of what is written and checks those of what is read. */
const withMacs = (tx: Tx, macs: RowMacs, onTampered: OnTampered): Tx => ({
  announce: (topic) => tx.announce(topic),
  async run<P extends Record<string, unknown>, R>(statement: Statement<P, R>, params: P): Promise<R[]> {
    const set = sets.get(statement);
    const ofSet = set && bound.get(set.define);
    if (ofSet) return tx.run(set.plain as Statement<Values, R>, withSetMacs(macs, ofSet, set.size, params));
    const handling = handled.get(statement);
    if (!handling) return tx.run(statement, params);
    const { binding, writes, reads, part } = handling;
    const given = writes ? { ...params, boundMac: macOfRow(macs, binding, params) } : params;
    const rows = (await tx.run(handling.plain as Statement<typeof given, unknown>, given)) as R[];
    if (!reads) return rows;
    if (part !== undefined) {
      return rows.map((stored) => {
        const joined = (stored as Values)[part];
        const row = joined === null ? null : checked(macs, binding, joined);
        if (row === undefined) onTampered(binding.table);
        return { ...stored, [part]: row ?? null };
      });
    }
    const ours: R[] = [];
    for (const [n, stored] of rows.entries()) {
      if (n > 0 && n % CHECKED_AT_ONCE === 0) await nextTurn();
      const row = checked(macs, binding, stored);
      if (row === undefined) onTampered(binding.table);
      if (row === undefined && binding.broken === "refused") throw new RowTampered(binding.table);
      if (row !== undefined) ours.push(row);
    }
    return ours;
  },
});

/**
 * The store with keys: only through it are tables with bound rows to be read and written. `onTampered` hears of each row
 * that is not ours.
 */
export const bindingStore = (store: Store, macs: RowMacs, onTampered: OnTampered = () => {}): Store => ({
  ...store,
  read: (work) => store.read((tx) => work(withMacs(tx, macs, onTampered))),
  write: (work, about) => store.write((tx) => work(withMacs(tx, macs, onTampered)), about),
});

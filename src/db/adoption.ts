import { and, eq, isNull, type SQL } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import { type Binding, bindings, macOfRow, type RowMacs } from "./bound-rows.ts";
import { columnOf } from "./conditions.ts";
import { keyColumnsOf } from "./ended.ts";
import { type Building, type Statement, statement } from "./store.ts";

type Values = Record<string, unknown>;

/** A statement to run; its rows are passed back in. */
export interface Step {
  readonly statement: Statement<Values, Values>;
  readonly params: Values;
}

/** Rows bound in one step. */
const BATCH = 500;

function statementsOf({ define }: Binding) {
  const names = keyColumnsOf(define);
  const isThis = (s: Building<Values>, t: PgTable): SQL | undefined =>
    and(...names.map((name) => eq(columnOf<unknown>(t, name), s.param(name, columnOf<unknown>(t, name)))));
  return {
    unbound: statement((s: Building<Values>) => {
      const t: PgTable = s.table(define);
      const rows = s.db
        .select()
        .from(t)
        .where(isNull(columnOf(t, "boundMac")))
        .limit(s.limit("limit"));
      return rows as PromiseLike<Values[]>;
    }),
    bind: statement((s: Building<Values>) => {
      const t: PgTable = s.table(define);
      const boundMac = s.param("boundMac", columnOf<Buffer>(t, "boundMac"));
      return s.db.update(t).set({ boundMac }).where(isThis(s, t)).returning() as PromiseLike<Values[]>;
    }),
  };
}

/**
 * Gives existing rows their MACs, in the transaction of the migration that adds the column, and never later. The
 * generator yields statements; the caller runs each and passes its rows back, synchronously on SQLite, asynchronously
 * on PostgreSQL.
 */
export function* adopt(macs: RowMacs, tables: readonly string[]): Generator<Step, void, Values[]> {
  for (const binding of bindings()) {
    if (!tables.includes(binding.table)) continue;
    const { unbound, bind } = statementsOf(binding);
    for (let full = true; full; ) {
      const rows = yield { statement: unbound, params: { limit: BATCH } };
      for (const row of rows) {
        yield { statement: bind, params: { ...row, boundMac: macOfRow(macs, binding, row) } };
      }
      full = rows.length === BATCH;
    }
  }
}

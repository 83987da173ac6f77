import { and, eq, gt, ne, or, type SQL, sql } from "drizzle-orm";
import type { PgTable } from "drizzle-orm/pg-core";
import type { Column, Condition } from "../db/conditions.ts";
import type { Define } from "../db/dialect.ts";
import { isInSpan, type UserSpan } from "../db/span.ts";
import { type Building, type Statement, statement } from "../db/store.ts";

/** What every table of enrolled instances has. */
type Owned = PgTable & { readonly tenantId: Column<string>; readonly userId: Column<string> };
/** What those have that users name. */
type Named = PgTable & {
  readonly displayName: Column<string>;
  readonly version: Column<number>;
  readonly updateTime: Column<Date>;
};
/** What those have whose instances are pending first. */
type Pending = PgTable & { readonly state: Column<string>; readonly expireTime: Column<Date> };

/** Not pending, or not yet forgotten: expiry holds here, whenever the clean-up comes by. */
export const isLive =
  (define: Define<Pending>): Condition<{ now: Date }> =>
  (s) => {
    const t = s.table(define);
    return or(ne(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime)));
  };

/** The users of a span who hold instances that meet a condition: a row an instance. */
export const holders = <Params>(
  define: Define<Owned>,
  condition: Condition<Params>,
): Statement<UserSpan & Params, { userId: string }> =>
  statement((s: Building<UserSpan & Params>) => {
    const t = s.table(define);
    return s.db
      .select({ userId: t.userId })
      .from(t as PgTable)
      .where(and(isInSpan(s, t), condition(s as Building<Params>))) as PromiseLike<{ userId: string }[]>;
  });

/** A new name for an instance that is still of the version that its user saw. */
export type Renaming = { readonly displayName: string; readonly version: number; readonly now: Date };

/** Renames the instance that meets a condition, if it is still of the version. */
export const rename = <T extends Named, Params>(
  define: Define<T>,
  condition: Condition<Params>,
): Statement<Params & Renaming, T["$inferSelect"]> =>
  statement((s: Building<Params & Renaming>) => {
    const t: Named = s.table(define);
    const renamed = {
      displayName: s.param("displayName", t.displayName),
      version: sql`${t.version} + 1`,
      updateTime: s.param("now", t.updateTime),
    } satisfies Partial<Record<keyof Named, SQL>>;
    return s.db
      .update(t as PgTable)
      .set(renamed)
      .where(and(condition(s as Building<Params>), eq(t.version, s.param("version", t.version))))
      .returning() as PromiseLike<T["$inferSelect"][]>;
  });

import { and, eq, isNull, sql } from "drizzle-orm";
import { whereAll, whereEquals, whereIn } from "../../src/db/conditions.ts";
import type { Dialect } from "../../src/db/dialect.ts";
import { deleteRows, insertIfNew, select, selectPage } from "../../src/db/rows.ts";
import { type Building, statement } from "../../src/db/store.ts";
import type { EngineUnderTest, Opened } from "../support/engine/engines.ts";

/** A table with a column of every kind, known to these tests only. */
export const things = (d: Dialect) =>
  d.table(
    "things",
    {
      id: d.text("id").primaryKey(),
      owner: d.text("owner").notNull(),
      createTime: d.instant("create_time").notNull(),
      useTime: d.instant("use_time"),
      size: d.integer("size"),
      count: d.counter("count"),
      flag: d.boolean("flag"),
      digest: d.bytes("digest"),
      document: d.json<unknown>("document"),
    },
    (t) => [d.index("things_owner").on(t.owner, t.createTime, t.id)],
  );

/** How it is created, in each engine's own words. */
export const DDL = {
  sqlite: `CREATE TABLE things (id text PRIMARY KEY, owner text NOT NULL, create_time integer NOT NULL, use_time integer,
    size integer, count integer, flag integer, digest blob, document text)`,
  postgres: `CREATE TABLE things (id text PRIMARY KEY, owner text NOT NULL, create_time timestamptz(3) NOT NULL,
    use_time timestamptz(3), size integer, count bigint, flag boolean, digest bytea, document json)`,
};

/** Creates the table. */
export const createThings = (opened: Opened, { name }: EngineUnderTest): Promise<void> => opened.execute(DDL[name]);

/** A row as it is written and as it has to come back. */
export type Thing = {
  id: string;
  owner: string;
  createTime: Date;
  useTime: Date | null;
  size: number | null;
  count: number | null;
  flag: boolean | null;
  digest: Buffer | null;
  document: unknown;
};

/** A row of which only the id matters. */
export const thing = (id: string, values: Partial<Thing> = {}): Thing => ({
  id,
  owner: "ann",
  createTime: new Date(1_790_000_000_000),
  useTime: null,
  size: null,
  count: null,
  flag: null,
  digest: null,
  document: null,
  ...values,
});

const values = (s: Building<Thing>) => {
  const t = s.table(things);
  return {
    id: s.param("id", t.id),
    owner: s.param("owner", t.owner),
    createTime: s.param("createTime", t.createTime),
    useTime: s.param("useTime", t.useTime),
    size: s.param("size", t.size),
    count: s.param("count", t.count),
    flag: s.param("flag", t.flag),
    digest: s.param("digest", t.digest),
    document: s.param("document", t.document),
  };
};

export const insert = statement((s: Building<Thing>) => {
  const t = s.table(things);
  return s.db.insert(t).values(values(s)).returning();
});

/** Without `returning` SQLite keeps no statement journal: a full disk then rolls back the whole transaction. */
export const insertSilently = statement((s: Building<Thing>) => {
  const t = s.table(things);
  return s.db.insert(t).values(values(s)) as unknown as PromiseLike<never[]>; // has no rows, so no type for them
});

export const insertUnlessThere = insertIfNew(things);

/** Every column through `.set`. */
export const replace = statement((s: Building<Thing>) => {
  const t = s.table(things);
  return s.db
    .update(t)
    .set(values(s))
    .where(eq(t.id, s.param("id", t.id)))
    .returning();
});

/** Every comparable column through `where`. */
export const match = statement((s: Building<Omit<Thing, "document">>) => {
  const t = s.table(things);
  return s.db
    .select({ id: t.id })
    .from(t)
    .where(
      and(
        eq(t.owner, s.param("owner", t.owner)),
        eq(t.createTime, s.param("createTime", t.createTime)),
        eq(t.useTime, s.param("useTime", t.useTime)),
        eq(t.size, s.param("size", t.size)),
        eq(t.count, s.param("count", t.count)),
        eq(t.flag, s.param("flag", t.flag)),
        eq(t.digest, s.param("digest", t.digest)),
      ),
    );
});

export const find = select(things, whereEquals(things, "id"));

export const ids = statement((s: Building<Record<never, never>>) => {
  const t = s.table(things);
  return s.db.select({ id: t.id }).from(t).orderBy(t.id);
});

/** Pages of one owner's, from either end. */
export const pages = {
  oldestFirst: selectPage(things, whereEquals(things, "owner"), { time: "createTime", id: "id" }),
  newestFirst: selectPage(things, whereEquals(things, "owner"), { time: "createTime", id: "id", newestFirst: true }),
};

export const deleteOf = deleteRows(things, whereAll(whereEquals(things, "owner"), whereIn(things, "size", 1, 2)));

/** The shape in which every one-time thing is spent. */
export const spend = statement((s: Building<{ id: string; now: Date }>) => {
  const t = s.table(things);
  return s.db
    .update(t)
    .set({ useTime: s.param("now", t.useTime) })
    .where(and(eq(t.id, s.param("id", t.id)), isNull(t.useTime)))
    .returning({ id: t.id });
});

/** The shape in which attempts are counted. */
export const hit = statement((s: Building<{ id: string; now: Date }>) => {
  const t = s.table(things);
  return s.db
    .insert(t)
    .values({ id: s.param("id", t.id), owner: "ann", createTime: s.param("now", t.createTime), count: 1 })
    .onConflictDoUpdate({ target: t.id, set: { count: sql`${t.count} + 1` } })
    .returning({ count: t.count });
});

import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { expect, inject, it, onTestFinished, vi } from "vitest";
import { guards } from "../../src/db/append-only.ts";
import { claimMode } from "../../src/db/installation.ts";
import { openStore } from "../../src/db/open.ts";
import { openPostgres, type PostgresOptions } from "../../src/db/postgres.ts";
import { type Store, StoreConflict, StoreUnavailable } from "../../src/db/store.ts";
import { emptyDatabase } from "../support/engine/engines.ts";
import { execute, startPostgres } from "../support/engine/postgres.ts";
import { migrationsOf } from "./migrations.ts";
import { DDL, find, ids, insert, replace, thing } from "./things.ts";

/** A store on the table of these tests. */
async function open(options: Partial<PostgresOptions> = {}) {
  const url = options.url ?? (await emptyDatabase());
  await execute(url, DDL.postgres);
  const store = await openPostgres({ connectTimeoutMs: 30_000, ...options, url });
  onTestFinished(() => store.close());
  return { store, url, allIds: () => idsIn(store) };
}

const idsIn = async (store: Store) => (await store.read((tx) => tx.run(ids, {}))).map(({ id }) => id);

/** A function that the server runs after each row of the table, at the end of the statement or of the transaction. */
const trigger = (body: string, deferred = "") =>
  `CREATE FUNCTION interfere() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${body}; RETURN NULL; END $$;
   CREATE CONSTRAINT TRIGGER interfere AFTER INSERT ON things ${deferred} FOR EACH ROW EXECUTE FUNCTION interfere()`;

it("loses no acknowledged write when the server restarts, hangs nobody and recovers by itself", async () => {
  const server = await startPostgres();
  onTestFinished(() => server.remove());
  const { store } = await open({ url: server.url, connectTimeoutMs: 2_000 });
  const acknowledged: string[] = [];
  const refused: unknown[] = [];
  const acknowledgedSince = { restart: 0 };
  let restarted = false;
  const writer = async (name: number) => {
    for (let i = 0; acknowledgedSince.restart < 100; i++) {
      const id = `${name}-${i}`;
      const back = restarted;
      try {
        await store.write((tx) => tx.run(insert, thing(id)));
        acknowledged.push(id);
        if (back) acknowledgedSince.restart++;
      } catch (error) {
        refused.push(error);
        await new Promise((resolve) => setTimeout(resolve, 5)); // a client that comes again
      }
    }
  };
  const writers = Promise.all(Array.from({ length: 24 }, (_, i) => writer(i)));
  await vi.waitUntil(() => acknowledged.length > 200, { timeout: 30_000 });
  await server.stop();
  await vi.waitUntil(() => refused.length > 0, { timeout: 30_000 });
  await server.start();
  restarted = true;
  await writers;
  for (const error of refused) expect(error).toBeInstanceOf(StoreUnavailable);
  const present = new Set(await idsIn(store));
  expect(acknowledged.filter((id) => !present.has(id))).toEqual([]);
  await store.close(); // before the server goes
});

it("leaks no client when BEGIN fails", async () => {
  const { store, allIds } = await open({ poolSize: 2 });
  const query = pg.Client.prototype.query;
  const failing = vi.spyOn(pg.Client.prototype, "query").mockImplementation(function (
    this: pg.Client,
    ...args: unknown[]
  ) {
    if (args[0] === "BEGIN") return Promise.reject(new Error("Connection terminated unexpectedly"));
    return Reflect.apply(query, this, args);
  });
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => store.write((tx) => tx.run(insert, thing(`${i}`)))),
  );
  failing.mockRestore();
  for (const result of results) {
    expect(result).toMatchObject({ status: "rejected", reason: expect.any(StoreUnavailable) });
  }
  await store.write((tx) => tx.run(insert, thing("after")));
  expect(await allIds()).toEqual(["after"]);
});

it("survives the loss of connections, idle and in use", async () => {
  const { store, url, allIds } = await open();
  const killAll =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
  await Promise.all(Array.from({ length: 8 }, (_, i) => store.write((tx) => tx.run(insert, thing(`idle-${i}`)))));
  const cut = store.write(async (tx) => {
    await tx.run(insert, thing("cut"));
    await execute(url, killAll);
    await tx.run(insert, thing("never"));
  });
  await expect(cut).rejects.toBeInstanceOf(StoreUnavailable);
  await vi.waitUntil(() =>
    store
      .write((tx) => tx.run(insert, thing("after")))
      .then(
        () => true,
        () => false,
      ),
  );
  expect(await allIds()).toEqual(["after", ...Array.from({ length: 8 }, (_, i) => `idle-${i}`)]);
});

it("does not report as done what broke during its commit", async () => {
  const { store, url } = await open();
  await execute(url, trigger("PERFORM pg_terminate_backend(pg_backend_pid())", "DEFERRABLE INITIALLY DEFERRED"));
  await expect(store.write((tx) => tx.run(insert, thing("lost")))).rejects.toBeInstanceOf(StoreUnavailable);
});

it("runs both units again until both succeed when they lock each other out", async () => {
  const { store } = await open();
  await store.write(async (tx) => {
    await tx.run(insert, thing("a", { count: 0 }));
    await tx.run(insert, thing("b", { count: 0 }));
  });
  const arrived = [Promise.withResolvers<void>(), Promise.withResolvers<void>()] as const;
  let runs = 0;
  const both = (mine: 0 | 1, ...order: [string, string]) =>
    store.write(async (tx) => {
      runs++;
      await tx.run(replace, thing(order[0], { owner: "first" }));
      arrived[mine].resolve();
      await arrived[mine === 0 ? 1 : 0].promise;
      await tx.run(replace, thing(order[1], { owner: "second" }));
    });
  await Promise.all([both(0, "a", "b"), both(1, "b", "a")]);
  expect(runs).toBeGreaterThan(2);
});

it("gives up with a conflict after four attempts", async () => {
  const { store, url, allIds } = await open();
  await execute(url, trigger("RAISE EXCEPTION 'lost' USING ERRCODE = 'serialization_failure'"));
  let runs = 0;
  const unit = store.write(async (tx) => {
    runs++;
    await tx.run(insert, thing("loser"));
  });
  await expect(unit).rejects.toBeInstanceOf(StoreConflict);
  expect(runs).toBe(4);
  expect(await allIds()).toEqual([]);
});

it("waits no longer than its limit for a row that somebody keeps locked", async () => {
  const { store, url } = await open();
  await store.write((tx) => tx.run(insert, thing("locked")));
  const other = new pg.Client({ connectionString: url });
  await other.connect();
  await other.query("BEGIN; UPDATE things SET size = 1");
  await expect(store.write((tx) => tx.run(replace, thing("locked")))).rejects.toBeInstanceOf(StoreUnavailable);
  await other.end();
  await expect(store.write((tx) => tx.run(replace, thing("locked")))).resolves.toHaveLength(1);
});

it("refuses further units when no connection is to be had", async () => {
  const { store } = await open({ poolSize: 1, connectTimeoutMs: 100 });
  const release = Promise.withResolvers<void>();
  const holding = store.write(() => release.promise);
  await expect(store.write(async () => {})).rejects.toBeInstanceOf(StoreUnavailable);
  release.resolve();
  await holding;
  await store.write(async () => {});
});

it("runs the queries of a unit that asks for several at once, one after the other", async () => {
  const { store, allIds } = await open();
  const warning = vi.spyOn(process, "emitWarning");
  await store.write((tx) => Promise.all(["a", "b", "c"].map((id) => tx.run(insert, thing(id)))));
  expect(warning).not.toHaveBeenCalled();
  expect(await allIds()).toEqual(["a", "b", "c"]);
});

it("reads instants right whatever the database's own time zone and style", async () => {
  const { url } = inject("postgres");
  const mine = await emptyDatabase();
  const name = new URL(mine).pathname.slice(1);
  await execute(
    url,
    `ALTER DATABASE ${name} SET TimeZone = 'Asia/Kolkata'`,
    `ALTER DATABASE ${name} SET DateStyle = 'German, DMY'`,
  );
  const { store } = await open({ url: mine });
  const createTime = new Date("2026-02-03T04:05:06.007Z");
  await store.write((tx) => tx.run(insert, thing("one", { createTime })));
  expect((await store.read((tx) => tx.run(find, { id: "one" })))[0]?.createTime).toEqual(createTime);
});

it("keeps reads from writing also when the url brings options of its own", async () => {
  const url = new URL(await emptyDatabase());
  url.searchParams.set("options", "-c application_name=mine");
  const { store } = await open({ url: url.href });
  await expect(store.read((tx) => tx.run(insert, thing("smuggled")))).rejects.toThrow("read-only");
});

it("refuses a server that acknowledges what it may lose", async () => {
  const { url } = inject("postgres");
  const mine = await emptyDatabase();
  await execute(url, `ALTER DATABASE ${new URL(mine).pathname.slice(1)} SET synchronous_commit = off`);
  await expect(openPostgres({ url: mine })).rejects.toThrow("synchronous_commit=off");
});

it("tells unavailability from other failures when no server answers", async () => {
  await expect(openPostgres({ url: "postgres://mfa:mfa@127.0.0.1:1/mfa" })).rejects.toBeInstanceOf(StoreUnavailable);
});

it("migrates an empty database once when four instances start at the same moment", async () => {
  const url = await emptyDatabase();
  const migrations = await migrationsOf({
    "0000_first": ["CREATE TYPE mood AS ENUM ('good', 'bad')", DDL.postgres],
    "0001_second": ["INSERT INTO things (id, owner, create_time) VALUES ('seed', 'nobody', now())"],
  });
  const stores = await Promise.all(Array.from({ length: 4 }, () => openPostgres({ url, migrations })));
  for (const store of stores) expect(await idsIn(store)).toEqual(["seed"]);
  await Promise.all(stores.map((store) => store.close()));
});

it("tells other instances what was announced, and those that were away that they may have missed something", async () => {
  const { store, url } = await open();
  const other = await openPostgres({ url, connectTimeoutMs: 30_000 });
  onTestFinished(() => other.close());
  const told: string[] = [];
  let missed = 0;
  other.listen({ onTopic: (topic) => void told.push(topic), onGap: () => void missed++ });
  await vi.waitUntil(() => missed === 1, { timeout: 30_000 }); // it was away until now
  await store.write(async (tx) => tx.announce("first"));
  await vi.waitUntil(() => told.length === 1, { timeout: 30_000 });
  await execute(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'");
  await vi.waitUntil(() => missed === 2, { timeout: 30_000 });
  await store.write(async (tx) => tx.announce("second"));
  await other.write(async (tx) => tx.announce("own"));
  await vi.waitUntil(() => told.length === 3, { timeout: 30_000 });
  expect(told.toSorted()).toEqual(["first", "own", "second"]);
});

/** Listens to a store that hears of other instances; answers what it was told. */
async function listening(store: Store) {
  const told: string[] = [];
  let missed = 0;
  store.listen({ onTopic: (topic) => void told.push(topic), onGap: () => void missed++ });
  await vi.waitUntil(() => missed === 1, { timeout: 30_000 });
  return { told, missed: () => missed };
}

it.each([
  ["it was done", 0],
  ["it is done later", 300],
])("tells its own listeners when a COMMIT was not answered, and %s", async (_, delayMs) => {
  const { store, allIds } = await open();
  const { told, missed } = await listening(store);
  const query = pg.Client.prototype.query;
  vi.spyOn(pg.Client.prototype, "query").mockImplementation(function (this: pg.Client, ...args: unknown[]) {
    if (args[0] !== "COMMIT") return Reflect.apply(query, this, args);
    const commit = () => Reflect.apply(query, this, args) as Promise<unknown>;
    const done = delayMs === 0 ? commit() : sleep(delayMs).then(commit);
    return (delayMs === 0 ? done : Promise.resolve()).then(() => Promise.reject(new Error("Query read timeout")));
  });
  vi.spyOn(pg.Client.prototype, "end").mockImplementation(() => Promise.resolve()); // the server goes on
  onTestFinished(() => void vi.restoreAllMocks());
  const unit = store.write(async (tx) => {
    await tx.run(insert, thing("one"));
    tx.announce("topic");
  });
  await expect(unit).rejects.toBeInstanceOf(StoreUnavailable);
  expect(missed()).toBe(2); // listeners read again, so they find what was committed before
  if (delayMs > 0) await vi.waitUntil(() => told.includes("topic"), { timeout: 20_000 });
  vi.restoreAllMocks();
  expect(await allIds()).toEqual(["one"]);
});

it("serves two installations in one database, each in a schema of its own with guards of its own", async () => {
  const url = await emptyDatabase();
  await execute(url, "CREATE SCHEMA one", 'CREATE SCHEMA "Two"');
  const urlOf = (schema: string) => {
    const own = new URL(url);
    own.searchParams.set("options", `-c search_path=${schema},public`);
    return own.href;
  };
  for (const schema of ["public", "one", '"Two"', "one", "public"]) {
    const store = await openStore({ url: urlOf(schema), connectTimeoutMs: 30_000 });
    await claimMode(store, "dev");
    await store.close();
  }
  const client = new pg.Client({ connectionString: url });
  onTestFinished(() => client.end());
  await client.connect();
  const { rows } = await client.query(
    `SELECT nspname, count(*)::int AS guards FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
     JOIN pg_namespace n ON n.oid = relnamespace WHERE NOT tgisinternal GROUP BY nspname`,
  );
  const { length } = guards.postgres;
  expect(new Map(rows.map(({ nspname, guards: count }) => [nspname, count]))).toEqual(
    new Map([
      ["public", length],
      ["one", length],
      ["Two", length],
    ]),
  );
});

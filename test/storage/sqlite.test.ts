import { AsyncLocalStorage } from "node:async_hooks";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { openSqlite, type SqliteOptions } from "../../src/db/sqlite.ts";
import { StoreUnavailable } from "../../src/db/store.ts";
import { DDL, ids, insert, insertSilently, thing } from "./things.ts";

let path: string;

beforeEach(async () => {
  const folder = await mkdtemp(join(tmpdir(), "mfa-sqlite-"));
  path = join(folder, "data", "mfa.db");
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
});

/** Opens a store and catches the connections it makes: the writing one first. */
function open(options: Partial<SqliteOptions> = {}) {
  const pragma = vi.spyOn(Database.prototype, "pragma");
  const store = openSqlite({ path, ...options });
  const [writer, reader] = [...new Set(pragma.mock.contexts)] as Database.Database[];
  pragma.mockRestore();
  onTestFinished(() => store.close());
  if (!writer || !reader) throw new Error("The store made no two connections");
  return { store, writer, reader, allIds: async () => (await store.read((tx) => tx.run(ids, {}))).map(({ id }) => id) };
}

/** The same with the table of these tests. */
function openWithThings(options: Partial<SqliteOptions> = {}) {
  const opened = open(options);
  opened.writer.exec(DDL.sqlite);
  return opened;
}

/** Another process, as far as locks are concerned. */
function foreigner(): Database.Database {
  const connection = new Database(path);
  onTestFinished(() => void connection.close());
  return connection;
}

it("holds its settings on every connection, also after opening a WAL file again", async () => {
  for (const round of [1, 2]) {
    const { store, writer, reader } = open({ cacheMegabytes: 8 });
    for (const connection of [writer, reader]) {
      const value = (name: string) => connection.pragma(name, { simple: true });
      expect({ round, synchronous: value("synchronous") }).toEqual({ round, synchronous: 2 });
      expect(value("journal_mode")).toBe("wal");
      expect(value("foreign_keys")).toBe(1);
      expect(value("secure_delete")).toBe(1);
      expect(value("busy_timeout")).toBeLessThanOrEqual(100);
      expect(value("wal_autocheckpoint")).toBe(10_000);
      expect(value("cache_size")).toBe(-4 * 1024);
    }
    expect(writer.pragma("query_only", { simple: true })).toBe(0);
    expect(reader.pragma("query_only", { simple: true })).toBe(1);
    expect(reader.readonly).toBe(true);
    await store.close();
  }
});

it("lets nobody else read its files", async () => {
  const { store } = openWithThings();
  await store.write((tx) => tx.run(insert, thing("one")));
  const mode = async (file: string) => ((await stat(file)).mode & 0o777).toString(8);
  expect(await mode(join(path, ".."))).toBe("700");
  for (const suffix of ["", "-wal", "-shm", ".lock"]) expect(await mode(path + suffix)).toBe("600");
});

it("refuses a second store on the same file, in this process", async () => {
  const { store } = open();
  expect(() => openSqlite({ path })).toThrow("in use");
  await store.close();
  expect(() => open()).not.toThrow();
});

it("refuses a second process, and survives the first one's violent death", async () => {
  await open().store.close();
  const modules = new URL("../../src/db/", import.meta.url).href;
  const script = `
    const { openSqlite } = await import("${modules}sqlite.ts");
    const { insert, thing } = await import("${new URL("./things.ts", import.meta.url).href}");
    const store = openSqlite({ path: process.argv[1] });
    await Promise.all(Array.from({ length: 50 }, (_, i) => store.write((tx) => tx.run(insert, thing("child" + i)))));
    console.log("written");
    setInterval(() => {}, 1_000);`;
  foreigner().exec(DDL.sqlite);
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script, path], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const first = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  expect(String(first[0]).trim()).toBe("written");
  expect(() => openSqlite({ path })).toThrow("in use");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await open().allIds()).toHaveLength(50);
});

it.each([
  ["a statement", insert],
  ["the whole batch", insertSilently],
])("answers nobody wrongly when a full disk costs %s, and goes on when there is room", async (_, statement) => {
  const { store, writer, allIds } = openWithThings({ batchSize: 40 });
  const pages = Number(writer.pragma("page_count", { simple: true }));
  writer.pragma(`max_page_count = ${pages + 60}`);
  const write = (id: string) => store.write((tx) => tx.run(statement, thing(id, { digest: Buffer.alloc(2_000) })));
  const names = Array.from({ length: 300 }, (_, i) => `${i}`.padStart(3, "0"));
  const results = await Promise.allSettled(names.map(write));
  const kept = names.filter((_, i) => results[i]?.status === "fulfilled");
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.length).toBeLessThan(300);
  expect(await allIds()).toEqual(kept);
  for (const result of results) {
    if (result.status === "rejected") expect(result.reason).toBeInstanceOf(StoreUnavailable);
  }
  await expect(write("still full")).rejects.toBeInstanceOf(StoreUnavailable);
  writer.pragma("max_page_count = 1000000");
  await Promise.all(names.filter((name) => !kept.includes(name)).map(write));
  expect(await allIds()).toEqual(names);
});

it("answers no unit of a batch that a full disk took along, not even one that threw by itself", async () => {
  const { store, writer, allIds } = openWithThings();
  const pages = Number(writer.pragma("page_count", { simple: true }));
  writer.pragma(`max_page_count = ${pages + 2}`);
  const results = await Promise.allSettled([
    store.write((tx) => tx.run(insert, thing("small"))),
    store.write(async (tx) => {
      throw new Error(`saw ${(await tx.run(ids, {})).length}`);
    }),
    store.write(async (tx) => {
      await tx.run(insertSilently, thing("large", { digest: Buffer.alloc(100_000) })).catch(() => {});
      return "nothing happened";
    }),
    store.write((tx) => tx.run(insert, thing("behind"))),
  ]);
  for (const result of results) {
    expect(result).toMatchObject({ status: "rejected", reason: expect.any(StoreUnavailable) });
  }
  expect(await allIds()).toEqual([]);
  expect(writer.inTransaction).toBe(false);
  await store.write((tx) => tx.run(insert, thing("small")));
  expect(await allIds()).toEqual(["small"]);
});

it("refuses a batch whose COMMIT fails, and goes on with the next", async () => {
  const { store, writer, allIds } = openWithThings();
  // A deferred foreign key is SQLite's own way to fail at COMMIT and to keep the transaction open.
  writer.exec("CREATE TABLE child (parent text REFERENCES things (id) DEFERRABLE INITIALLY DEFERRED)");
  writer.exec("CREATE TRIGGER orphan AFTER INSERT ON things BEGIN INSERT INTO child VALUES ('nobody'); END");
  const refused = ["a", "b"].map((id) => store.write((tx) => tx.run(insert, thing(id))));
  for (const result of await Promise.allSettled(refused)) {
    expect(result).toMatchObject({ status: "rejected", reason: expect.any(StoreUnavailable) });
  }
  expect(writer.inTransaction).toBe(false);
  writer.exec("DROP TRIGGER orphan");
  await store.write((tx) => tx.run(insert, thing("c")));
  expect(await allIds()).toEqual(["c"]);
});

it("serves reads and timers while another process holds the lock, and writes when it lets go", async () => {
  const { store, allIds } = openWithThings({ busyTimeoutMs: 60_000 });
  const other = foreigner();
  other.exec("BEGIN EXCLUSIVE");
  let settled = false;
  const write = store
    .write((tx) => tx.run(insert, thing("patient")))
    .finally(() => {
      settled = true;
    });
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await allIds()).toEqual([]);
  expect(settled).toBe(false);
  other.exec("ROLLBACK");
  await write;
  expect(await allIds()).toEqual(["patient"]);
});

it("refuses writes when the lock is held for too long, and writes again afterwards", async () => {
  const { store, allIds } = openWithThings({ busyTimeoutMs: 50 });
  const other = foreigner();
  other.exec("BEGIN EXCLUSIVE");
  const results = await Promise.allSettled(["a", "b", "c"].map((id) => store.write((tx) => tx.run(insert, thing(id)))));
  for (const result of results) {
    expect(result).toMatchObject({ status: "rejected", reason: expect.any(StoreUnavailable) });
  }
  other.exec("ROLLBACK");
  await store.write((tx) => tx.run(insert, thing("d")));
  expect(await allIds()).toEqual(["d"]);
});

it("rolls back one unit of a batch alone, and answers all of them after their common commit", async () => {
  const { store, allIds } = openWithThings();
  const outside = AsyncLocalStorage.snapshot();
  const results = await Promise.allSettled([
    store.write((tx) => tx.run(insert, thing("before"))),
    store.write(async (tx) => {
      await tx.run(insert, thing("guilty"));
      throw new Error("guilty");
    }),
    store.write(async (tx) => {
      await tx.run(insert, thing("behind"));
      return { inside: (await tx.run(ids, {})).map(({ id }) => id), outside: await outside(allIds) };
    }),
  ]);
  // The third sees the first one's row, which is not committed: they share a transaction.
  expect(results[2]).toEqual({ status: "fulfilled", value: { inside: ["before", "behind"], outside: [] } });
  expect(results[1]).toMatchObject({ status: "rejected", reason: new Error("guilty") });
  expect(await allIds()).toEqual(["before", "behind"]);
});

it("rolls back a unit that never ends, so that the others go on", async () => {
  const { store, allIds } = openWithThings({ unitTimeoutMs: 100 });
  const stuck = store.write(async (tx) => {
    await tx.run(insert, thing("stuck"));
    await new Promise(() => {});
  });
  const behind = store.write((tx) => tx.run(insert, thing("behind")));
  await expect(stuck).rejects.toBeInstanceOf(StoreUnavailable);
  await behind;
  expect(await allIds()).toEqual(["behind"]);
});

it("reports a slow unit, in the context of its caller, and no quick one", async () => {
  const caller = new AsyncLocalStorage<string>();
  const slow: [number, string | undefined][] = [];
  const { store } = openWithThings({ onSlowUnit: (milliseconds) => slow.push([milliseconds, caller.getStore()]) });
  await Promise.all([
    caller.run("quick", () => store.write(async () => {})),
    caller.run("slow", () => store.write(() => new Promise((resolve) => setTimeout(resolve, 80)))),
  ]);
  expect(slow).toEqual([[expect.any(Number), "slow"]]);
});

it("overwrites what is deleted", async () => {
  const { store, writer } = openWithThings();
  const secret = "a secret that has to go";
  await store.write((tx) => tx.run(insert, thing("one", { document: secret })));
  writer.exec("DELETE FROM things");
  await store.close();
  expect((await readFile(path)).includes(secret)).toBe(false);
});

it("leaves nothing of what was deleted in the files once they are scrubbed, not in the gaps of split pages either", async () => {
  const { store, writer, allIds } = openWithThings();
  const add = writer.prepare("INSERT INTO things (id, owner, create_time) VALUES (?, 'x', 0)");
  // In an order that splits pages everywhere.
  const names = Array.from({ length: 8_000 }, (_, n) => `${(n * 4_799) % 8_000}`.padStart(4, "0"));
  writer.transaction(() => {
    for (const name of names) add.run(`${name}.forget-me-${Number(name) % 4 === 0 ? "not" : "later"}@example.com`);
  })();
  const stands = async () => {
    const files = await Promise.all([path, `${path}-wal`].map((file) => readFile(file)));
    return files.some((bytes) => bytes.includes("forget-me-not"));
  };
  writer.exec("DELETE FROM things WHERE id LIKE '%forget-me-not%'");
  writer.pragma("wal_checkpoint(TRUNCATE)");
  expect(await stands()).toBe(true);

  const kept = await allIds();
  const scrubbed = [store.scrub(), store.scrub()];
  const put = (id: string) => store.write((tx) => tx.run(insertSilently, thing(id)));
  const meanwhile = [put("during"), put("too")];
  expect(await allIds()).toEqual(kept);
  await Promise.all(scrubbed);
  expect(await stands()).toBe(false);
  await Promise.all(meanwhile);
  expect(new Set(await allIds())).toEqual(new Set([...kept, "during", "too"]));
  await put("after");
  expect(writer.pragma("integrity_check", { simple: true })).toBe("ok");
});

/** Counts the turns of the event loop for as long as some work goes on. */
async function turnsWhile(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let counting = true;
  const count = () => {
    turns += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  await work();
  counting = false;
  return turns;
}

it("lets others have their turn between reads, however many one caller asks for", async () => {
  const { store } = openWithThings();
  await store.write((tx) => tx.run(insert, thing("a")));
  // As somebody does who walks through a long list.
  const end = performance.now() + 300;
  const turns = await turnsWhile(async () => {
    while (performance.now() < end) await store.read((tx) => tx.run(ids, {}));
  });
  expect(turns).toBeGreaterThan(2);
});

it("lets others have their turn between the statements of a unit, and nobody else into it", async () => {
  const { store, allIds } = openWithThings();
  const long = store.write(async (tx) => {
    const end = performance.now() + 300;
    const turns = await turnsWhile(async () => {
      for (let n = 0; performance.now() < end; n += 1) await tx.run(insert, thing(`long-${n}`));
    });
    expect(turns).toBeGreaterThan(2);
    throw new Error("undone");
  });
  // Asked for while the unit is open: it waits, and is not undone with it.
  const other = store.write((tx) => tx.run(insert, thing("other")));
  await expect(long).rejects.toThrow("undone");
  await other;
  expect(await allIds()).toEqual(["other"]);
});

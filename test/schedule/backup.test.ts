import { randomUUID } from "node:crypto";
import { copyFile, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { backUp } from "../../src/schedule/database-backup.ts";
import type { Running } from "../../src/schedule/task.ts";
import { startServer } from "../../src/server.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, grpcClient } from "../support/actors/grpc-client.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite, postgres] = engines as [(typeof engines)[number], (typeof engines)[number]];
const NOON = new Date("2026-03-01T12:00:00.000Z");
const FIRST = "mfa-20260301T120000000Z.db";

async function folderOf(name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `mfa-${name}-`));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const running = (store: Running["store"], now = NOON, signal = new AbortController().signal): Running => ({
  ...{ store, now, signal },
});

describe("a backup of SQLite", () => {
  test("restores to a service that knows what it knew, and has spent what it had spent", async () => {
    const service = await serviceForTest(sqlite);
    const app = await enrollApp(service, "ann");
    const code = await app.code();
    await service.mfa.verifyTotpCode({ code }, app.token);
    const folder = await folderOf("backups");
    expect(await backUp(running(service.store), { folder, keep: 3 })).toBe(1);
    // What comes later is not in it.
    await enrollApp(service, "bob");

    const dataDir = await folderOf("restored");
    for (const name of await readdir(service.dataDir)) {
      if (name.endsWith(".json")) await copyFile(join(service.dataDir, name), join(dataDir, name));
    }
    await copyFile(join(folder, FIRST), join(dataDir, "mfa.db"));
    const config = loadConfig(["--dev"], { MFA_DATA_DIR: dataDir });
    const listeners = [{ kind: "grpc", host: "127.0.0.1", port: 0 }] as const;
    const clock = () => service.clock.now;
    const restored = await startServer(
      { ...config, listeners: [...listeners] },
      { log: pino({ level: "silent" }), clock },
    );
    onTestFinished(() => restored.stop());
    const client = grpcClient(MfaService, restored.listeners[0]?.port ?? 0);
    onTestFinished(client.close);
    const token = (subject: string) =>
      mintDevToken(dataDir, { audience: "mfa", subject, acr: "aal1" }, service.clock.now);
    expect((await failure(client.rpcs.verifyTotpCode({ code }, await token("ann")))).reason).toBe("CODE_REJECTED");
    service.pass(60_000);
    const next = await app.code();
    expect((await client.rpcs.verifyTotpCode({ code: next }, await token("ann"))).deviceId).toBe(app.deviceId);
    expect((await client.rpcs.listTotpDevices({}, await token("bob"))).devices).toEqual([]);
  });

  test("is whole while others write: every unit that was done before it, and none by half", async () => {
    const { store, execute } = await openForTest(sqlite);
    await execute("CREATE TABLE pairs (n INTEGER, half INTEGER, filling TEXT)");
    const filling = "x".repeat(400);
    await execute(
      `INSERT INTO pairs WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 20000)
       SELECT -n, h.half, '${filling}' FROM c, (SELECT 1 AS half UNION ALL SELECT 2) h`,
    );
    const folder = await folderOf("backups");
    let done = false;
    let written = 0;
    const writers = Array.from({ length: 4 }, async (_, w) => {
      while (!done) {
        const n = w * 1_000_000 + written;
        await execute(`BEGIN; INSERT INTO pairs VALUES (${n}, 1, ''); INSERT INTO pairs VALUES (${n}, 2, ''); COMMIT`);
        await store.write(async () => {});
        written += 1;
      }
    });
    while (written < 10) await store.write(async () => {});
    const before = written;
    await backUp(running(store), { folder, keep: 1 });
    done = true;
    await Promise.all(writers);
    expect(written).toBeGreaterThan(before);
    const copy = new Database(join(folder, FIRST), { readonly: true });
    onTestFinished(() => void copy.close());
    expect(copy.pragma("integrity_check", { simple: true })).toBe("ok");
    expect(
      copy.prepare("SELECT count(*) FROM (SELECT n FROM pairs GROUP BY n HAVING count(*) <> 2)").pluck().get(),
    ).toBe(0);
    const pairs = Number(copy.prepare("SELECT count(*) FROM pairs").pluck().get()) / 2;
    expect(pairs).toBeGreaterThanOrEqual(20_000 + before);
    expect(pairs).toBeLessThanOrEqual(20_000 + written);
  });

  test("is for its owner only, and the newest so many are kept", async () => {
    const { store } = await openForTest(sqlite);
    const folder = join(await folderOf("backups"), "deep", "down");
    for (let n = 0; n < 5; n += 1)
      await backUp(running(store, new Date(NOON.getTime() + n * 1000)), { folder, keep: 2 });
    await writeFile(join(folder, "mine.db"), "not one of ours");
    await backUp(running(store, new Date(NOON.getTime() + 5000)), { folder, keep: 2 });
    const kept = ["mfa-20260301T120004000Z.db", "mfa-20260301T120005000Z.db", "mine.db"];
    expect((await readdir(folder)).sort()).toEqual(kept);
    expect((await stat(join(folder, kept[0] ?? ""))).mode & 0o777).toBe(0o600);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });

  test("that is given up, or whose run has lost its task, leaves no file, nor does one that was killed for long", async () => {
    const { store } = await openForTest(sqlite);
    const folder = await folderOf("backups");
    await backUp(running(store), { folder, keep: 1 });
    const later = new Date(NOON.getTime() + 1000);
    const lost: Running["store"] = { ...store, write: () => Promise.reject(new Error("lost")) };
    await expect(backUp(running(lost, later), { folder, keep: 1 })).rejects.toThrow("lost");
    await expect(backUp(running(store, later, AbortSignal.abort()), { folder, keep: 1 })).rejects.toThrow();
    expect(await readdir(folder)).toEqual([FIRST]);
    await writeFile(join(folder, "mfa-20260101T000000000Z.db.part"), "of a process that was killed");
    await writeFile(join(folder, "mfa-20260101T000000000Z.db.part-journal"), "likewise");
    await backUp(running(store, later), { folder, keep: 2 });
    expect((await readdir(folder)).sort()).toEqual([FIRST, "mfa-20260301T120001000Z.db"]);
  });

  test("is a task where a folder is configured, and none otherwise", async () => {
    const off = await serviceForTest(sqlite);
    const names = async (service: typeof off) =>
      (await service.internal.listScheduledTasks({}, await service.backend("mfa.schedule.read"))).tasks.map(
        ({ name }) => name,
      );
    expect(await names(off)).not.toContain("database_backup");
    const folder = await folderOf("backups");
    const on = await serviceForTest(sqlite, { schedule: true, backup: { folder, keep: 2, schedule: "PT1H" } });
    expect(await names(on)).toContain("database_backup");
    while ((await readdir(folder)).every((name) => name !== FIRST))
      await new Promise((resolve) => setTimeout(resolve, 20));
  });
});

describe("a backup of PostgreSQL", () => {
  test("is refused: at the start, by its setting, and by the store", async () => {
    const folder = await folderOf("refused");
    const path = join(folder, "settings.json");
    await writeFile(path, JSON.stringify({ backup: { folder } }));
    const env = { MFA_CONFIG: path, MFA_DATABASE_URL: "postgres://db.example/mfa" };
    expect(() => loadConfig(["--dev"], env)).toThrow(/:1: backup\.folder: PostgreSQL is backed up by its own tools /);
    expect(loadConfig(["--dev"], { ...env, MFA_DATABASE_URL: "" }).backup.folder).toBe(folder);
    const { store } = await openForTest(postgres);
    await expect(backUp(running(store), { folder, keep: 1 })).rejects.toThrow("by its own tools");
  });

  test.each(["hourly", "61 * * * *", "PT0S", "0 0 30 2 *"])("is not configured to be due %j", async (schedule) => {
    const path = join(await folderOf("refused"), "settings.json");
    await writeFile(path, JSON.stringify({ backup: { schedule } }));
    expect(() => loadConfig(["--dev"], { MFA_CONFIG: path })).toThrow(/:1: backup\.schedule: neither cron/);
  });
});

describe("an erasure beside a backup of SQLite", () => {
  /** A signal that makes the copy take its time, as a slow disk does. */
  const slowly = (): AbortSignal => {
    const { signal } = new AbortController();
    const wait = new Int32Array(new SharedArrayBuffer(4));
    return Object.assign(signal, { throwIfAborted: () => void Atomics.wait(wait, 0, 0, 30) });
  };

  const stands = async ({ url }: { url: string }, text: string) => {
    const path = url.slice("sqlite:".length);
    const files = await Promise.all([path, `${path}-wal`].map((file) => readFile(file)));
    return files.some((bytes) => bytes.includes(text));
  };

  const ready = async ({ adminPort }: { adminPort: number }) =>
    (await fetch(`http://127.0.0.1:${adminPort}/readyz`)).status;

  test("is done at once, keeps the service ready, and leaves nothing in the files once the backup has ended", async () => {
    const service = await serviceForTest(sqlite);
    const userId = "erase-me-from-the-files";
    await enrollApp(service, userId);
    await service.execute(
      `CREATE TABLE filling AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 40000)
       SELECT n, '${"x".repeat(900)}' AS text FROM c`,
    );
    let isOver = false;
    const copied = service.store.backup?.(join(await folderOf("copy"), "copy.db"), slowly()).then(() => {
      isOver = true;
    });
    const erasing = { userId, erasureId: randomUUID() };
    const { receipt } = await service.internal.eraseUser(erasing, await service.backend("mfa.erase"));
    expect([isOver, await ready(service)]).toEqual([false, 200]);
    await copied;
    await vi.waitUntil(async () => !(await stands(service, userId)), { timeout: 20_000 });
    const again = await service.internal.eraseUser(erasing, await service.backend("mfa.erase"));
    expect(again.receipt).toEqual(receipt);
  });

  test("fails while another process reads the file, keeps the service ready, and is done when it is repeated", async () => {
    const service = await serviceForTest(sqlite);
    const userId = "erase-me-from-the-log";
    await enrollApp(service, userId);
    const other = new Database(service.url.slice("sqlite:".length), { readonly: true });
    onTestFinished(() => void other.close());
    other.exec("BEGIN");
    other.prepare("SELECT * FROM users").all();
    const erasing = { userId, erasureId: randomUUID() };
    const erase = async () => service.internal.eraseUser(erasing, await service.backend("mfa.erase"));
    expect((await failure(erase())).reason).toBe("STORE_UNAVAILABLE");
    expect(await ready(service)).toBe(200);
    other.exec("COMMIT");
    expect((await erase()).receipt?.removed.length).toBeGreaterThan(0);
    expect(await stands(service, userId)).toBe(false);
  });
});

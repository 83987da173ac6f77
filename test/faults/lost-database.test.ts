import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { mintDevToken } from "../../src/dev/dev-issuer.ts";
import { type RunningServer, startServer } from "../../src/server.ts";

const soon = { timeout: 10_000, interval: 50 };
const ENV = {
  MFA_PORT: "0",
  MFA_GATEWAY_PORT: "0",
  MFA_ADMIN_PORT: "0",
  MFA_INTERNAL_PORT: "0",
  MFA_HOST: "127.0.0.1",
};

function home() {
  const dataDir = mkdtempSync(join(tmpdir(), "mfa-lost-"));
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  return dataDir;
}

/** A service in dev mode over a folder, and what is asked of it there. */
async function serve(dataDir: string, ...flags: string[]) {
  const log: string[] = [];
  const config = loadConfig(["--dev", ...flags], { ...ENV, MFA_DATA_DIR: dataDir });
  const server: RunningServer = await startServer(config, {
    log: pino({}, { write: (line: string) => void log.push(line) }),
  });
  let stopped: Promise<void> | undefined;
  const stop = () => {
    stopped ??= server.stop();
    return stopped;
  };
  onTestFinished(stop);
  const portOf = (kind: string) => server.listeners.find((listener) => listener.kind === kind)?.port ?? 0;
  const call = async (rpc: string, user = "ann") => {
    const token = await mintDevToken(dataDir, { audience: "mfa", subject: user, acr: "aal1" });
    const response = await fetch(`http://127.0.0.1:${portOf("gateway")}/mfa.v1.MfaService/${rpc}`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
      body: "{}",
    });
    const { code = "ok" } = (await response.json()) as { code?: string };
    return code;
  };
  const page = (path: string) => fetch(`http://127.0.0.1:${portOf("admin")}${path}`);
  const ready = async () => (await page("/readyz")).status;
  return { log, stop, call, ready, metrics: async () => (await page("/metrics")).text() };
}

describe("a database that is deleted under the service", () => {
  test.each(["mfa.db", "mfa.db-wal"])(
    "%s: nothing more is answered as done, and the service is not ready",
    async (name) => {
      const dataDir = home();
      const { call, ready, stop } = await serve(dataDir);
      expect(await call("StartTotpEnrollment")).toBe("ok");
      expect(await ready()).toBe(200);
      unlinkSync(join(dataDir, name));
      await vi.waitFor(async () => expect(await ready()).toBe(503), soon);
      expect(await call("StartTotpEnrollment", "bob")).toBe("unavailable");
      await stop();
    },
  );

  test("one that is put back is served again", async () => {
    const dataDir = home();
    const { call, ready } = await serve(dataDir);
    const [path, elsewhere] = [join(dataDir, "mfa.db"), join(dataDir, "moved.db")];
    renameSync(path, elsewhere);
    await vi.waitFor(async () => expect(await ready()).toBe(503), soon);
    renameSync(elsewhere, path);
    await vi.waitFor(async () => expect(await ready()).toBe(200), soon);
    expect(await call("StartTotpEnrollment")).toBe("ok");
  });
});

describe("a start that finds no database where there was one", () => {
  test("is refused, says which file knows and what to do, makes nothing, and begins anew with --new", async () => {
    const dataDir = home();
    await (await serve(dataDir)).stop();
    unlinkSync(join(dataDir, "mfa.db"));
    await expect(serve(dataDir)).rejects.toThrow(
      /^there is no database at .*mfa\.db, where this installation has had one \(.*keys\.json\.databases says so\): .*restore a backup.*`npm start -- --new`$/,
    );
    expect(existsSync(join(dataDir, "mfa.db"))).toBe(false);
    writeFileSync(join(dataDir, "mfa.db"), "");
    await expect(serve(dataDir)).rejects.toThrow("there is no database at");
    const anew = await serve(dataDir, "--new");
    expect(await anew.call("StartTotpEnrollment")).toBe("ok");
    await anew.stop();
    await expect(serve(dataDir)).resolves.toBeDefined();
  });

  test("is refused beside the log of the former one, which SQLite would fill the new one from", async () => {
    const dataDir = home();
    await (await serve(dataDir)).stop();
    unlinkSync(join(dataDir, "mfa.db"));
    writeFileSync(join(dataDir, "mfa.db-wal"), "the commits of the former one");
    await expect(serve(dataDir, "--new")).rejects.toThrow(/mfa\.db-wal is left of a database that is not there/);
  });

  test("is refused where the ledger of erasures knows of one, though nothing else does", async () => {
    const dataDir = home();
    const entry = { tenantId: "dev", userDigest: "AAAA", erasureId: "a", eraseTime: "2026-03-01T12:00:00Z" };
    writeFileSync(join(dataDir, "erasures.jsonl"), `${JSON.stringify(entry)}\n`);
    await expect(serve(dataDir)).rejects.toThrow(/erasures\.jsonl says so/);
  });

  test("is an ordinary start on a bare machine, and for another database under the same keys", async () => {
    const dataDir = home();
    await (await serve(dataDir)).stop();
    const url = `sqlite:${join(dataDir, "second.db")}`;
    const config = loadConfig(["--dev"], { ...ENV, MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: url });
    const second = await startServer(config, { log: pino({ level: "silent" }) });
    await second.stop();
  });
});

describe("a damaged page", () => {
  /** A stopped service's database, in which the pages of a table are damaged. */
  async function damaged(table: string) {
    const dataDir = home();
    const before = await serve(dataDir);
    expect(await before.call("StartTotpEnrollment")).toBe("ok");
    await before.stop();
    const path = join(dataDir, "mfa.db");
    const database = new Database(path);
    database.pragma("wal_checkpoint(TRUNCATE)");
    const { rootpage } = database.prepare("SELECT rootpage FROM sqlite_master WHERE name = ?").get(table) as {
      rootpage: number;
    };
    const size = database.pragma("page_size", { simple: true }) as number;
    database.close();
    const file = openSync(path, "r+");
    writeSync(file, Buffer.alloc(size, 0xff), 0, size, (rootpage - 1) * size);
    closeSync(file);
    return dataDir;
  }

  test("is DATA_LOSS for those whose data lie there, with an alarm, and costs nobody else anything", async () => {
    const { call, ready, log, metrics } = await serve(await damaged("totp_devices"));
    expect(await call("ListTotpDevices")).toBe("data_loss");
    expect(await call("ListTotpDevices", "bob")).toBe("ok");
    expect(await ready()).toBe(200);
    expect(log.filter((line) => line.includes("the database is damaged: restore a backup"))).toHaveLength(1);
    expect(await metrics()).toContain("mfa_store_damaged_total 1");
  });

  test("that stops a tenth of the calls ends readiness, until the next start", async () => {
    const { call, ready } = await serve(await damaged("totp_devices"));
    for (let n = 0; n < 20; n++) expect(await call("ListTotpDevices")).toBe("data_loss");
    await vi.waitFor(async () => expect(await ready()).toBe(503), soon);
  });
});

import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import pg from "pg";
import { pino } from "pino";
import { describe, expect, it, onTestFinished, test, vi } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { createKeyFile } from "../../src/crypto/key-file.ts";
import type { Mode } from "../../src/db/installation.ts";
import { openStore } from "../../src/db/open.ts";
import type { Store } from "../../src/db/store.ts";
import { startServer } from "../../src/server.ts";
import { run, start } from "../interop/process.ts";
import { migrationsAfter } from "../storage/migrations.ts";
import { engines, openForTest } from "../support/engine/engines.ts";

// The folder of migrations is what makes a start one of another version.
const folder = vi.hoisted(() => ({ ofLaterVersion: "" }));
vi.mock("../../src/db/migrate.ts", async (importOriginal) => {
  const original = await importOriginal<typeof import("../../src/db/migrate.ts")>();
  return {
    ...original,
    migrationsFolder: (engine: Store["engine"]) => folder.ofLaterVersion || original.migrationsFolder(engine),
  };
});

async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "mfa-refused-"));
  onTestFinished(() => rm(path, { recursive: true, force: true }));
  return path;
}

const SCHEMA = {
  sqlite: "SELECT * FROM sqlite_master ORDER BY name",
  postgres: `SELECT relname AS name, CASE relkind WHEN 'r' THEN 'table' ELSE relkind::text END AS type,
    (SELECT json_agg(a ORDER BY attnum) FROM pg_attribute a WHERE attrelid = c.oid) AS columns
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace ORDER BY relname`,
};

/** Reads beside the service. */
async function query(url: string, sql: string): Promise<unknown[]> {
  if (url.startsWith("sqlite:")) {
    const connection = new Database(url.slice("sqlite:".length), { readonly: true });
    const rows = connection.prepare(sql).all();
    connection.close();
    return rows;
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return (await client.query(sql).finally(() => client.end())).rows;
}

/** The schema, and every row of every table. */
async function dumpOf(url: string, engine: Store["engine"]): Promise<Record<string, unknown>> {
  const schema = (await query(url, SCHEMA[engine])) as { name: string; type: string }[];
  const dump: Record<string, unknown> = { schema };
  for (const { name, type } of schema) {
    if (type === "table") dump[name] = await query(url, `SELECT * FROM "${name}"`);
  }
  return dump;
}

describe.each(engines)("a start on $name", (engine) => {
  /** A migrated database that no start has claimed, and the starts that may. */
  async function database() {
    const { store, url, execute } = await openForTest(engine);
    await store.close();
    const home = await temporaryFolder();
    const path = (name: string) => join(home, name);
    await createKeyFile(path("keys.json"));
    await writeFile(
      path("jwks.json"),
      JSON.stringify({ keys: [generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" })] }),
    );
    const settings = {
      listeners: [{ kind: "grpc", port: 0, terminatedBy: "a test", proxies: { addresses: [] } }],
      dataDir: path("dev"),
      database: url,
      keyFile: path("keys.json"),
      issuers: [{ issuer: "https://issuer.example", jwksFile: path("jwks.json"), tenant: "t" }],
      // A task makes keys, and what a start changes is to be what it changes before it serves.
      schedule: { enabled: false },
    };
    const reset = (changed: object) => writeFile(path("settings.json"), JSON.stringify({ ...settings, ...changed }));
    await reset({});
    /** Starts and stops. */
    const serve = async (mode: Mode, given?: Store) => {
      const config = loadConfig(mode === "dev" ? ["--dev"] : [], { MFA_CONFIG: path("settings.json") });
      const options = given && { store: given };
      const server = await startServer(config, { log: pino({ level: "silent" }), ...options });
      await server.stop();
    };
    /** From here on a start is one of the next version, which has a migration more. */
    const upgrade = async () => {
      const { migrationsFolder } = await import("../../src/db/migrate.ts");
      folder.ofLaterVersion = await migrationsAfter(migrationsFolder(engine.name), {
        "9000_next": ["CREATE TABLE next (id text PRIMARY KEY)"],
      });
      onTestFinished(downgrade);
    };
    const downgrade = () => {
      folder.ofLaterVersion = "";
    };
    return { url, path, reset, execute, serve, upgrade, downgrade, dump: () => dumpOf(url, engine.name) };
  }

  describe.each([
    { mine: "dev", other: "production" },
    { mine: "production", other: "dev" },
  ] as const)("in $mine mode", ({ mine, other }) => {
    it.each(["at once", "with a migration to come"])(`changes nothing in a database of ${other} (%s)`, async (when) => {
      const { execute, serve, upgrade, dump } = await database();
      await serve(other);
      await execute("DELETE FROM key_checks"); // or the keys would refuse what the mode is to refuse
      if (when !== "at once") await upgrade();
      const before = await dump();
      expect(before).toMatchObject({ installation: [{ name: "mode", value: other }], key_checks: [] });
      await expect(serve(mine)).rejects.toThrow(`this database belongs to a ${other} installation`);
      expect(await dump()).toEqual(before);
      await serve(other);
      expect(Object.keys(await dump()).includes("next")).toBe(when !== "at once");
    });

    it(`writes no key into a store of ${other} that was opened for it`, async () => {
      const { url, execute, serve, dump } = await database();
      await serve(other);
      await execute("DELETE FROM key_checks");
      const before = await dump();
      await expect(serve(mine, await openStore({ url }))).rejects.toThrow(`belongs to a ${other} installation`);
      expect(await dump()).toEqual(before);
    });
  });

  it.each([
    ["under other keys", { keyFile: "others.json" }, /^key .* of the key file is not the key/],
    ["without its keys", { keyFile: "none.json" }, /none\.json: it does not exist/],
    [
      "without its certificate",
      { listeners: [{ kind: "grpc", port: 0, tls: { certFile: "none.crt", keyFile: "k" } }] },
      /TLS/,
    ],
    [
      "without an issuer's keys",
      { issuers: [{ issuer: "https://a", jwksFile: "none.jwks", tenant: "t" }] },
      /none\.jwks/,
    ],
  ])("changes nothing when it comes %s, with a migration to come", async (_, wrong, message) => {
    const { serve, upgrade, dump, path, reset } = await database();
    await serve("production");
    await upgrade();
    const before = await dump();
    const keys = JSON.parse(await readFile(path("keys.json"), "utf8"));
    const [own] = keys.keys;
    await createKeyFile(path("fresh.json"));
    const [other] = JSON.parse(await readFile(path("fresh.json"), "utf8")).keys;
    const renamed = { ...keys, keys: [{ ...other, id: own.id }] };
    await writeFile(path("others.json"), JSON.stringify(renamed), { mode: 0o600 });
    await reset({ ...wrong, ...("keyFile" in wrong && { keyFile: path(wrong.keyFile) }) });
    await expect(serve("production")).rejects.toThrow(message);
    expect(await dump()).toEqual(before);
    await reset({});
    await serve("production");
    expect(await dump()).toHaveProperty("next");
  });

  it("changes nothing in the database of a newer version", async () => {
    const { serve, upgrade, downgrade, dump } = await database();
    await upgrade();
    await serve("dev");
    const before = await dump();
    expect(before).toHaveProperty("next");
    downgrade();
    await expect(serve("dev")).rejects.toThrow(
      /^this database is newer than .* migration 9000_next; start the version/,
    );
    expect(await dump()).toEqual(before);
  });
});

test("a second process on one data folder says who holds it, and ends", async () => {
  const dataDir = await temporaryFolder();
  const env = {
    MFA_PORT: "0",
    MFA_GATEWAY_PORT: "0",
    MFA_ADMIN_PORT: "0",
    MFA_INTERNAL_PORT: "0",
    MFA_HOST: "",
    MFA_DATA_DIR: dataDir,
    MFA_DATABASE_URL: "",
    MFA_KEY_FILE: "",
    MFA_CONFIG: "",
  };
  const first = start(process.execPath, ["src/main.ts", "--dev"], env);
  onTestFinished(async () => {
    first.child.kill("SIGKILL");
    await first.outcome;
  });
  await first.saw(/ready on/);
  const second = await run(process.execPath, ["src/main.ts", "--dev"], { env, limitMs: 10_000 });
  expect(second).toEqual({
    code: 1,
    stdout: "",
    stderr: `mfa-service does not start:\n  ${join(dataDir, "mfa.db")} is in use by another process\n`,
  });
});

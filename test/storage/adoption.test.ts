// A database from before rows carried MACs opens, and what is in it counts as before.
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { createKeyFile, readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { randomSecret } from "../../src/crypto/random.ts";
import { retired } from "../../src/db/append-only.ts";
import type { Engine } from "../../src/db/dialect.ts";
import { claimMode } from "../../src/db/installation.ts";
import { migrationsFolder } from "../../src/db/migrate.ts";
import { openStore } from "../../src/db/open.ts";
import { mintDevToken, openDevIssuer } from "../../src/dev/dev-issuer.ts";
import { codeOf, stepAt } from "../../src/factors/totp/totp-code.ts";
import { cellOf, SECRET_BYTES } from "../../src/factors/totp/totp-judge.ts";
import { startServer } from "../../src/server.ts";
import { CallFailed, grpcClient } from "../support/actors/grpc-client.ts";
import { engines, openForTest } from "../support/engine/engines.ts";

/** How many migrations there were before the first column for a MAC. */
const BEFORE = 5;
const owner = { tenantId: "dev", userId: "ann" };
const device = "01900000-0000-7000-8000-000000000001";
const parameters = { algorithm: "sha1", digits: 6, periodSeconds: 30 } as const;

async function emptyFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mfa-adoption-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** The migrations as they were before. */
async function formerMigrations(engine: Engine): Promise<string> {
  const [from, folder] = [migrationsFolder(engine), await emptyFolder()];
  const journal = JSON.parse(await readFile(join(from, "meta/_journal.json"), "utf8"));
  journal.entries = journal.entries.slice(0, BEFORE);
  await mkdir(join(folder, "meta"));
  await writeFile(join(folder, "meta/_journal.json"), JSON.stringify(journal));
  for (const { tag } of journal.entries) await copyFile(join(from, `${tag}.sql`), join(folder, `${tag}.sql`));
  return folder;
}

/** How an engine spells what the rows of before are made of. */
const spelling = {
  sqlite: {
    bytes: (bytes: Buffer) => `X'${bytes.toString("hex")}'`,
    time: (at: Date) => String(at.getTime()),
    trigger: (name: string, table: string) => [
      `CREATE TRIGGER ${name} BEFORE UPDATE ON ${table} BEGIN SELECT RAISE(ABORT, 'of before'); END`,
    ],
  },
  postgres: {
    bytes: (bytes: Buffer) => `'\\x${bytes.toString("hex")}'::bytea`,
    time: (at: Date) => `'${at.toISOString()}'`,
    trigger: (name: string, table: string) => [
      "CREATE FUNCTION of_before() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''of before''; END'",
      `CREATE TRIGGER ${name} BEFORE UPDATE ON ${table} FOR EACH ROW EXECUTE FUNCTION of_before()`,
    ],
  },
} as const;

describe.each(engines)("a database of before rows carried MACs, on $name", (engine) => {
  test("opens, and its factors prove, once; rows that come later without a MAC do not", async () => {
    const { bytes, time, trigger } = spelling[engine.name];
    const dataDir = await emptyFolder();
    const { store: fresh, url: used, execute } = await openForTest(engine);
    await fresh.close();
    const url = engine.name === "sqlite" ? `sqlite:${join(dataDir, "mfa.db")}` : used;
    if (engine.name === "postgres") await execute("DROP SCHEMA public CASCADE", "CREATE SCHEMA public");
    const former = await openStore({ url, migrations: await formerMigrations(engine.name) });
    await createKeyFile(join(dataDir, "keys.json"));
    await openDevIssuer(dataDir);
    await claimMode(former, "dev");
    const keyring = await openKeyring(await readKeyFile(join(dataDir, "keys.json")), former);
    const secret = randomSecret(SECRET_BYTES);
    const insertFor = async (deviceId: string) => {
      const sealed = await keyring.seal(secret, cellOf(owner, deviceId));
      const now = time(new Date());
      return `INSERT INTO totp_devices (tenant_id, user_id, device_id, display_name, state, algorithm, digits,
        period_seconds, sealed_secret, last_step, create_time, update_time)
        VALUES ('dev', 'ann', '${deviceId}', 'app', 'active', 'sha1', 6, 30, ${bytes(sealed)}, 0, ${now}, ${now})`;
    };
    const first = await insertFor(device);
    await former.close();
    const run = async (...statements: string[]) => {
      if (engine.name === "postgres") return execute(...statements);
      const database = new (await import("better-sqlite3")).default(join(dataDir, "mfa.db"));
      for (const statement of statements) database.exec(statement);
      database.close();
    };
    await run(first, ...retired.flatMap(({ name, table }) => trigger(name, table)));

    const config = loadConfig(["--dev"], { MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: url });
    const listeners = [{ kind: "grpc", host: "127.0.0.1", port: 0 }] as const;
    const serve = async () => {
      const server = await startServer({ ...config, listeners: [...listeners] }, { log: pino({ level: "silent" }) });
      const client = grpcClient(InternalMfaService, server.listeners[0]?.port ?? 0);
      const token = await mintDevToken(dataDir, { audience: "mfa-internal", subject: "shop", scope: "mfa.verify" });
      const verify = (step: number) =>
        client.rpcs.verifyUserTotpCode(
          { userId: "ann", code: codeOf(secret, step, parameters), client: { ip: "203.0.113.7" } },
          token,
        );
      const stop = async () => {
        client.close();
        await server.stop();
      };
      return { verify, stop };
    };
    const step = stepAt(new Date(), parameters);
    const before = await serve();
    expect((await before.verify(step)).deviceId).toBe(device);
    await expect(before.verify(step)).rejects.toThrow(CallFailed);
    await before.stop();
    // The triggers of before are gone: there can be others of their names.
    await run(...retired.flatMap(({ name, table }) => trigger(name, table).slice(-1)));

    // Once adopted, a table's rows are given no MAC any more: one that somebody adds is nobody's factor.
    await run("DELETE FROM totp_devices", await insertFor("01900000-0000-7000-8000-000000000002"));
    const after = await serve();
    await expect(after.verify(step + 1)).rejects.toThrow(CallFailed);
    await after.stop();
  });
});

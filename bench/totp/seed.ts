// Fills a database with enrolled users: node bench/totp/seed.ts <dataDir> <url> <users>. The rows are those that an
// enrollment leaves, sealed by the service's own keyring; only the way in is shorter.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import pg from "pg";
import { createKeyFile, readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { bindings, macOfRow } from "../../src/db/bound-rows.ts";
import { claimMode } from "../../src/db/installation.ts";
import { openStore } from "../../src/db/open.ts";
import { totpDevices } from "../../src/factors/totp/totp.table.ts";
import { cellOf } from "../../src/factors/totp/totp-judge.ts";
import { secretOf, userOf } from "./users.ts";

const [dataDir = "", url = "", count = "0"] = process.argv.slice(2);
const users = Number(count);
const BATCH = 5_000;

mkdirSync(dataDir, { recursive: true });
const keyFile = join(dataDir, "keys.json");
await createKeyFile(keyFile);
const store = await openStore({ url, mode: "dev" });
await claimMode(store, "dev");
const keyring = await openKeyring(await readKeyFile(keyFile), store, () => new Date());

const columns = `tenant_id, user_id, device_id, display_name, state, algorithm, digits, period_seconds, sealed_secret,
  last_step, create_time, update_time, bound_mac`;
const binding = bindings().find(({ define }) => define === totpDevices);
if (!binding) throw new Error("authenticator apps are rows under a MAC");
const parameters = { algorithm: "sha1", digits: 6, periodSeconds: 30, expireTime: null };
const now = new Date();
const rowOf = async (n: number) => {
  const owner = { tenantId: "dev", userId: userOf(n) };
  const deviceId = `00000000-0000-7000-8000-${String(n).padStart(12, "0")}`;
  const mac = macOfRow(keyring, binding, { ...owner, deviceId, ...parameters });
  return { ...owner, deviceId, mac, sealed: await keyring.seal(secretOf(n), cellOf(owner, deviceId)) };
};

async function inBatches(insert: (rows: Awaited<ReturnType<typeof rowOf>>[]) => Promise<void> | void) {
  for (let from = 0; from < users; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, users - from) }, (_, n) => rowOf(from + n));
    await insert(await Promise.all(batch));
  }
}

if (url.startsWith("sqlite:")) {
  await rowOf(0); // makes the tenant's data key, while the store is open
  const database = new Database(url.slice("sqlite:".length));
  database.pragma("synchronous = OFF");
  const insert = database.prepare(
    `INSERT INTO totp_devices (${columns}) VALUES ('dev', ?, ?, 'app', 'active', 'sha1', 6, 30, ?, 0, ?, ?, ?)`,
  );
  await inBatches((rows) => {
    database.transaction(() => {
      for (const { userId, deviceId, sealed, mac } of rows) {
        insert.run(userId, deviceId, sealed, Number(now), Number(now), mac);
      }
    })();
  });
  database.pragma("wal_checkpoint(TRUNCATE)");
  database.close();
} else {
  const client = new pg.Client(url);
  await client.connect();
  await inBatches(async (rows) => {
    await client.query(
      `INSERT INTO totp_devices (${columns})
       SELECT 'dev', u, d, 'app', 'active', 'sha1', 6, 30, s, 0, $5, $5, m
       FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[]) AS t(u, d, s, m)`,
      [...(["userId", "deviceId", "sealed", "mac"] as const).map((name) => rows.map((row) => row[name])), now],
    );
  });
  await client.query("ANALYZE");
  await client.end();
}
await store.close();

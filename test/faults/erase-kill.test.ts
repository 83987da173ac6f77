// Users are erased while they enroll, verify, are sent codes and synchronise; the service is killed amid it, and its
// database is put back to an earlier state.
import { createHash, randomBytes, randomInt, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import pg from "pg";
import { describe, expect, inject, onTestFinished, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { FraudMode } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { type DevTokenClaims, mintDevToken } from "../../src/dev/dev-issuer.ts";
import { start } from "../interop/process.ts";
import { showCode } from "../support/actors/authenticator-app.ts";
import { grpcClient } from "../support/actors/grpc-client.ts";
import { databaseUrl, execute } from "../support/engine/postgres.ts";
import { isFull } from "../support/engine/races.ts";
import { encodingsOf } from "../support/engine/residue.ts";

const ROUNDS = isFull ? 200 : 10;
/** Every so many rounds the database is put back to before the erasure. */
const RESTORES = 4;

/** A database that outlives processes, that can be copied while none runs, and looked into from outside. */
interface Kept {
  readonly url: string;
  save(): Promise<void>;
  restore(): Promise<void>;
  /** The tables and files in which one of the texts stands, plain or in another coding. */
  mentions(texts: readonly string[]): Promise<string[]>;
}

async function keptSqlite(folder: string): Promise<Kept> {
  const path = join(folder, "mfa.db");
  const files = [path, `${path}-wal`];
  return {
    url: `sqlite:${path}`,
    async save() {
      const source = new Database(path, { readonly: true });
      await source.backup(`${path}.saved`);
      source.close();
    },
    async restore() {
      for (const file of [...files, `${path}-shm`]) await rm(file, { force: true });
      await copyFile(`${path}.saved`, path);
    },
    async mentions(texts) {
      const found: string[] = [];
      for (const file of files.filter(existsSync)) {
        const bytes = await readFile(file);
        const stands = texts.filter((text) => encodingsOf(text).some((encoded) => bytes.includes(encoded)));
        if (stands.length > 0) found.push(`${file.slice(path.length - 6)}: ${stands.join()}`);
      }
      return found;
    },
  };
}

async function keptPostgres(): Promise<Kept> {
  const { url } = inject("postgres");
  const name = `mfa_${randomBytes(6).toString("hex")}`;
  await execute(url, `CREATE DATABASE ${name}`);
  onTestFinished(() => execute(url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  onTestFinished(() => execute(url, `DROP DATABASE IF EXISTS ${name}_saved WITH (FORCE)`));
  return {
    url: databaseUrl(url, name),
    async save() {
      await execute(url, `DROP DATABASE IF EXISTS ${name}_saved`);
      await execute(url, `CREATE DATABASE ${name}_saved TEMPLATE ${name}`);
    },
    async restore() {
      await execute(url, `DROP DATABASE ${name} WITH (FORCE)`);
      await execute(url, `CREATE DATABASE ${name} TEMPLATE ${name}_saved`);
    },
    async mentions(texts) {
      const client = new pg.Client({ connectionString: databaseUrl(url, name) });
      await client.connect();
      try {
        const found: string[] = [];
        const { rows } = await client.query(
          "SELECT quote_ident(table_name) AS name FROM information_schema.tables WHERE table_schema = 'public'",
        );
        for (const { name: table } of rows) {
          const { rows: lines } = await client.query(`SELECT t::text AS line FROM ${table} t`);
          for (const text of texts) if (lines.some(({ line }) => line.includes(text))) found.push(`${table}: ${text}`);
        }
        return found;
      } finally {
        await client.end();
      }
    },
  };
}

/** One life of the service, as a process of its own, and its clients. */
async function live(dataDir: string, env: Record<string, string>) {
  const { child, saw, outcome } = start(process.execPath, ["src/main.ts", "--dev"], {
    ...{
      MFA_PORT: "0",
      MFA_GATEWAY_PORT: "0",
      MFA_ADMIN_PORT: "0",
      MFA_INTERNAL_PORT: "0",
      MFA_HOST: "127.0.0.1",
      MFA_KEY_FILE: "",
    },
    ...{ MFA_DATA_DIR: dataDir, ...env },
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [, port] = await saw(/ready on [^\s]+:(\d+) \(grpc\)/);
  const users = grpcClient(MfaService, Number(port));
  const backends = grpcClient(InternalMfaService, Number(port));
  const admins = grpcClient(AdminMfaService, Number(port));
  const end = async (signal: "SIGKILL" | "SIGTERM") => {
    child.kill(signal);
    await outcome;
    for (const client of [users, backends, admins]) client.close();
  };
  return { mfa: users.rpcs, internal: backends.rpcs, admin: admins.rpcs, end };
}

type Life = Awaited<ReturnType<typeof live>>;
type Mint = (claims: DevTokenClaims) => Promise<string>;

const backendOf = (mint: Mint) => mint({ audience: "mfa-internal", subject: "shop", scope: "mfa.erase mfa.dev" });

/** A number of its own for each enrollment of a run: one number is sent five codes a day at most. */
const phone = (n: number) => `+4915112${String(345_678 + n * 1_500)}`;

/** Enrolls a user with everything that leaves traces; answers the texts that must not be found once they are erased. */
async function enroll({ mfa, internal }: Life, mint: Mint, user: string, n: number): Promise<string[]> {
  const first = await mint({ audience: "mfa", subject: user, acr: "aal1" });
  const { provisioning } = await mfa.startTotpEnrollment({}, first);
  const secret = provisioning?.secret ?? "";
  await mfa.finishTotpEnrollment({ code: await showCode(secret, new Date()) }, first);
  const token = await mint({ audience: "mfa", subject: user, acr: "aal2" });
  const { delivery } = await mfa.startSmsEnrollment({ phoneNumber: phone(n) }, token);
  const { messages } = await internal.listInboxMessages({ userId: user }, await backendOf(mint));
  const code = messages.find((message) => message.code !== "")?.code ?? "";
  await mfa.finishSmsEnrollment({ challengeId: delivery?.challengeId ?? "", code }, token);
  const { codes } = await mfa.generateBackupCodes({}, token);
  return [user, secret, phone(n), ...codes];
}

/** Calls of a user and about them, one after the other, until they are told to stop. Refusals are no matter here. */
function busy({ mfa }: Life, tokens: readonly string[], n: number) {
  let stopped = false;
  const blob = randomBytes(256);
  const sync = { blob, checksum: createHash("sha256").update(blob).digest() };
  const calls = [
    (token: string) => mfa.startTotpEnrollment({}, token),
    (token: string) => mfa.verifyTotpCode({ code: "123456" }, token),
    (token: string) => mfa.startSmsEnrollment({ phoneNumber: phone(n + 1) }, token),
    (token: string) => mfa.sendSmsCode({}, token),
    (token: string) => mfa.syncDevice(sync, token),
    (token: string) => mfa.trustDevice({}, token),
  ];
  const running = tokens.flatMap((token) =>
    calls.map(async (call) => {
      while (!stopped) {
        await call(token).catch(() => {});
        await sleep(1);
      }
    }),
  );
  return async () => {
    stopped = true;
    await Promise.all(running);
  };
}

describe.each(["sqlite", "postgres"])("erasing amid everything on %s", (engine) => {
  test(`leaves no row and no byte, killed and put back, ${ROUNDS} times`, { timeout: ROUNDS * 60_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "mfa-erase-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const kept = engine === "sqlite" ? await keptSqlite(folder) : await keptPostgres();
    const dataDir = join(folder, "data");
    const file = join(folder, "settings.json");
    const rates = { user: 1e6, admin: 1e6, service: 1e6, source: 1e6, guesses: 1e6 };
    await writeFile(file, JSON.stringify({ rates }));
    const env = { MFA_CONFIG: file, MFA_DATABASE_URL: kept.url };
    const mint: Mint = (claims) => mintDevToken(dataDir, claims);

    let life = await live(dataDir, env);
    const settings = {
      // All of it comes from one address, which would be denied more than thirty sends an hour.
      sms: {
        ...{ enabled: true, allowedCountries: ["DE"], dailyBudget: 1_000_000 },
        fraudMode: FraudMode.RECORD_ONLY,
      },
      trustedDevices: { enabled: true },
    };
    const scope = "mfa.settings.write mfa.audit.read";
    const root = () => mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    await life.admin.updateTenantSettings(settings, await root());

    for (let round = 0; round < ROUNDS; round++) {
      const user = `forget-me-not.${randomUUID()}@example.com`;
      const traces = await enroll(life, mint, user, round * 2);
      const putsBack = round % RESTORES === RESTORES - 1;
      if (putsBack) {
        await life.end("SIGTERM");
        await kept.save();
        life = await live(dataDir, env);
      }
      expect(await kept.mentions([user])).not.toEqual([]);

      const tokens = [await mint({ audience: "mfa", subject: user, acr: "aal2" })];
      const stop = busy(life, tokens, round * 2);
      const request = { userId: user, erasureId: randomUUID() };
      const backend = await backendOf(mint);
      const erased = life.internal.eraseUser(request, backend).then(
        ({ receipt }) => receipt,
        () => undefined,
      );
      // Most are killed amid it; those that are put back end well first.
      if (putsBack) expect(await erased).toBeDefined();
      else await sleep(randomInt(60));
      const killed = life.end("SIGKILL");
      const acknowledged = await erased;
      await killed;
      await stop();
      if (putsBack) await kept.restore();
      else if (acknowledged) expect(await kept.mentions(traces), `round ${round}, acknowledged`).toEqual([]);

      life = await live(dataDir, env);
      const { receipt } = await life.internal.eraseUser(request, backend);
      if (acknowledged && !putsBack) expect(receipt).toEqual(acknowledged);
      expect(await kept.mentions(traces), `round ${round}`).toEqual([]);
      expect((await life.internal.eraseUser(request, backend)).receipt).toEqual(receipt);
      expect(await readFile(join(dataDir, "erasures.jsonl"), "utf8")).not.toContain(user);
    }
    expect(await life.admin.verifyAuditChain({}, await root())).toMatchObject({ intact: true });
    await life.end("SIGTERM");
  });
});

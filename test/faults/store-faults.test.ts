import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { eq } from "drizzle-orm";
import { expect, onTestFinished, test, vi } from "vitest";
import { migrationsFolder } from "../../src/db/migrate.ts";
import { openPostgres } from "../../src/db/postgres.ts";
import { type Building, type Store, statement } from "../../src/db/store.ts";
import { events } from "../../src/events/events.table.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { CallFailed } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { startPostgres } from "../support/engine/postgres.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [EngineUnderTest];
const USERS = 40;

const listVerified = statement((s: Building<Record<never, never>>) => {
  const t = s.table(events);
  return s.db.select({ userId: t.userId, time: t.createTime }).from(t).where(eq(t.type, "PROOF_SUCCEEDED"));
});

const verifiedIn = async (store: Store) =>
  (await store.read((tx) => tx.run(listVerified, {}))).map(({ userId, time }) => `${userId} ${time.getTime()}`);

/** Users with an app each, and one round of log-ins for all of them at once. */
async function enrollUsers(service: ServiceUnderTest) {
  const users = Array.from({ length: USERS }, (_, n) => `user-${n}`);
  const apps: { userId: string; code: () => Promise<string> }[] = [];
  for (const userId of users) apps.push({ userId, ...(await enrollApp(service, userId)) });
  return async () => {
    service.pass(30_000);
    const backend = await service.backend("mfa.verify");
    const time = service.clock.now.getTime();
    const outcomes = await Promise.allSettled(
      apps.map(async ({ userId, code }) =>
        service.internal.verifyUserTotpCode({ userId, code: await code() }, backend),
      ),
    );
    const acknowledged = users.filter((_, n) => outcomes[n]?.status === "fulfilled").map((user) => `${user} ${time}`);
    const reasons = new Set(
      outcomes.flatMap((o) =>
        o.status === "rejected" ? [o.reason instanceof CallFailed ? o.reason.reason : o.reason] : [],
      ),
    );
    return { acknowledged, reasons: [...reasons] };
  };
}

test("a full disk acknowledges nothing that is not on it, and room makes it serve again", async () => {
  const pragma = vi.spyOn(Database.prototype, "pragma");
  const service = await serviceForTest(sqlite);
  const [writer] = pragma.mock.contexts as Database.Database[];
  pragma.mockRestore();
  const logIn = await enrollUsers(service);
  expect((await logIn()).acknowledged).toHaveLength(USERS);

  writer?.pragma(`max_page_count = ${writer.pragma("page_count", { simple: true })}`);
  const acknowledged: string[] = [];
  const reasons = new Set<string>();
  for (let round = 0; round < 5; round++) {
    const outcome = await logIn();
    acknowledged.push(...outcome.acknowledged);
    for (const reason of outcome.reasons) reasons.add(reason);
  }
  expect([...reasons]).toEqual(["STORE_UNAVAILABLE"]);
  expect(await verifiedIn(service.store)).toEqual(expect.arrayContaining(acknowledged));

  writer?.pragma("max_page_count = 1000000");
  // Attempts that were counted while nothing could be spent may have locked some.
  service.pass(61_000);
  expect((await logIn()).acknowledged).toHaveLength(USERS);
});

test("a restarted PostgreSQL loses nothing acknowledged, hangs nobody, and is served again", async () => {
  const server = await startPostgres();
  onTestFinished(() => server.remove());
  const restarted: EngineUnderTest = {
    name: "postgres",
    reopen: () => openPostgres({ url: server.url }),
    open: async () => {
      const store = await openPostgres({ url: server.url, migrations: migrationsFolder("postgres") });
      return { store, url: server.url, execute: async () => {}, remove: () => store.close() };
    },
  };
  const service = await serviceForTest(restarted);
  const logIn = await enrollUsers(service);
  const acknowledged = [...(await logIn()).acknowledged];
  expect(acknowledged).toHaveLength(USERS);

  const [during] = await Promise.all([logIn(), server.stop()]);
  const without = await logIn();
  expect(without).toEqual({ acknowledged: [], reasons: ["STORE_UNAVAILABLE"] });
  await server.start();
  acknowledged.push(...during.acknowledged);

  service.pass(61_000);
  await vi.waitUntil(async () => (await logIn()).acknowledged.length === USERS, { timeout: 20_000 });
  expect(await verifiedIn(service.store)).toEqual(expect.arrayContaining(acknowledged));
});

test("a lost key file stops the start and touches no data", async () => {
  const service = await serviceForTest(sqlite);
  await enrollApp(service, "ann");
  await service.server.stop();
  const { loadConfig } = await import("../../src/config/config.ts");
  const { startServer } = await import("../../src/server.ts");
  const { pino } = await import("pino");
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-other-keys-"));
  const config = loadConfig(["--dev"], { MFA_PORT: "0", MFA_DATA_DIR: dataDir, MFA_DATABASE_URL: service.url });
  const before = await dump(service.url);
  await expect(startServer(config, { log: pino({ level: "silent" }) })).rejects.toThrow(/key/);
  expect(await dump(service.url)).toEqual(before);
});

/** Every row of every table. */
async function dump(url: string): Promise<unknown[]> {
  const connection = new Database(url.slice("sqlite:".length), { readonly: true });
  const names = connection.prepare("select name from sqlite_master where type = 'table'").pluck().all() as string[];
  const rows = names.map((name) => connection.prepare(`select * from "${name}"`).all());
  connection.close();
  return rows;
}

import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { createErasure } from "../../src/erasure/erasure.ts";
import { openLedger } from "../../src/erasure/ledger.ts";
import { subjectTables } from "../../src/erasure/subject-data.repository.ts";
import { tombstoneRepository } from "../../src/erasure/tombstones/tombstones.repository.ts";
import { digestsOf } from "../../src/erasure/tombstones/tombstones.ts";
import { tables } from "../../src/schema.ts";
import { users } from "../../src/users/users.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { secondInstance } from "../support/worlds/instances.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite, postgres] = engines as [(typeof engines)[number], (typeof engines)[number]];
const AFTERMATH = 60_000;

/** Leaves an erasure as it stands between its two units: begun, and nothing deleted. Answers its id. */
async function begin({ store, dataDir, clock }: ServiceUnderTest, userId: string): Promise<string> {
  const keyring = await openKeyring(await readKeyFile(join(dataDir, "keys.json")), store);
  const [userDigest = ""] = digestsOf(keyring, { tenantId: "dev", userId });
  const erasureId = randomUUID();
  const nothing = { removed: {}, pseudonymisedCount: 0, erasedBefore: false };
  const row = { tenantId: "dev", userDigest, erasureId, receiptId: randomUUID(), eraseTime: clock.now, ...nothing };
  await store.write((tx) => tombstoneRepository(tx).insert({ ...row, state: "begun" }));
  return erasureId;
}

/** Who erased, of each erasure that the trail has. */
const erasers = async (service: ServiceUnderTest) => {
  const filter = { action: "user.erased" };
  const { entries } = await service.admin.listConfigAuditLogs({ filter }, await adminOf(service, "mfa.audit.read"));
  return entries.map(({ operatorId }) => operatorId);
};

const rowsOf = async (service: ServiceUnderTest) => (await everyRow(service.store)).totp_devices?.length;

describe("erasures beside another instance on one PostgreSQL", () => {
  test("one that an instance is at is its own to finish, under the name of whoever asked", async () => {
    const service = await serviceForTest(postgres);
    await enrollApp(service, "ann");
    const erasureId = await begin(service, "ann");
    service.pass(AFTERMATH - 1);
    await secondInstance(service, postgres);
    expect(await erasers(service)).toEqual([]);
    expect(await rowsOf(service)).toBe(1);
    await service.internal.eraseUser({ userId: "ann", erasureId }, await service.backend("mfa.erase"));
    expect(await erasers(service)).toEqual(["shop"]);
    expect(await rowsOf(service)).toBe(0);
  });

  test("one that nobody is at any more, as it began a minute ago, is made up for by whoever starts", async () => {
    const service = await serviceForTest(postgres);
    await enrollApp(service, "ann");
    await begin(service, "ann");
    service.pass(AFTERMATH);
    await secondInstance(service, postgres);
    expect(await erasers(service)).toEqual([""]);
    expect(await rowsOf(service)).toBe(0);
  });

  test("a database that was put back to before an erasure has its user erased again by whoever starts", async () => {
    const service = await serviceForTest(postgres);
    await enrollApp(service, "ann");
    const erasure = { userId: "ann", erasureId: randomUUID() };
    await service.internal.eraseUser(erasure, await service.backend("mfa.erase"));
    // As a backup has it: the user is there, and of the erasure nothing is known.
    await service.execute("DELETE FROM tombstones");
    await service.execute(
      "INSERT INTO users (tenant_id, user_id, mfa_epoch, update_time) VALUES ('dev', 'ann', 1, now())",
    );
    service.pass(AFTERMATH);
    await secondInstance(service, postgres);
    expect((await everyRow(service.store)).users).toEqual([]);
  });

  test("whoever makes up for it finds its user among any number of others, a thousand at a time", async () => {
    const service = await serviceForTest(postgres);
    await enrollApp(service, "zoe");
    const others = Array.from({ length: 2_001 }, (_, n) => `('dev', 'user-${n}', 1, now())`);
    await service.execute(`INSERT INTO users (tenant_id, user_id, mfa_epoch, update_time) VALUES ${others.join()}`);
    const [table] = subjectTables([users]);
    const page = (after: string) => service.store.read(async (tx) => table?.listUsers(tx, "dev", after, 1_000));
    const [first = [], last = []] = [await page(""), await page("user-999")];
    expect([first.length, last]).toEqual([1_000, ["zoe"]]);
    await begin(service, "zoe");
    service.pass(AFTERMATH);
    await secondInstance(service, postgres);
    expect(await rowsOf(service)).toBe(0);
    expect((await everyRow(service.store)).users?.length).toBe(2_001);
  });
});

test("an instance rids its files of what was deleted once for all that it makes up for, and once at its start", async () => {
  const service = await serviceForTest(sqlite);
  const { store, dataDir, clock } = service;
  for (const name of ["ann", "bob", "cleo"]) {
    await enrollApp(service, name);
    await begin(service, name);
  }
  let scrubs = 0;
  const scrub = async () => {
    scrubs += 1;
    await store.scrub();
  };
  const erasure = createErasure({
    store: { ...store, scrub },
    keyring: await openKeyring(await readKeyFile(join(dataDir, "keys.json")), store),
    ...{ clock: () => clock.now, timeOf: async () => clock.now, tables: subjectTables(tables) },
    ledger: openLedger(join(dataDir, "other-erasures.jsonl")),
  });
  expect([await erasure.makeUp(), scrubs]).toEqual([{ erased: 3, left: 0 }, 1]);
  const { signal } = new AbortController();
  await erasure.upkeep(signal);
  await erasure.upkeep(signal);
  expect(scrubs).toBe(2);
});

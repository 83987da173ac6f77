import { copyFile, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { Webhook } from "standardwebhooks";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { EventType, WebhookState } from "../../gen/mfa/v1/event_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { eventRepository } from "../../src/events/events.repository.ts";
import { startServer } from "../../src/server.ts";
import { createDestinations, isPublic } from "../../src/webhooks/destination.ts";
import { webhookEndpoints } from "../../src/webhooks/webhook-endpoints.table.ts";
import { createWebhooks } from "../../src/webhooks/webhooks.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import type { Received } from "../support/fakes/http-peer.ts";
import { webhookReceiver } from "../support/fakes/webhook-receiver.ts";
import { proofEvent } from "../support/report/records.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

async function delivering(engine: EngineUnderTest, answer?: (request: Received) => number | Promise<number>) {
  const receiver = await webhookReceiver(answer);
  const service = await serviceForTest(engine, { webhooks: receiver.settings });
  // The receivers' library compares with the machine's clock.
  service.clock.now = new Date();
  const scope = "mfa.settings.write mfa.read mfa.audit.read";
  const token = (tenant = "dev") =>
    service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope, tenant });
  let made = 0;
  return {
    ...service,
    receiver,
    token,
    create: async (request = {}, tenant = "dev") =>
      service.admin.createWebhookEndpoint({ url: receiver.url, ...request }, await token(tenant)),
    get: async (endpointId: string) => (await service.admin.getWebhookEndpoint({ endpointId }, await token())).endpoint,
    update: async (request: object) => service.admin.updateWebhookEndpoint(request, await token()),
    /** An event of each of these users, in one order. */
    happen: async (users: readonly string[], type: "PROOF_FAILED" | "PROOF_SUCCEEDED" = "PROOF_FAILED") => {
      for (const userId of users) {
        const event = proofEvent(++made, { userId, type, createTime: service.clock.now });
        await service.store.write((tx) => eventRepository(tx).insert(event));
      }
    },
  };
}

const headersOf = ({ headers }: Received) =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));

const idsOf = (requests: readonly Received[], user: string) =>
  requests
    .filter(({ body }) => JSON.parse(body).subject === user)
    .map(({ headers }) => String(headers["webhook-id"]))
    .filter((id, n, all) => all.indexOf(id) === n);

/** Waits until an endpoint is as it should be. */
async function until<T>(look: () => Promise<T>, is: (found: T) => boolean): Promise<T> {
  for (;;) {
    const found = await look();
    if (is(found)) return found;
  }
}

describe.each(engines)("webhooks on $name", (engine) => {
  test("deliver events as CloudEvents, under signatures that an independent library accepts", async () => {
    const service = await delivering(engine);
    const { endpoint, secret } = await service.create({ description: "siem" });
    expect(endpoint).toMatchObject({ url: service.receiver.url, state: WebhookState.ACTIVE, version: 1n });
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    await service.happen(["ann"]);
    const [request] = await service.receiver.requests(1);
    if (!request) throw new Error("nothing was delivered");
    expect(request.headers["content-type"]).toBe("application/cloudevents+json; charset=utf-8");
    const event = new Webhook(secret).verify(request.body, headersOf(request));
    expect(event).toMatchObject({
      specversion: "1.0",
      id: request.headers["webhook-id"],
      source: "urn:mfa-service:tenant:dev",
      type: "mfa.v1.proof_failed",
      subject: "ann",
      time: service.clock.now.toISOString(),
      datacontenttype: "application/json",
      data: { userId: "ann", type: "EVENT_TYPE_PROOF_FAILED", factorType: "FACTOR_TYPE_TOTP" },
    });
    expect(() => new Webhook(secret).verify(`${request.body} `, headersOf(request))).toThrow();
    const other = `whsec_${Buffer.alloc(32, 1).toString("base64")}`;
    expect(() => new Webhook(other).verify(request.body, headersOf(request))).toThrow();
    const settled = await until(
      () => service.get(endpoint?.endpointId ?? ""),
      (found) => found?.cursor !== "0.0",
    );
    expect(settled).toMatchObject({ consecutiveFailureCount: 0, lastError: "" });
    expect(settled?.lastSuccessTime).toBeDefined();
  });

  test("bring every event once a receiver that was down for an hour is back, in order for each user", async () => {
    let down = true;
    const service = await delivering(engine, () => (down ? 503 : 200));
    const { endpoint } = await service.create();
    const { endpointId = "" } = endpoint ?? {};
    const users = ["ann", "bob", "cleo", "", "dora"];
    await service.happen(Array.from({ length: 100 }, (_, n) => users[n % users.length] ?? ""));
    for (let passed = 0, attempts = 0; passed < 60; passed += 15) {
      const failing = await until(
        () => service.get(endpointId),
        (found) => (found?.consecutiveFailureCount ?? 0) > attempts,
      );
      expect(failing).toMatchObject({ state: WebhookState.FAILING, lastError: "HTTP_503" });
      attempts = failing?.consecutiveFailureCount ?? 0;
      service.pass(15 * MINUTE);
      await service.happen(users);
    }
    const before = service.receiver.received.length;
    down = false;
    service.pass(15 * MINUTE);
    const caughtUp = await until(
      () => service.get(endpointId),
      (found) => found?.cursor === "120.0",
    );
    expect(caughtUp).toMatchObject({ state: WebhookState.ACTIVE, consecutiveFailureCount: 0, lastError: "" });
    const taken = service.receiver.received.slice(before);
    for (const user of users.filter((name) => name !== "")) {
      const ids = idsOf(taken, user);
      expect(ids).toHaveLength(24);
      expect(ids).toEqual([...ids].sort());
    }
    expect(new Set(taken.map(({ headers }) => headers["webhook-id"])).size).toBe(120);
  });

  test("let no user's events overtake one that is refused, and do not repeat what others have got", async () => {
    let refuses = true;
    const service = await delivering(engine, ({ body }) => (refuses && JSON.parse(body).subject === "ann" ? 500 : 200));
    const { endpoint } = await service.create();
    const { endpointId = "" } = endpoint ?? {};
    await service.happen(["bob", "ann", "bob", "ann", "bob"]);
    const stuck = await until(
      () => service.get(endpointId),
      (found) => found?.state === WebhookState.FAILING,
    );
    // Where the first refused event stands before.
    expect(stuck?.cursor).toBe("1.0");
    expect(idsOf(service.receiver.received, "bob")).toHaveLength(3);
    expect(idsOf(service.receiver.received, "ann")).toHaveLength(1);
    refuses = false;
    service.pass(MINUTE);
    await until(
      () => service.get(endpointId),
      (found) => found?.cursor === "5.0",
    );
    expect(idsOf(service.receiver.received, "ann")).toHaveLength(2);
    expect(service.receiver.received.filter(({ body }) => JSON.parse(body).subject === "bob")).toHaveLength(3);
  });

  test("bring only the types that were asked for, and pass over the rest", async () => {
    const service = await delivering(engine);
    const { endpoint } = await service.create({ types: [EventType.PROOF_SUCCEEDED] });
    await service.happen(["ann", "ann"]);
    await service.happen(["bob"], "PROOF_SUCCEEDED");
    await service.happen(["ann"]);
    await until(
      () => service.get(endpoint?.endpointId ?? ""),
      (found) => found?.cursor === "4.0",
    );
    expect(service.receiver.received.map(({ body }) => JSON.parse(body).subject)).toEqual(["bob"]);
  });

  test("stop while paused or gone, and go on where they stopped", async () => {
    let gone = false;
    const service = await delivering(engine, () => (gone ? 410 : 200));
    const { endpoint } = await service.create();
    const { endpointId = "" } = endpoint ?? {};
    const { endpoint: paused } = await service.update({ endpointId, version: 1n, paused: true });
    expect(paused).toMatchObject({ state: WebhookState.PAUSED, version: 2n });
    await service.happen(["ann", "ann"]);
    await service.update({ endpointId, version: 2n, paused: false });
    await service.receiver.requests(2);
    gone = true;
    await service.happen(["bob"]);
    const stopped = await until(
      () => service.get(endpointId),
      (found) => found?.state === WebhookState.PAUSED,
    );
    expect(stopped?.lastError).toBe("HTTP_410");
    gone = false;
    await service.update({ endpointId, version: 3n, paused: false });
    await until(
      () => service.get(endpointId),
      (found) => found?.cursor === "3.0",
    );
  });

  test("take what waits for them along when they are removed", async () => {
    let broken = true;
    const service = await delivering(engine, () => (broken ? 503 : 200));
    const { endpoint } = await service.create();
    const { endpointId = "" } = endpoint ?? {};
    await service.happen(["ann"]);
    await until(
      () => service.get(endpointId),
      (found) => found?.lastError === "HTTP_503",
    );
    await service.admin.deleteWebhookEndpoint({ endpointId, reason: "moved" }, await service.token());
    const before = service.receiver.received.length;
    broken = false;
    await service.create();
    await service.happen(["bob"]);
    await service.receiver.requests(before + 1);
    const later = service.receiver.received.slice(before).map(({ body }) => JSON.parse(body).subject);
    expect(later).toEqual(["bob"]);
    expect(await rowsIn(service.store, webhookEndpoints)).toHaveLength(1);
  });

  test.each([500, 410, 204])("stay as an administrator has put them while a delivery ends with %i", async (status) => {
    const [arrived, held] = [Promise.withResolvers<void>(), Promise.withResolvers<number>()];
    let first = true;
    const service = await delivering(engine, () => {
      if (!first) return 204;
      first = false;
      arrived.resolve();
      return held.promise;
    });
    const { endpoint } = await service.create();
    await service.happen(["ann"]);
    await arrived.promise;
    const { endpointId = "" } = endpoint ?? {};
    const paused = status !== 410;
    const change = { endpointId, description: "changed", paused, version: 1n, reason: "slow" };
    const changed = await service.update(change);
    held.resolve(status);
    const look = async () => {
      const shown = await service.get(endpointId);
      const [row] = await rowsIn(service.store, webhookEndpoints);
      return { shown, isOver: row?.leaseId === null };
    };
    const { shown } = await until(look, ({ isOver }) => isOver);
    expect(shown).toMatchObject({
      state: paused ? WebhookState.PAUSED : WebhookState.ACTIVE,
      consecutiveFailureCount: changed.endpoint?.consecutiveFailureCount,
    });
  });

  test("are signed with the old secret too after a rotation, for as long as was said", async () => {
    const service = await delivering(engine);
    const { endpoint, secret } = await service.create();
    const { endpointId = "" } = endpoint ?? {};
    const rotated = await service.admin.rotateWebhookSecret({ endpointId }, await service.token());
    expect(rotated.secret).not.toBe(secret);
    await service.happen(["ann"]);
    const [both] = await service.receiver.requests(1);
    for (const each of [secret, rotated.secret])
      new Webhook(each).verify(both?.body ?? "", headersOf(both as Received));
    const overlap = { seconds: 0n, nanos: 0 };
    const last = await service.admin.rotateWebhookSecret({ endpointId, overlap }, await service.token());
    await service.happen(["ann"]);
    const [, one] = await service.receiver.requests(2);
    new Webhook(last.secret).verify(one?.body ?? "", headersOf(one as Received));
    expect(() => new Webhook(rotated.secret).verify(one?.body ?? "", headersOf(one as Received))).toThrow();
  });

  test("bring past events again under their old ids", async () => {
    const service = await delivering(engine);
    const { endpoint } = await service.create();
    const { endpointId = "" } = endpoint ?? {};
    await service.happen(["ann", "ann", "ann"]);
    await until(
      () => service.get(endpointId),
      (found) => found?.cursor === "3.0",
    );
    const replay = async (request = {}) =>
      (await service.admin.replayWebhookEvents({ endpointId, ...request }, await service.token())).queuedCount;
    expect(await replay({ afterCursor: "1.0" })).toBe(2n);
    const requests = await service.receiver.requests(5);
    const ids = requests.map(({ headers }) => headers["webhook-id"]);
    expect(ids.slice(3)).toEqual(ids.slice(1, 3));
    await until(
      () => service.get(endpointId),
      (found) => found?.cursor === "3.0",
    );
    expect(await replay()).toBe(3n);
    await service.receiver.requests(8);
    expect((await failure(replay({ afterCursor: "99.0" }))).reason).toBe("CURSOR_EXPIRED");
  });

  test("put nothing back for a replay that nobody waits for any more", async () => {
    const service = await delivering(engine);
    const { endpoint } = await service.create({ paused: true });
    const { endpointId = "" } = endpoint ?? {};
    await service.happen(["ann", "ann"]);
    const keyring = await openKeyring(await readKeyFile(`${service.dataDir}/keys.json`), service.store);
    const webhooks = createWebhooks({ store: service.store, keyring, destinations: createDestinations([]) });
    const call = { caller: { tenantId: "dev" }, signal: AbortSignal.abort(), unit: service.store.write } as never;
    const refused = await webhooks.replay(call, endpointId, { cursor: "", since: new Date(0), reason: "" });
    expect(refused).toMatchObject({ reason: "DEADLINE" });
    expect((await rowsIn(service.store, webhookEndpoints)).map(({ replays }) => replays)).toEqual([0]);
  });

  test("follow no redirect", async () => {
    const service = await delivering(engine, () => 302);
    const { endpoint } = await service.create();
    await service.happen(["ann"]);
    const failing = await until(
      () => service.get(endpoint?.endpointId ?? ""),
      (found) => found?.lastError !== "",
    );
    expect(failing?.lastError).toBe("HTTP_302");
    expect(service.receiver.received.map(({ url }) => url)).toEqual(["/events"]);
  });

  test("are kept by administrators: ten at most, versions, reasons, and no secret shown or stored readably", async () => {
    const service = await delivering(engine);
    const token = await service.token();
    const many = await tally(Array.from({ length: 14 }, () => service.create({ reason: "siem" })));
    expect(many).toEqual({ OK: 10, LIMIT_REACHED: 4 });
    const { endpoints } = await service.admin.listWebhookEndpoints({ pageSize: 4 }, token);
    expect(endpoints).toHaveLength(4);
    const { endpointId = "" } = endpoints[0] ?? {};
    const changes = await tally(
      Array.from({ length: 6 }, (_, n) => service.update({ endpointId, version: 1n, description: `siem ${n}` })),
    );
    expect(changes).toEqual({ OK: 1, STALE_VERSION: 5 });
    expect((await failure(service.update({ endpointId, version: 2n }))).reason).toBe("EMPTY_UPDATE");
    const { secret } = await service.admin.rotateWebhookSecret({ endpointId, reason: "leaked" }, token);
    const bytes = Buffer.from(secret.slice("whsec_".length), "base64");
    const rows = await rowsIn(service.store, webhookEndpoints);
    for (const { sealedSecret } of rows) expect(sealedSecret.includes(bytes)).toBe(false);
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { module: "webhook_endpoint" } }, token);
    expect(entries[0]).toMatchObject({
      action: "webhook_endpoint.secret_rotated",
      reason: "leaked",
      targetId: endpointId,
    });
    const shown = JSON.stringify([entries, service.log, await service.get(endpointId)], (_, value) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    expect(shown).not.toContain(secret.slice("whsec_".length));
    await service.admin.deleteWebhookEndpoint({ endpointId, reason: "moved" }, token);
    expect((await failure(service.get(endpointId))).reason).toBe("NOT_FOUND");
    const foreign = endpoints[1]?.endpointId ?? "";
    const other = await service.token("other");
    for (const call of [
      () => service.admin.getWebhookEndpoint({ endpointId: foreign }, other),
      () => service.admin.deleteWebhookEndpoint({ endpointId: foreign }, other),
      () => service.admin.rotateWebhookSecret({ endpointId: foreign }, other),
      () => service.admin.replayWebhookEvents({ endpointId: foreign }, other),
      () => service.admin.updateWebhookEndpoint({ endpointId: foreign, version: 1n, paused: true }, other),
    ]) {
      expect((await failure(call())).reason).toBe("NOT_FOUND");
    }
  });

  test("lead to public addresses only, unless the operator names others", async () => {
    const service = await serviceForTest(engine);
    const scope = "mfa.settings.write";
    const token = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    const create = (url: string) => service.admin.createWebhookEndpoint({ url }, token);
    for (const url of [
      ...[
        "https://localhost/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://0x7f000001/x",
        "https://2130706433/x",
      ],
      ...["https://[::1]/x", "https://[::ffff:7f00:1]/x", "https://10.0.0.1/x", "https://169.254.169.254/latest"],
      ...[
        "https://[fd00::1]/x",
        "https://[64:ff9b::7f00:1]/x",
        "https://0.0.0.0/x",
        "https://user:secret@example.com/x",
      ],
    ]) {
      expect((await failure(create(url))).reason, url).toBe("DESTINATION_REFUSED");
    }
    expect((await failure(create("http://example.com/x"))).reason).toBe("INVALID_FIELD");
    const { endpoint } = await create("https://93.184.215.14/x");
    const moved = { endpointId: endpoint?.endpointId ?? "", version: 1n, url: "https://localhost/x" };
    expect((await failure(service.admin.updateWebhookEndpoint(moved, token))).reason).toBe("DESTINATION_REFUSED");
  });
});

describe("a destination", () => {
  test("is public only where anybody may have its address", () => {
    const special = [
      "0.1.2.3",
      "10.1.2.3",
      "100.64.0.1",
      "127.255.0.1",
      "169.254.169.254",
      "172.16.0.1",
      "172.31.255.255",
    ];
    const more = ["192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1"];
    const v6 = ["::", "::1", "fe80::1", "fc00::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "64:ff9b::a00:1"];
    const none = ["", "x", "255.255.255.255", "240.0.0.1", "::ffff:10.0.0.1", "2001::1", "3fff::1", "fe80::1%eth0"];
    for (const address of [...special, ...more, ...v6, ...none]) expect(isPublic(address), address).toBe(false);
    for (const address of ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]) {
      expect(isPublic(address), address).toBe(true);
    }
  });

  test("is judged again by the address that its name leads to when the connection is made", async () => {
    const resolved = (networks: string[], all: boolean) =>
      new Promise<string>((resolve) => {
        createDestinations(networks).lookup("localhost", { all }, (error, address) =>
          resolve(error ? String(error.code) : typeof address === "string" ? address : (address[0]?.address ?? "")),
        );
      });
    expect(await resolved([], true)).toBe("PRIVATE_ADDRESS");
    expect(await resolved([], false)).toBe("PRIVATE_ADDRESS");
    expect(["127.0.0.1", "::1"]).toContain(await resolved(["127.0.0.0/8", "::1/128"], false));
    expect(["127.0.0.1", "::1"]).toContain(await resolved(["127.0.0.0/8", "::1/128"], true));
  });
});

test("after a crash on SQLite what was under way is delivered at the start, and not when its lease is over", async () => {
  const [sqlite] = engines as [EngineUnderTest];
  let isSilent = true;
  const never = new Promise<number>(() => {});
  const service = await delivering(sqlite, () => (isSilent ? never : 204));
  await service.create();
  await service.happen(["ann"]);
  await vi.waitUntil(() => service.receiver.received.length === 1, { timeout: 20_000 });
  const dataDir = await mkdtemp(join(tmpdir(), "mfa-crashed-"));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  for (const name of await readdir(service.dataDir)) {
    if (name.endsWith(".json")) await copyFile(join(service.dataDir, name), join(dataDir, name));
  }
  const path = service.url.slice("sqlite:".length);
  for (const end of ["", "-wal"]) await copyFile(`${path}${end}`, join(dataDir, `mfa.db${end}`));
  isSilent = false;
  const { webhooks, ...config } = loadConfig(["--dev"], { MFA_DATA_DIR: dataDir });
  const next = await startServer(
    {
      ...config,
      webhooks: { ...webhooks, ...service.receiver.settings },
      listeners: [{ kind: "grpc", host: "127.0.0.1", port: 0 }],
    },
    { log: pino({ level: "silent" }), clock: () => service.clock.now },
  );
  onTestFinished(() => next.stop());
  await vi.waitUntil(() => service.receiver.received.length === 2, { timeout: 20_000 });
});

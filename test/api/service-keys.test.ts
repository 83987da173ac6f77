import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { ServiceKeyState } from "../../gen/mfa/v1/service_key_pb.js";
import { newServiceKey } from "../../src/crypto/service-key.ts";
import { serviceKeys } from "../../src/service-keys/service-keys.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, grpcClient } from "../support/actors/grpc-client.ts";
import { createKey, keeperOf } from "../support/actors/service-keys.ts";
import { engines } from "../support/engine/engines.ts";
import { bytesOf, encodingsOf } from "../support/engine/residue.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { secondInstance } from "../support/worlds/instances.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const DAY_MS = 24 * 3600 * 1000;
const STATUS = "mfa.status.read";

const statusBy = (service: ServiceUnderTest, secret: string, headers: Record<string, string> = {}) =>
  service.internal.getUserMfaStatus({ userId: "ann" }, secret, headers);

describe.each(engines)("service keys on $name", (engine) => {
  test("a backend without an identity provider calls with a key, in its own name and tenant", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const { secret, key } = await createKey(service, [STATUS, "mfa.factors.write"]);
    expect(secret).toMatch(/^mfa_sk_[0-9A-Za-z]{36}$/);
    expect(key).toMatchObject({
      ...{ service: "shop", secretPrefix: secret.slice(0, 11), scopes: [STATUS, "mfa.factors.write"] },
      ...{ networks: [], state: ServiceKeyState.ACTIVE },
    });
    expect((await statusBy(service, secret)).status?.enrolled).toBe(true);
    await service.internal.revokeUserTrust({ userId: "ann", reason: "new password" }, secret);
    const { entries } = await service.admin.listConfigAuditLogs({}, await adminOf(service, "mfa.audit.read"));
    expect(entries.find(({ action }) => action === "user.trust_revoked")).toMatchObject({ operatorId: "shop" });
  });

  test("a key does what its scopes say and nothing else", async () => {
    const service = await serviceForTest(engine);
    const { secret } = await createKey(service, ["mfa.verify"]);
    expect((await failure(statusBy(service, secret))).reason).toBe("ACCESS_DENIED");
    expect((await failure(service.mfa.getMfaStatus({}, secret))).reason).toBe("ACCESS_DENIED");
    expect((await failure(service.admin.listServiceKeys({}, secret))).reason).toBe("ACCESS_DENIED");
  });

  test("nobody gives a key a scope that their own token does not have, or that no backend has", async () => {
    const service = await serviceForTest(engine);
    const create = async (scopes: string[], has: string) =>
      failure(service.admin.createServiceKey({ service: "shop", scopes }, await keeperOf(service, has)));
    expect((await create(["mfa.verify", STATUS], "mfa.verify")).reason).toBe("ACCESS_DENIED");
    const unknown = await create(["mfa.keys.write"], "mfa.keys.write");
    expect(unknown).toMatchObject({ reason: "INVALID_FIELD", metadata: { field: "scopes" } });
    expect(await rowsIn(service.store, serviceKeys)).toEqual([]);
  });

  test("refuses what is no network, and one with host bits", async () => {
    const service = await serviceForTest(engine);
    const keeper = await keeperOf(service, STATUS);
    for (const network of ["192.0.2.1/24", "localhost", "192.0.2.0/33", "::1%eth0/128"]) {
      const request = { service: "shop", scopes: [STATUS], networks: [network] };
      expect((await failure(service.admin.createServiceKey(request, keeper))).reason).toBe("INVALID_FIELD");
    }
  });

  test("takes no name, lifetime or scope outside of the rules", async () => {
    const service = await serviceForTest(engine);
    const good = { service: "s".repeat(255), scopes: [STATUS], lifetime: { seconds: 31_622_400n } };
    await service.admin.createServiceKey(good, await keeperOf(service, STATUS));
    for (const change of [
      ...[{ service: "" }, { service: "s".repeat(256) }, { service: "shop\n" }, { scopes: [] }],
      ...[{ lifetime: { seconds: 59n } }, { lifetime: { seconds: 31_622_401n } }, { scopes: [STATUS, STATUS] }],
    ]) {
      const call = service.admin.createServiceKey({ ...good, ...change }, await keeperOf(service, STATUS));
      expect((await failure(call)).reason).toBe("INVALID_FIELD");
    }
  });

  test("creating one needs a fresh second factor and its own scope", async () => {
    const service = await serviceForTest(engine);
    const request = { service: "shop", scopes: [STATUS] };
    const denied = await failure(service.admin.createServiceKey(request, await adminOf(service, STATUS)));
    expect(denied.reason).toBe("ACCESS_DENIED");
    const stale = await keeperOf(service, STATUS);
    service.pass(301_000);
    const late = await failure(service.admin.createServiceKey(request, stale));
    expect(late.reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
  });

  test("where the tenant has four eyes a second administrator approves a new key, and nobody waits to revoke one", async () => {
    const service = await serviceForTest(engine);
    const { keyId } = await createKey(service, [STATUS]);
    await setTenant(service, { administration: { fourEyes: true } });
    const root = await keeperOf(service, STATUS);
    const request = { service: "shop", scopes: [STATUS], reason: "new backend" };
    const waits = await failure(service.admin.createServiceKey(request, root));
    expect(waits.reason).toBe("APPROVAL_REQUIRED");
    const approvalId = waits.metadata.approval_id ?? "";
    await service.admin.grantApproval(
      { approvalId, reason: "seen" },
      await adminOf(service, "mfa.reset", { subject: "eve" }),
    );
    const { secret } = await service.admin.createServiceKey(request, root);
    expect((await statusBy(service, secret)).status?.enrolled).toBe(false);
    await service.admin.revokeServiceKey({ keyId, reason: "leaked" }, root);
  });

  test("a key is accepted from its networks only, by the address that a trusted proxy names", async () => {
    const proxies = { addresses: ["127.0.0.1/32"], header: "x-forwarded-for" as const };
    const service = await serviceForTest(engine, { proxies });
    const { secret } = await createKey(service, [STATUS], { networks: ["192.0.2.0/24", "2001:db8::/48"] });
    await statusBy(service, secret, { "x-forwarded-for": "192.0.2.200" });
    await statusBy(service, secret, { "x-forwarded-for": "2001:db8::7" });
    for (const from of ["192.0.3.1", "2001:db9::7", "unknown"]) {
      const refused = await failure(statusBy(service, secret, { "x-forwarded-for": from }));
      expect(refused.reason).toBe("INVALID_CREDENTIAL");
    }
    expect((await failure(statusBy(service, secret))).reason).toBe("INVALID_CREDENTIAL");
  });

  test("a revoked key is refused within a second by the instance that knew it, and a repeat changes nothing", async () => {
    const service = await serviceForTest(engine);
    const { secret, keyId } = await createKey(service, [STATUS]);
    await statusBy(service, secret);
    const keeper = await keeperOf(service, "");
    const first = await service.admin.revokeServiceKey({ keyId, reason: "leaked" }, keeper);
    expect(first.key?.state).toBe(ServiceKeyState.REVOKED);
    service.pass(1_000);
    expect((await failure(statusBy(service, secret))).reason).toBe("INVALID_CREDENTIAL");
    const again = await service.admin.revokeServiceKey({ keyId, reason: "leaked" }, await keeperOf(service, ""));
    expect(again.key?.revokeTime).toEqual(first.key?.revokeTime);
    const foreign = await adminOf(service, "mfa.keys.write", { tenant: "other" });
    expect((await failure(service.admin.revokeServiceKey({ keyId }, foreign))).reason).toBe("NOT_FOUND");
  });

  test("a key ends with its time: after 90 days unless it was given another", async () => {
    const service = await serviceForTest(engine);
    const short = await createKey(service, [STATUS], { lifetime: { seconds: 60n } });
    const usual = await createKey(service, [STATUS]);
    service.pass(60_000);
    expect((await failure(statusBy(service, short.secret))).reason).toBe("INVALID_CREDENTIAL");
    await statusBy(service, usual.secret);
    service.pass(90 * DAY_MS - 60_001);
    await statusBy(service, usual.secret);
    service.pass(1);
    expect((await failure(statusBy(service, usual.secret))).reason).toBe("INVALID_CREDENTIAL");
    const { keys } = await service.admin.listServiceKeys({}, await keeperOf(service, ""));
    expect(keys.map(({ state }) => state)).toEqual([ServiceKeyState.EXPIRED, ServiceKeyState.EXPIRED]);
  });

  test("a text that only looks like a key is refused, as are one of another database and a wrong scheme", async () => {
    const service = await serviceForTest(engine);
    const { secret } = await createKey(service, [STATUS]);
    for (const guess of [newServiceKey(), "mfa_sk_", `mfa_sk_${"0".repeat(36)}`, secret.toLowerCase(), `${secret}0`]) {
      expect((await failure(statusBy(service, guess))).reason).toBe("INVALID_CREDENTIAL");
    }
    for (const scheme of ["Ticket", "Device", "Basic"]) {
      const call = service.internal.getUserMfaStatus({ userId: "ann" }, undefined, {
        authorization: `${scheme} ${secret}`,
      });
      expect((await failure(call)).reason).toBe("INVALID_CREDENTIAL");
    }
  });

  test("operators are told why a key or a user token was refused, without either", async () => {
    const service = await serviceForTest(engine);
    const { secret, keyId } = await createKey(service, [STATUS]);
    await service.admin.revokeServiceKey({ keyId }, await keeperOf(service, ""));
    const cut = secret.slice(0, -1);
    const invented = newServiceKey();
    for (const shown of [secret, cut, invented]) await failure(statusBy(service, shown));
    const token = `${Buffer.from('{"alg":"EdDSA","typ":"mfa-user+jwt","kid":"x"}').toString("base64url")}.e30.AAAA`;
    await failure(service.mfa.getMfaStatus({}, token));
    const log = service.log.join("");
    expect(log).toContain(`the service key ${secret.slice(0, 11)}… of shop was revoked`);
    expect(log).toContain("a service key that was mistyped or cut off");
    expect(log).toContain("a service key that this service does not know");
    expect(log).toContain("a user token that has expired, or that this service did not sign so");
    for (const shown of [cut, invented, token]) expect(log).not.toContain(shown);
    const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
    expect(metrics).toMatch(/check="service-key"\} 3\n/);
    expect(metrics).toMatch(/check="user-token"\} 1\n/);
  });

  test("the scheme may be written in any case, with more than one space", async () => {
    const service = await serviceForTest(engine);
    const { secret } = await createKey(service, [STATUS]);
    for (const authorization of [`bearer ${secret}`, `BEARER ${secret}`, `Bearer   ${secret}`]) {
      await service.internal.getUserMfaStatus({ userId: "ann" }, undefined, { authorization });
    }
    const backend = await service.backend(STATUS);
    await service.internal.getUserMfaStatus({ userId: "ann" }, undefined, { authorization: `bEARER ${backend}` });
  });

  test("says when it was last used, to the hour, and costs no write in between", async () => {
    const service = await serviceForTest(engine);
    const { secret } = await createKey(service, [STATUS]);
    const lastUse = async () => (await rowsIn(service.store, serviceKeys))[0]?.lastUseTime;
    expect(await lastUse()).toBeNull();
    const first = service.clock.now;
    await statusBy(service, secret);
    expect(await lastUse()).toEqual(first);
    service.pass(3_599_000);
    await statusBy(service, secret);
    expect(await lastUse()).toEqual(first);
    service.pass(1_000);
    await statusBy(service, secret);
    expect(await lastUse()).toEqual(service.clock.now);
    const { keys } = await service.admin.listServiceKeys({}, await keeperOf(service, ""));
    expect(Number(keys[0]?.lastUseTime?.seconds) * 1000).toBe(service.clock.now.getTime());
  });

  test("the secret is shown once and is nowhere afterwards: no log, no row, no file, no metric, no list", async () => {
    const service = await serviceForTest(engine);
    const requestId = randomUUID();
    const { secret } = await createKey(service, [STATUS], { requestId });
    await statusBy(service, secret);
    await failure(service.mfa.getMfaStatus({}, secret));
    const repeat = { service: "shop", scopes: [STATUS], requestId };
    const refused = await failure(service.admin.createServiceKey(repeat, await keeperOf(service, STATUS)));
    expect(refused.reason).toBe("REQUEST_REPEATED");
    const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
    const { keys } = await service.admin.listServiceKeys({}, await keeperOf(service, ""));
    const listed = JSON.stringify(keys, (_, value) => (typeof value === "bigint" ? String(value) : value));
    const audit = await service.admin.listConfigAuditLogs({}, await adminOf(service, "mfa.audit.read"));
    const said = JSON.stringify([service.log, metrics, listed, audit], (_, value) =>
      typeof value === "bigint" ? String(value) : value,
    );
    const kept = Buffer.concat([await bytesOf(service), Buffer.from(said)]);
    // What is shown of a key is its beginning: the rest is looked for, which alone is worth something.
    for (const form of encodingsOf(secret.slice(11))) expect(kept.includes(form)).toBe(false);
  });

  test("who can write to the database gives no key a scope, a network, a name, a tenant or another life", async () => {
    const service = await serviceForTest(engine);
    const { secret } = await createKey(service, ["mfa.verify"], { networks: ["127.0.0.0/8"] });
    const set = (assignment: string) => service.execute(`UPDATE service_keys SET ${assignment}`);
    for (const [forged, genuine] of [
      [`scopes = '["mfa.erase","mfa.verify"]'`, `scopes = '["mfa.verify"]'`],
      ["networks = '[]'", `networks = '["127.0.0.0/8"]'`],
      ["service = 'bank'", "service = 'shop'"],
      ["tenant_id = 'other'", "tenant_id = 'dev'"],
      ["expire_time = create_time", "expire_time = create_time"],
    ] as const) {
      await service.internal.getJwks({}, secret);
      await set(forged);
      service.pass(1_000);
      expect((await failure(service.internal.getJwks({}, secret))).reason).toBe("INVALID_CREDENTIAL");
      await set(genuine);
      service.pass(1_000);
    }
    expect(
      service.log.some((line) =>
        line.includes("a row fails its integrity check (MAC): the database was written to by somebody else"),
      ),
    ).toBe(true);
  });

  test("a tenant has at most 100 keys that are accepted, and sees no other tenant's", async () => {
    const service = await serviceForTest(engine);
    for (let n = 0; n < 100; n++) await createKey(service, [STATUS]);
    const request = { service: "shop", scopes: [STATUS] };
    const refused = await failure(service.admin.createServiceKey(request, await keeperOf(service, STATUS)));
    expect(refused.reason).toBe("LIMIT_REACHED");
    const keeper = await keeperOf(service, STATUS);
    const page = await service.admin.listServiceKeys({ pageSize: 60 }, keeper);
    const { keys, nextPageToken } = await service.admin.listServiceKeys(
      { pageSize: 60, pageToken: page.nextPageToken },
      keeper,
    );
    expect([page.keys.length, keys.length, nextPageToken]).toEqual([60, 40, ""]);
    await service.admin.revokeServiceKey({ keyId: keys[0]?.keyId ?? "" }, keeper);
    await service.admin.createServiceKey(request, keeper);
    const other = await adminOf(service, "mfa.read", { tenant: "other" });
    expect((await service.admin.listServiceKeys({}, other)).keys).toEqual([]);
  });

  test("invented keys use up the allowance of their source, and take nothing from a backend with a good one there", async () => {
    const service = await serviceForTest(engine, { rates: { source: 1 } });
    const { secret } = await createKey(service, [STATUS]);
    await statusBy(service, secret);
    const reasons = new Set<string>();
    for (let n = 0; n < 15; n++) reasons.add((await failure(statusBy(service, newServiceKey()))).reason);
    expect(reasons).toEqual(new Set(["INVALID_CREDENTIAL", "RATE_LIMITED"]));
    service.pass(1_000);
    await statusBy(service, secret);
  });
});

const [, postgres] = engines as [(typeof engines)[number], (typeof engines)[number]];

test("a key that one instance revokes is refused within a second by another", async () => {
  const service = await serviceForTest(postgres);
  const { rpcs, close } = grpcClient(InternalMfaService, await secondInstance(service, postgres));
  const { secret, keyId } = await createKey(service, [STATUS]);
  await rpcs.getUserMfaStatus({ userId: "ann" }, secret);
  await service.admin.revokeServiceKey({ keyId, reason: "leaked" }, await keeperOf(service, ""));
  service.pass(1_000);
  expect((await failure(rpcs.getUserMfaStatus({ userId: "ann" }, secret))).reason).toBe("INVALID_CREDENTIAL");
  close();
});

import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import { trustedDevices } from "../../src/trusted-devices/trusted-devices.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { locationsFile } from "../support/fakes/locations.ts";
import { changesOf, eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const DAY = 24 * 60 * 60_000;
const client = { ip: "203.0.113.7" };

/** A service whose tenant lets users trust clients, and ann with an app. */
async function trusting(engine: (typeof engines)[number], settings: object = {}) {
  const service = await serviceForTest(engine);
  await allowTrust(service, settings);
  const app = await enrollApp(service, "ann");
  const trust = async (request: object = {}) =>
    (await service.mfa.trustDevice(request, await service.user("ann", "aal2"))).trustToken;
  const check = async (trustToken: string, more: object = {}, userId = "ann") => {
    const request = { userId, trustToken, client: { ...client, ...more } };
    const { deviceTrust } = await service.internal.checkUserDeviceTrust(request, await backendOf(service));
    return deviceTrust;
  };
  return { service, app, trust, check };
}
const revokers = (service: ServiceUnderTest) => service.backend("mfa.factors.write");

describe.each(engines)("trusted devices on $name", (engine) => {
  test("a client is trusted right after a second factor, its secret changes with each use, and ends with theft", async () => {
    const { service, trust, check } = await trusting(engine);
    const first = await trust();
    const used = await check(first);
    expect(used).toMatchObject({ trusted: true, device: { displayName: "Trusted device", current: true } });
    const second = used?.trustToken ?? "";
    expect(second).not.toBe(first);
    // Requests that crossed, within ten seconds.
    service.pass(10_000);
    expect(await check(first)).toMatchObject({ trusted: true, trustToken: "" });
    service.pass(1);
    const nothing = { trusted: false, trustToken: "" };
    const stolen = await check(first);
    expect(stolen).toMatchObject(nothing);
    expect(stolen?.device).toBeUndefined();
    expect(await check(second)).toMatchObject(nothing);
  });

  test("trust that is ended before its time is told by an event, and one that ran out is not", async () => {
    const { service, trust, check } = await trusting(engine);
    const told = async () =>
      (await eventsOf(service.store)).filter((event) => event.startsWith("DEVICE_TRUST_REVOKED"));
    const short = await trust({ lifetime: { seconds: 3600n } });
    await trust();
    service.pass(3600_000);
    expect((await check(short))?.trusted).toBe(false);
    await service.mfa.cleanUpTrustedDevices({}, await service.user("ann", "aal2"));
    expect(await told()).toEqual([]);
    const token = await service.user("ann", "aal2");
    const { devices } = await service.mfa.listTrustedDevices({}, token);
    await service.mfa.revokeTrustedDevice({ trustedDeviceId: devices[0]?.trustedDeviceId ?? "" }, token);
    expect(await told()).toHaveLength(1);
  });

  test("unknown, foreign, expired, ended and malformed secrets answer alike", async () => {
    const { service, trust, check } = await trusting(engine);
    const token = await trust();
    const unknown = await check(`${"A".repeat(22)}.${"B".repeat(43)}`);
    await enrollApp(service, "bob");
    expect(await check(token, {}, "bob")).toEqual(unknown);
    expect(await check(token, {}, "nobody")).toEqual(unknown);
    expect(await check("junk")).toEqual(unknown);
    const [row] = await rowsIn(service.store, trustedDevices);
    const copied = `${row?.seriesDigest.toString("base64url").slice(0, 22)}.${row?.secretDigest.toString("base64url").slice(0, 43)}`;
    expect(await check(copied)).toEqual(unknown);
    service.pass(30 * DAY - 60_000);
    const late = await check(token);
    expect(late?.trusted).toBe(true);
    service.pass(60_000);
    expect(await check(late?.trustToken ?? "")).toEqual(unknown);
  });

  test("a secret of two uses ago is theft at once: nobody is trusted by the series any more, and an event says so", async () => {
    const { service, trust, check } = await trusting(engine);
    const first = await trust();
    const second = (await check(first))?.trustToken ?? "";
    const third = (await check(second))?.trustToken ?? "";
    const kept = await trust({ displayName: "Another" });
    expect((await check(first))?.trusted).toBe(false);
    for (const token of [first, second, third])
      expect(await check(token)).toMatchObject({ trusted: false, trustToken: "" });
    // The user's other clients are none of the thief's.
    expect((await check(kept))?.trusted).toBe(true);
    const { devices } = await service.mfa.listTrustedDevices({}, await service.user("ann", "aal2"));
    expect(devices.map(({ displayName }) => displayName)).toEqual(["Another"]);
    expect((await eventsOf(service.store)).filter((event) => event.includes("STOLEN"))).toHaveLength(1);
  });

  test("somebody else who presents a secret is not trusted by it, and does not end what its owner has", async () => {
    const { service, trust, check } = await trusting(engine);
    const first = await trust();
    const second = (await check(first))?.trustToken ?? "";
    await enrollApp(service, "eve");
    service.pass(60_000);
    for (const userId of ["eve", "nobody"]) {
      for (const token of [first, second]) {
        const request = { userId, client, trustToken: token };
        const found = await service.internal.evaluateMfa(request, await backendOf(service));
        expect(found.deviceTrust).toMatchObject({ trusted: false, trustToken: "" });
      }
    }
    const own = { trustToken: first, application: "" };
    const asEve = await service.mfa.checkDeviceTrust(own, await service.user("eve"));
    expect(asEve.deviceTrust).toMatchObject({ trusted: false, trustToken: "" });
    const third = await check(second);
    expect(third?.trusted).toBe(true);
    // Not even with a row that was moved to them: its digests are the owner's.
    await service.execute("UPDATE trusted_devices SET user_id = 'eve'");
    expect((await check(third?.trustToken ?? "", {}, "eve"))?.trusted).toBe(false);
  });

  test("of many uses of one secret at once all are trusted and one gets the next", async () => {
    const { trust, check } = await trusting(engine);
    const token = await trust();
    const uses = await Promise.all(Array.from({ length: 30 }, () => check(token)));
    expect(uses.filter((use) => use?.trusted)).toHaveLength(30);
    const next = uses.flatMap((use) => use?.trustToken || []);
    expect(next).toHaveLength(1);
    expect((await check(next[0] ?? ""))?.trusted).toBe(true);
  });

  test("trust is for one application where that was asked for", async () => {
    const { trust, check } = await trusting(engine);
    const token = await trust({ application: "shop" });
    expect((await check(token, { application: "bank" }))?.trusted).toBe(false);
    expect((await check(token, { application: "shop" }))?.trusted).toBe(true);
  });

  test.each([
    [
      "a change of factors",
      async (service: ServiceUnderTest) =>
        void (await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"))),
    ],
    [
      "a changed password",
      async (service: ServiceUnderTest) => {
        const reply = await service.internal.revokeUserTrust(
          { userId: "ann", reason: "password changed" },
          await revokers(service),
        );
        expect(reply).toMatchObject({ revokedTrustedDeviceCount: 1, mfaEpoch: 2n });
      },
    ],
    [
      "an administrator's reset",
      async (service: ServiceUnderTest) => {
        const reset = { userId: "ann", reason: "lost phone" };
        await service.admin.resetUserMfa(reset, await adminOf(service));
      },
    ],
    [
      "revoking all",
      async (service: ServiceUnderTest) => {
        const reply = await service.mfa.revokeAllTrustedDevices({}, await service.user("ann", "aal2"));
        expect(reply.revokedCount).toBe(1);
      },
    ],
    [
      "revoking it",
      async (service: ServiceUnderTest) => {
        const token = await service.user("ann", "aal2");
        const [device] = (await service.mfa.listTrustedDevices({}, token)).devices;
        await service.mfa.revokeTrustedDevice({ trustedDeviceId: device?.trustedDeviceId ?? "" }, token);
      },
    ],
  ])("%s ends the trust", async (_, end) => {
    const { service, trust, check } = await trusting(engine);
    const token = await trust();
    await end(service);
    expect((await check(token))?.trusted).toBe(false);
    expect((await service.mfa.listTrustedDevices({}, await service.user("ann", "aal2"))).devices).toEqual([]);
  });

  test("trusting needs a fresh second factor and a tenant that allows it, and stops at the cap", async () => {
    const { service, app, trust } = await trusting(engine, { maxDevices: 2 });
    const weak = await failure(service.mfa.trustDevice({}, app.token));
    expect(weak).toMatchObject({ code: status.UNAUTHENTICATED, reason: "INSUFFICIENT_USER_AUTHENTICATION" });
    const first = await trust();
    await trust();
    const full = await failure(service.mfa.trustDevice({}, await service.user("ann", "aal2")));
    expect(full).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "2" } });
    const replaced = await trust({ trustToken: first, displayName: "Laptop" });
    const { devices } = await service.mfa.listTrustedDevices(
      { trustToken: replaced },
      await service.user("ann", "aal2"),
    );
    expect(devices.map(({ displayName, current }) => [displayName, current])).toEqual(
      expect.arrayContaining([
        ["Laptop", true],
        ["Trusted device", false],
      ]),
    );
    const other = await serviceForTest(engine);
    await enrollApp(other, "ann");
    const off = await failure(other.mfa.trustDevice({}, await other.user("ann", "aal2")));
    expect(off).toMatchObject({ reason: "POLICY_FORBIDS", metadata: { policy: "trusted_devices.enabled" } });
  });

  test("a page learns whether its client is trusted, reads what is kept of it, and nobody else does", async () => {
    const { service, app, trust } = await trusting(engine);
    const first = await trust({ displayName: "Laptop" });
    const { deviceTrust } = await service.mfa.checkDeviceTrust({ trustToken: first }, app.token);
    expect(deviceTrust).toMatchObject({ trusted: true, device: { displayName: "Laptop", current: true } });
    const next = deviceTrust?.trustToken ?? "";
    expect(next).not.toBe(first);
    const trustedDeviceId = deviceTrust?.device?.trustedDeviceId ?? "";
    const ann = await service.user("ann", "aal2");
    expect((await service.mfa.getTrustedDevice({ trustedDeviceId }, ann)).device?.displayName).toBe("Laptop");
    const none = { trustedDeviceId: "01900000-0000-7000-8000-000000000000" };
    await enrollApp(service, "bob");
    const refusals = [
      await failure(service.mfa.getTrustedDevice({ trustedDeviceId }, await service.user("bob", "aal2"))),
      await failure(service.mfa.getTrustedDevice(none, ann)),
    ];
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: status.NOT_FOUND, reason: "NOT_FOUND" });
    // Requests that crossed get no secret, and one that is older than that is a theft.
    service.pass(10_001);
    const answers = [];
    for (const trustToken of [first, next, "junk"]) {
      answers.push((await service.mfa.checkDeviceTrust({ trustToken }, app.token)).deviceTrust);
    }
    for (const answer of answers) expect(answer).toMatchObject({ trusted: false, trustToken: "" });
    expect((await service.mfa.listTrustedDevices({}, ann)).devices).toEqual([]);
  });

  test("no client is trusted for longer than 30 days", async () => {
    const { service } = await trusting(engine);
    const ann = await service.user("ann", "aal2");
    const lasting = (seconds: number) => service.mfa.trustDevice({ lifetime: { seconds: BigInt(seconds) } }, ann);
    expect((await failure(lasting((30 * DAY) / 1000 + 1))).reason).toBe("INVALID_FIELD");
    const { device } = await lasting((30 * DAY) / 1000);
    expect(Number(device?.trustedUntilTime?.seconds) * 1000).toBe(service.clock.now.getTime() + 30 * DAY);
  });

  test("cleaning up removes the caller's own expired devices and nobody else's", async () => {
    const { service, trust, check } = await trusting(engine);
    await enrollApp(service, "bob");
    await service.mfa.trustDevice({}, await service.user("bob", "aal2"));
    await trust({ lifetime: { seconds: 3600n } });
    const kept = await trust();
    service.pass(3600_000);
    const count = await service.mfa.cleanUpTrustedDevices({}, await service.user("ann", "aal2"));
    expect(count.removedCount).toBe(1);
    expect((await check(kept))?.trusted).toBe(true);
    expect(await rowsIn(service.store, trustedDevices)).toHaveLength(2);
  });

  test("redeeming a challenge may trust the client, which then stands in for a proof and never for its worth", async () => {
    const { service, app } = await trusting(engine);
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
    const request = { userId: "ann", challengeId, client, trust: { displayName: "Laptop", clientId: "" } };
    const { trustToken, trustedDevice } = await service.internal.redeemChallenge(request, backend);
    expect(trustedDevice?.displayName).toBe("Laptop");
    const logIn = { userId: "ann", client, trustToken };
    const allowed = await service.internal.evaluateMfa(logIn, backend);
    expect(allowed).toMatchObject({ decision: MfaDecision.ALLOW, deviceTrust: { trusted: true } });
    const next = allowed.deviceTrust?.trustToken ?? "";
    const asked = { ...logIn, trustToken: next, strength: AuthenticationStrength.ANY_FACTOR };
    expect((await service.internal.evaluateMfa(asked, backend)).decision).toBe(MfaDecision.CHALLENGE);
    const without = await service.internal.evaluateMfa({ userId: "ann", client }, backend);
    expect(without).toMatchObject({ decision: MfaDecision.CHALLENGE, factors: [{ factorId: app.deviceId }] });
  });

  test("a log-in by a backup code or a temporary pass makes no client trusted, and goes on without", async () => {
    const { service } = await trusting(engine);
    const backend = await backendOf(service);
    const { codes } = await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    const reason = "lost phone";
    const { code } = await service.admin.issueTemporaryPass({ userId: "ann", reason }, await adminOf(service));
    for (const kind of [
      { case: "backupCode" as const, value: codes[0] ?? "" },
      { case: "temporaryPass" as const, value: code },
    ]) {
      const challengeId = await createFor(service, "ann", backend);
      const request = { userId: "ann", challengeId, client };
      await service.internal.verifyUserChallenge({ ...request, proof: { kind } }, backend);
      const redeemed = await service.internal.redeemChallenge({ ...request, trust: {} }, backend);
      expect([redeemed.assertion?.acr, redeemed.trustToken]).toEqual(["aal2", ""]);
      expect(redeemed.trustedDevice).toBeUndefined();
    }
    expect(await rowsIn(service.store, trustedDevices)).toEqual([]);
  });

  test("trust lasts for as long as was asked for, 30 days at most, and shows until when, and no secret", async () => {
    const { service } = await trusting(engine);
    const token = await service.user("ann", "aal2");
    const seconds = (days: number) => ({ lifetime: { seconds: BigInt((days * DAY) / 1000), nanos: 0 } });
    const tooLong = service.mfa.trustDevice({ lifetime: { seconds: 30n * 86_400n + 1n, nanos: 0 } }, token);
    expect((await failure(tooLong)).reason).toBe("INVALID_FIELD");
    for (const days of [1, 30]) {
      const { device, trustToken } = await service.mfa.trustDevice(seconds(days), token);
      const end = BigInt((service.clock.now.getTime() + days * DAY) / 1000);
      expect(device?.trustedUntilTime).toMatchObject({ seconds: end });
      const { devices } = await service.mfa.listTrustedDevices({}, token);
      const shown = JSON.stringify([device, devices], (_, value) => (typeof value === "bigint" ? `${value}` : value));
      for (const part of trustToken.split(".")) expect(shown).not.toContain(part);
    }
  });

  test("requests that cross are no theft, however long ago the client was trusted; the newest client comes first", async () => {
    const { service, trust, check } = await trusting(engine);
    const first = await trust({ displayName: "Old" });
    service.pass(DAY);
    await trust({ displayName: "New" });
    const next = await check(first);
    service.pass(9_000);
    expect((await check(first))?.trusted).toBe(true);
    expect((await check(next?.trustToken ?? ""))?.trusted).toBe(true);
    expect((await eventsOf(service.store)).filter((one) => one.startsWith("DEVICE_TRUST_STOLEN"))).toEqual([]);
    const { devices } = await service.mfa.listTrustedDevices({}, await service.user("ann", "aal2"));
    expect(devices.map(({ displayName }) => displayName)).toEqual(["New", "Old"]);
  });

  test("no secret is in the store or the log", async () => {
    const { service, trust, check } = await trusting(engine);
    const token = await trust();
    const next = (await check(token))?.trustToken ?? "";
    const kept = JSON.stringify([service.log, await rowsIn(service.store, trustedDevices)]);
    for (const part of [...token.split("."), ...next.split(".")]) expect(kept).not.toContain(part);
  });

  test("a client that is refused for want of room stays as trusted as it was", async () => {
    const { service, trust, check } = await trusting(engine, { maxDevices: 3 });
    const [own] = [await trust(), await trust()];
    await allowTrust(service, { maxDevices: 1 });
    const refused = await failure(trust({ trustToken: own }));
    expect(refused).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "1" } });
    expect((await check(own ?? ""))?.trusted).toBe(true);
  });

  test("a trusted client shows from where it was trusted, as far as that is known", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mfa-locations-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "cities.mmdb");
    const names = { city: "Linz", country: "Austria" };
    await writeFile(path, locationsFile([{ cidr: "203.0.113.0/24", country: "AT", names }]));
    const service = await serviceForTest(engine, { risk: { locationsFile: path } });
    await allowTrust(service);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const placeOf = async (ip: string) => {
      const challengeId = await createFor(service, "ann", backend);
      await answer(service, backend, { userId: "ann", challengeId, code: await app.code() });
      service.pass(30_000);
      const asked = { userId: "ann", challengeId, client: { ip }, trust: {} };
      return (await service.internal.redeemChallenge(asked, backend)).trustedDevice?.location;
    };
    expect(await placeOf("203.0.113.7")).toBe("Linz, Austria");
    expect(await placeOf("198.51.100.1")).toBe("");
    const { devices } = await service.mfa.listTrustedDevices({}, await service.user("ann", "aal2"));
    expect(devices.map(({ location }) => location).sort()).toEqual(["", "Linz, Austria"]);
  });

  test("administrators see a user's trusted devices and end the trust in one, with a reason and no secret", async () => {
    const { service, trust, check } = await trusting(engine);
    const [lost, kept] = [await trust({ displayName: "Lost" }), await trust({ displayName: "Kept" })];
    const admin = await adminOf(service);
    const list = async (userId: string, request: object = {}) =>
      service.admin.listUserTrustedDevices({ userId, ...request }, admin);
    const { devices, nextPageToken } = await list("ann", { pageSize: 1 });
    const rest = await list("ann", { pageSize: 1, pageToken: nextPageToken });
    const all = [...devices, ...rest.devices];
    expect(all.map(({ displayName, current }) => [displayName, current])).toEqual([
      ["Kept", false],
      ["Lost", false],
    ]);
    expect((await list("nobody")).devices).toEqual([]);
    const trustedDeviceId = all[1]?.trustedDeviceId ?? "";
    const revoking = { userId: "ann", trustedDeviceId, reason: "stolen" };
    for (const other of [
      { ...revoking, userId: "bob" },
      { ...revoking, trustedDeviceId: randomUUID() },
    ]) {
      expect(await failure(service.admin.revokeUserTrustedDevice(other, admin))).toMatchObject({ reason: "NOT_FOUND" });
    }
    await service.admin.revokeUserTrustedDevice(revoking, admin);
    expect(await check(lost)).toMatchObject({ trusted: false });
    expect(await check(kept)).toMatchObject({ trusted: true });
    expect((await service.mfa.getMfaStatus({}, await service.user("ann"))).status?.factors).toHaveLength(1);
    const [entry] = (await changesOf(service.store)).filter(({ action }) => action === "trusted_device.revoked");
    expect(entry).toMatchObject({ reason: "stolen", targetId: trustedDeviceId, actorId: "root" });
    const again = await failure(service.admin.revokeUserTrustedDevice(revoking, admin));
    expect(again).toMatchObject({ reason: "NOT_FOUND" });
  });
});

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import {
  AttestationPolicy,
  BackupCodePolicy,
  FraudMode,
  LockProfile,
  TenantSettingsSchema,
  type UpdateTenantSettingsRequestSchema,
} from "../../gen/mfa/v1/tenant_settings_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { WebAuthnAttachment, WebAuthnRequirement } from "../../gen/mfa/v1/webauthn_pb.js";
import { loadConfig } from "../../src/config/config.ts";
import { type Store, StoreUnavailable } from "../../src/db/store.ts";
import { events } from "../../src/events/events.table.ts";
import { startServer } from "../../src/server.ts";
import { tenantSettings } from "../../src/tenant-settings/tenant-settings.table.ts";
import { createTenantSettings } from "../../src/tenant-settings/tenant-settings.ts";
import { failure, grpcClient, type Rpcs, tally } from "../support/actors/grpc-client.ts";
import { boundForTest, type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { changesOf, eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

type Update = MessageInitShape<typeof UpdateTenantSettingsRequestSchema>;

const MINUTE = 60_000;
const BOTH = "mfa.read mfa.settings.write";

const administrator = (service: ServiceUnderTest, scope = BOTH, tenant = "dev") =>
  service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope, tenant });

/** An administrator of a tenant: reads and changes its settings. */
async function administration(service: ServiceUnderTest, tenant = "dev") {
  const token = await administrator(service, BOTH, tenant);
  const settled = <T>(settings: T | undefined): T => {
    if (settings === undefined) throw new Error("the reply holds no settings");
    return settings;
  };
  return {
    get: async () => settled((await service.admin.getTenantSettings({}, token)).settings),
    update: async (change: Update) => settled((await service.admin.updateTenantSettings(change, token)).settings),
  };
}

/** The service's name that an authenticator app would show to a user. */
async function labelOf(mfa: Rpcs<typeof MfaService>, token: string): Promise<string | null> {
  const { provisioning } = await mfa.startTotpEnrollment({}, token);
  const uri = new URL(provisioning?.otpauthUri ?? "");
  const issuer = uri.searchParams.get("issuer");
  expect(decodeURIComponent(uri.pathname).split(":")[0]).toBe(`/${issuer}`);
  return issuer;
}

/** Every field of every group, each otherwise than its default. */
const everything = {
  totp: { issuer: "Shop", algorithm: TotpAlgorithm.SHA256, digits: 8, maxDevices: 3, strictWindow: true },
  webauthn: {
    rpIds: ["shop.example", "login.shop.example"],
    origins: ["https://shop.example", "http://localhost:3000", "android:apk-key-hash:b-_9"],
    userVerification: WebAuthnRequirement.REQUIRED,
    discoverable: WebAuthnRequirement.DISCOURAGED,
    attachment: WebAuthnAttachment.PLATFORM,
    attestation: AttestationPolicy.REQUIRED,
    allowedAaguids: ["ee882879-721c-4913-9775-3dfcce97072a"],
    deniedAaguids: ["08987058-cadc-4b81-b6e1-30de50dcbe96"],
    denySynced: true,
    passkeyAlone: true,
    maxCredentials: 4,
  },
  sms: { enabled: true, allowedCountries: ["AT", "DE"], fraudMode: FraudMode.RECORD_ONLY, dailyBudget: 7 },
  email: { enabled: true, allowedDomains: ["shop.example"] },
  push: { enabled: true, numberDigits: 6, lockWhenReported: true, maxDevices: 2 },
  backupCodes: { policy: BackupCodePolicy.REQUIRED, codeCount: 8, lowThreshold: 2, restrictSession: true },
  trustedDevices: { enabled: true, lifetime: { seconds: 86_400n }, maxDevices: 6 },
  administration: {
    fourEyes: true,
    resetCoolDown: { seconds: 3600n },
    auditRetention: { seconds: 31_536_000n * 2n },
    eventRetention: { seconds: 86_400n },
  },
  templates: {
    defaultLocale: "de-AT",
    messages: [
      { channel: FactorType.EMAIL, name: "code", locale: "de", subject: "Ihr Code", body: "Code:\n\t{code} \u{1f511}" },
    ],
    actions: [{ actionType: "pay.out", locale: "de", text: "{amount} auszahlen?", requireAuthenticatorBinding: true }],
  },
  prompt: {
    address: "https://login.shop.example",
    clients: [
      { clientId: "shop-web", returnUrls: ["https://shop.example/mfa?from=log-in", "https://m.shop.example/"] },
    ],
  },
  lockProfile: LockProfile.PCI,
} satisfies Update;

/** A second instance of the service on the same database, with the same clock. */
async function secondInstance(engine: EngineUnderTest, service: ServiceUnderTest) {
  // One process has a SQLite file to itself, so there the two share the store; the first closes it.
  const { engine: name, read, write } = service.store;
  const shared: Store = {
    engine: name,
    read: read.bind(service.store),
    write: write.bind(service.store),
    scrub: service.store.scrub,
    listen: service.store.listen,
    close: async () => {},
  };
  const config = loadConfig(["--dev"], { MFA_DATA_DIR: service.dataDir, MFA_DATABASE_URL: service.url });
  const listeners = [{ kind: "grpc" as const, host: "127.0.0.1", port: 0, origins: [] }];
  const server = await startServer(
    { ...config, listeners },
    {
      log: pino({ level: "silent" }),
      clock: () => service.clock.now,
      store: name === "sqlite" ? shared : await engine.reopen(service),
    },
  );
  const users = grpcClient(MfaService, server.listeners[0]?.port ?? 0);
  onTestFinished(async () => {
    users.close();
    await server.stop();
  });
  return users.rpcs;
}

describe.each(engines)("settings of tenants on $name", (engine) => {
  test("a tenant that has set nothing has the file's and the contract's defaults", async () => {
    const { get } = await administration(await serviceForTest(engine));
    expect(await get()).toEqual(
      create(TenantSettingsSchema, {
        totp: { issuer: "MFA Service", algorithm: TotpAlgorithm.SHA1, digits: 6, maxDevices: 5 },
        webauthn: {
          // Dev mode's own page.
          rpIds: ["localhost"],
          origins: ["http://localhost:11006"],
          userVerification: WebAuthnRequirement.PREFERRED,
          discoverable: WebAuthnRequirement.PREFERRED,
          attestation: AttestationPolicy.NONE,
          maxCredentials: 10,
        },
        sms: { fraudMode: FraudMode.DENY, dailyBudget: 1000 },
        email: {},
        push: { numberDigits: 2, maxDevices: 5 },
        backupCodes: { policy: BackupCodePolicy.PROMPT, codeCount: 10, lowThreshold: 3 },
        trustedDevices: { lifetime: { seconds: 2_592_000n }, maxDevices: 10 },
        administration: {
          resetCoolDown: {},
          auditRetention: { seconds: 31_536_000n },
          eventRetention: { seconds: 2_592_000n },
        },
        templates: { defaultLocale: "en" },
        prompt: {},
        lockProfile: LockProfile.STANDARD,
        version: 0n,
      }),
    );
  });

  test("what is set is kept, every field of it, and read back as it was given", async () => {
    const service = await serviceForTest(engine);
    const { get, update } = await administration(service);
    service.pass(5);
    const updated = await update({ ...everything, version: 0n });
    const { updateTime, ...settings } = updated;
    expect(settings).toEqual(create(TenantSettingsSchema, { ...everything, version: 1n }));
    expect(updateTime && timestampDate(updateTime)).toEqual(service.clock.now);
    expect(await get()).toEqual(updated);
  });

  test("a change of one group leaves the others, and the version grows", async () => {
    const { get, update } = await administration(await serviceForTest(engine));
    const before = await get();
    const first = await update({ totp: { issuer: "Shop" }, version: 0n });
    expect(first).toEqual({
      ...before,
      totp: { ...before.totp, issuer: "Shop" },
      version: 1n,
      updateTime: first.updateTime,
    });
    const second = await update({ lockProfile: LockProfile.PCI, version: 1n });
    expect(second).toEqual({ ...first, lockProfile: LockProfile.PCI, version: 2n, updateTime: second.updateTime });
    expect(await get()).toEqual(second);
  });

  test("a group is replaced as a whole: what it leaves unset comes from the file, and flags are off", async () => {
    const { get, update } = await administration(await serviceForTest(engine));
    const before = await get();
    // With four eyes what loosens a setting would wait for a second administrator.
    await update({ ...everything, administration: { ...everything.administration, fourEyes: false }, version: 0n });
    const replaced = await update({ totp: { digits: 8 }, push: {}, templates: {}, version: 1n });
    expect(replaced.totp).toEqual({ ...before.totp, digits: 8 });
    expect(replaced.push).toEqual(before.push);
    expect(replaced.templates).toEqual(before.templates);
    expect(replaced.sms).toMatchObject(everything.sms);
  });

  test.each<[string, Update]>([
    ["an issuer with a colon", { totp: { issuer: "a:b" } }],
    ["seven digits", { totp: { digits: 7 } }],
    ["a lock profile that does not exist", { lockProfile: 9 as LockProfile }],
    ["a plain origin that only begins like localhost", { webauthn: { origins: ["http://localhost.evil.example"] } }],
    ["a relying party twice", { webauthn: { rpIds: ["a.example", "a.example"] } }],
    ["a country in lower case", { sms: { allowedCountries: ["at"] } }],
    ["trust for 31 days", { trustedDevices: { lifetime: { seconds: 2_678_400n } } }],
    ["audit entries of 89 days", { administration: { auditRetention: { seconds: 7_689_600n } } }],
    ["audit entries of more than ten years", { administration: { auditRetention: { seconds: 315_360_001n } } }],
    ["a duration whose parts contradict each other", { trustedDevices: { lifetime: { seconds: 4000n, nanos: -1 } } }],
    [
      "a duration with too many nanoseconds",
      { administration: { resetCoolDown: { seconds: 9n, nanos: 2_000_000_000 } } },
    ],
    [
      "a message with a code that does not name it",
      { templates: { messages: [{ channel: FactorType.SMS, name: "code", locale: "de", body: "Hallo" }] } },
    ],
  ])("%s is refused, and nothing is stored", async (_, change) => {
    const service = await serviceForTest(engine);
    const { get, update } = await administration(service);
    const refused = await failure(
      update({ ...change, lockProfile: change.lockProfile ?? LockProfile.PCI, version: 0n }),
    );
    expect(refused).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(await get()).toMatchObject({ version: 0n, lockProfile: LockProfile.STANDARD });
  });

  test("a change based on an old version is refused, and says which is current", async () => {
    const { get, update } = await administration(await serviceForTest(engine));
    await update({ totp: { issuer: "One" }, version: 0n });
    await update({ totp: { issuer: "Two" }, version: 1n });
    for (const version of [0n, 1n, 3n, 2n ** 53n - 1n]) {
      const refused = await failure(update({ totp: { issuer: "Late" }, version }));
      expect(refused).toMatchObject({ code: status.ABORTED, reason: "STALE_VERSION", metadata: { version: "2" } });
    }
    expect(await get()).toMatchObject({ version: 2n, totp: { issuer: "Two" } });
  });

  test("of 30 concurrent changes of one version exactly one wins, the first change of all included", async () => {
    const service = await serviceForTest(engine);
    const { get, update } = await administration(service);
    for (const version of [0n, 1n]) {
      const replies: Promise<unknown>[] = Array.from({ length: 30 }, (_, n) =>
        update({ totp: { issuer: `${version} ${n}` }, version }),
      );
      expect(await tally(replies)).toEqual({ OK: 1, STALE_VERSION: 29 });
      const winner = (await Promise.allSettled(replies)).findIndex((reply) => reply.status === "fulfilled");
      expect(await get()).toMatchObject({ version: version + 1n, totp: { issuer: `${version} ${winner}` } });
    }
    expect(await changesOf(service.store)).toHaveLength(2);
  });

  test("a change that changes nothing is refused and leaves no trace", async () => {
    const service = await serviceForTest(engine);
    const { get, update } = await administration(service);
    const none = await failure(update({ version: 0n, reason: "no reason" }));
    expect(none).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "EMPTY_UPDATE" });
    await update({ ...everything, version: 0n });
    const same = await failure(update({ ...everything, version: 1n }));
    expect(same).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "EMPTY_UPDATE" });
    expect((await get()).version).toBe(1n);
    expect(await changesOf(service.store)).toHaveLength(1);
    expect(await eventsOf(service.store)).toHaveLength(1);
  });

  test("another tenant's settings stay as they are", async () => {
    const service = await serviceForTest(engine);
    const [ours, theirs] = [await administration(service), await administration(service, "other")];
    const before = await theirs.get();
    await ours.update({ ...everything, version: 0n });
    expect(await theirs.get()).toEqual(before);
    await theirs.update({ totp: { issuer: "Other" }, version: 0n });
    expect((await ours.get()).totp?.issuer).toBe("Shop");
    const ann = await service.mint({ audience: "mfa", subject: "ann", acr: "aal1", tenant: "other" });
    expect(await labelOf(service.mfa, ann)).toBe("Other");
    expect(await labelOf(service.mfa, await service.user("ann"))).toBe("Shop");
  });

  test("reading takes the scope mfa.read, changing takes mfa.settings.write and a proof of the last 15 minutes", async () => {
    const service = await serviceForTest(engine);
    const change = { totp: { issuer: "Shop" }, version: 0n };
    const denied = { code: status.PERMISSION_DENIED, reason: "ACCESS_DENIED" };
    const [reader, writer] = [
      await administrator(service, "mfa.read"),
      await administrator(service, "mfa.settings.write"),
    ];
    const strangers = [await service.user("ann", "aal2"), await service.backend(BOTH)];
    for (const token of [...strangers, reader, await administrator(service, "mfa.policy.write")]) {
      expect(await failure(service.admin.updateTenantSettings(change, token))).toMatchObject(denied);
    }
    for (const token of [...strangers, writer]) {
      expect(await failure(service.admin.getTenantSettings({}, token))).toMatchObject(denied);
    }
    service.pass(15 * MINUTE + 1000);
    const old = await failure(service.admin.updateTenantSettings(change, writer));
    expect(old).toMatchObject({ code: status.UNAUTHENTICATED, reason: "INSUFFICIENT_USER_AUTHENTICATION" });
    expect((await service.admin.getTenantSettings({}, reader)).settings?.version).toBe(0n);
    const fresh = await administrator(service, "mfa.settings.write");
    expect((await service.admin.updateTenantSettings(change, fresh)).settings?.version).toBe(1n);
  });

  test("a change is audited with its reason, the groups before and after, and tells the tenant's listeners", async () => {
    const service = await serviceForTest(engine);
    const { update } = await administration(service);
    await update({ sms: { enabled: true }, totp: { issuer: "Shop" }, version: 0n });
    const change = { totp: { algorithm: TotpAlgorithm.SHA512 }, lockProfile: LockProfile.PCI, version: 1n };
    await update({ ...change, reason: "PCI audit of March" });
    const audit = await changesOf(service.store);
    expect(audit).toHaveLength(2);
    expect(audit.find(({ reason }) => reason !== "")).toMatchObject({
      tenantId: "dev",
      userId: "",
      targetId: "dev",
      action: "tenant_settings.updated",
      actorType: "ADMIN",
      actorId: "root",
      rpc: "mfa.v1.AdminMfaService/UpdateTenantSettings",
      reason: "PCI audit of March",
      before: { totp: { issuer: "Shop" } },
      after: { totp: { algorithm: "TOTP_ALGORITHM_SHA512" }, lockProfile: "LOCK_PROFILE_PCI" },
      createTime: service.clock.now,
    });
    const told = await rowsIn(service.store, events);
    expect(told).toHaveLength(2);
    for (const event of told) expect(event).toMatchObject({ tenantId: "dev", userId: "", type: "POLICY_CHANGED" });
  });

  test("an authenticator app shows the tenant's issuer, at once where it was changed", async () => {
    const service = await serviceForTest(engine);
    const { update } = await administration(service);
    const ann = await service.user("ann");
    expect(await labelOf(service.mfa, ann)).toBe("MFA Service");
    await update({ totp: { issuer: "Café & Söhne" }, version: 0n });
    expect(await labelOf(service.mfa, ann)).toBe("Café & Söhne");
    await update({ totp: {}, version: 1n });
    expect(await labelOf(service.mfa, ann)).toBe("MFA Service");
  });

  test("a change on one instance is in force on another a second later", async () => {
    const service = await serviceForTest(engine);
    const { update } = await administration(service);
    const second = await secondInstance(engine, service);
    const ann = await service.user("ann");
    expect(await labelOf(second, ann)).toBe("MFA Service");
    await update({ totp: { issuer: "Shop" }, version: 0n });
    expect(await labelOf(service.mfa, ann)).toBe("Shop");
    service.pass(999);
    expect(await labelOf(second, ann)).toBe("MFA Service");
    service.pass(1);
    expect(await labelOf(second, ann)).toBe("Shop");
  });

  test("what a newer version of the service has stored survives a change by this one", async () => {
    const service = await serviceForTest(engine);
    const { get, update } = await administration(service);
    const newer = {
      totp: { issuer: "New", shade: "blue" },
      sms: { enabled: true, fraudMode: 7 },
      oracle: { depth: 3 },
    };
    await service.execute(
      `INSERT INTO tenant_settings (tenant_id, version, settings, update_time)
       VALUES ('dev', 4, '${JSON.stringify(newer)}', ${engine.name === "sqlite" ? "1772366400000" : "now()"})`,
    );
    await service.bind();
    expect(await get()).toMatchObject({ version: 4n, totp: { issuer: "New" }, sms: { fraudMode: 7 } });
    await update({ totp: { issuer: "Old", algorithm: TotpAlgorithm.SHA256 }, version: 4n });
    const settings = await rowsIn(service.store, tenantSettings);
    const totp = { issuer: "Old", algorithm: TotpAlgorithm.SHA256, shade: "blue" };
    expect(settings[0]).toMatchObject({ version: 5, settings: { ...newer, totp } });
  });

  test("a store that is away is answered for by nothing older than a second", async () => {
    const store = await boundForTest(engine);
    const clock = { now: new Date("2026-03-01T12:00:00.000Z") };
    const { settingsOf } = createTenantSettings({
      store,
      clock: () => clock.now,
      file: { totpIssuer: "File", webauthn: { rpIds: [], origins: [] } },
    });
    expect((await settingsOf("dev")).totp.issuer).toBe("File");
    await store.close();
    clock.now = new Date(clock.now.getTime() + 999);
    expect((await settingsOf("dev")).totp.issuer).toBe("File");
    clock.now = new Date(clock.now.getTime() + 1);
    await expect(settingsOf("dev")).rejects.toThrow(StoreUnavailable);
    await expect(settingsOf("dev")).rejects.toThrow(StoreUnavailable);
  });
});

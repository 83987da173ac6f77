import { getOption } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { access, Principal } from "../../gen/mfa/v1/options_pb.js";
import { LockProfile } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { alone } from "../../src/four-eyes/alone.ts";
import type { Approvals } from "../../src/four-eyes/approvals.ts";
import { createFourEyes } from "../../src/four-eyes/four-eyes.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const reason = "ticket 4711";
const scope = "mfa.read mfa.reset mfa.settings.write mfa.policy.write mfa.ip.write";
const { ANY_FACTOR, UNRESTRICTED } = AuthenticationStrength;

const admin = (service: ServiceUnderTest, subject: string) =>
  service.mint({ audience: "mfa-admin", subject, acr: "aal2", scope });

async function guarded(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  await enrollApp(service, "ann");
  const root = await admin(service, "root");
  const { rule } = await service.admin.createEnforcementRule(
    { selector: { everyone: true }, strength: UNRESTRICTED, reason },
    root,
  );
  await setTenant(service, {
    administration: { fourEyes: true, denyTemporaryPasses: false },
    push: { enabled: true, numberDigits: 6 },
    lockProfile: LockProfile.STANDARD,
  });
  const off = { cidr: "198.51.100.0/24", label: "a former office", disabled: true, reason };
  const { entry } = await service.admin.createIpWhitelistEntry(off, root);
  const { settings } = await service.admin.getTenantSettings({}, root);
  const { version: risk } = await service.admin.getMfaRiskPolicy({}, root);
  return { service, root, rule, entry: entry?.entryId ?? "", version: settings?.version ?? 0n, risk };
}
type Guarded = Awaited<ReturnType<typeof guarded>>;

/** Calls that guard others, as an administrator makes them. */
const calls: readonly [string, (at: Guarded, token: string) => Promise<unknown>][] = [
  [
    "switching four eyes off",
    ({ service, version }, token) =>
      service.admin.updateTenantSettings({ administration: { fourEyes: false }, version, reason }, token),
  ],
  [
    "another lock profile",
    ({ service, version }, token) =>
      service.admin.updateTenantSettings({ lockProfile: LockProfile.PCI, version, reason }, token),
  ],
  [
    "a shorter retention",
    ({ service, version }, token) =>
      service.admin.updateTenantSettings(
        { administration: { fourEyes: true, auditRetention: { seconds: 7_776_000n } }, version, reason },
        token,
      ),
  ],
  [
    "a weaker rule",
    ({ service, rule }, token) =>
      service.admin.updateEnforcementRule(
        { ruleId: rule?.ruleId ?? "", strength: ANY_FACTOR, version: rule?.version ?? 0n, reason },
        token,
      ),
  ],
  [
    "the end of a rule",
    ({ service, rule }, token) => service.admin.deleteEnforcementRule({ ruleId: rule?.ruleId ?? "", reason }, token),
  ],
  [
    "a level of risk that asks for nothing",
    ({ service }, token) => service.admin.updateRiskPolicy({ level: 3, requirement: {}, reason }, token),
  ],
  [
    "a policy of risk that asks for nothing",
    ({ service, risk }, token) =>
      service.admin.updateMfaRiskPolicy(
        { policy: { lowRisk: {}, mediumRisk: {}, highRisk: {} }, version: risk, reason },
        token,
      ),
  ],
  [
    "fewer digits of approvals on a phone",
    ({ service, version }, token) =>
      service.admin.updateTenantSettings({ push: { enabled: true, numberDigits: 2 }, version, reason }, token),
  ],
  [
    "one more origin of passkeys",
    ({ service, version }, token) =>
      service.admin.updateTenantSettings({ webauthn: { origins: ["https://evil.example"] }, version, reason }, token),
  ],
  [
    "one more trusted network",
    ({ service }, token) =>
      service.admin.createIpWhitelistEntry({ cidr: "192.0.2.0/24", label: "office", reason }, token),
  ],
  [
    "a listed network that counts for longer",
    ({ service, entry }, token) =>
      service.admin.updateIpWhitelistEntry({ entryId: entry, enabled: true, version: 1n, reason }, token),
  ],
  [
    "a temporary pass",
    ({ service }, token) =>
      service.admin.issueTemporaryPass({ userId: "ann", lifetime: { seconds: 3600n }, reason }, token),
  ],
];

const writing = AdminMfaService.methods
  .filter(({ idempotency }) => idempotency !== MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS)
  .map(({ localName }) => localName)
  .filter((name) => !(name in alone));

/** Statements that have the database fail to write settings, and those that mend it. */
const failing = {
  sqlite: [
    ["CREATE TRIGGER broken BEFORE UPDATE ON tenant_settings BEGIN SELECT RAISE(ABORT, 'broken'); END"],
    ["DROP TRIGGER broken"],
  ],
  postgres: [
    [
      "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$",
      "CREATE TRIGGER broken BEFORE UPDATE ON tenant_settings FOR EACH ROW EXECUTE FUNCTION broken()",
    ],
    ["DROP TRIGGER broken ON tenant_settings"],
  ],
} as const;

test("imports and erasures are no administrator's: every RPC that admits one is of their own service", () => {
  for (const method of [...InternalMfaService.methods, ...MfaService.methods]) {
    expect([method.name, getOption(method, access).principals.includes(Principal.ADMIN)]).toEqual([method.name, false]);
  }
});

test("an RPC of administrators that writes has a line: it takes two, or why one does it alone", () => {
  const options = { approvals: {} as Approvals, settingsIn: async () => ({}) as never };
  const guards = { ...Object.fromEntries(writing.map((name) => [name, {}])) };
  expect(() => createFourEyes(options)(AdminMfaService, {}, {})).toThrow("has to be guarded by two administrators");
  expect(() => createFourEyes(options)(AdminMfaService, guards, {})).not.toThrow();
});

describe.each(engines)("what takes two administrators on $name", (engine) => {
  test.each(calls)("%s waits for a second one, and is done once by who asked", async (_, run) => {
    const at = await guarded(engine);
    const { service, root } = at;
    const refused = await failure(run(at, root));
    expect(refused.reason).toBe("APPROVAL_REQUIRED");
    const approvalId = refused.metadata.approval_id ?? "";
    expect((await failure(run(at, root))).metadata.approval_id).toBe(approvalId);
    expect((await failure(service.admin.grantApproval({ approvalId, reason }, root))).reason).toBe("SELF_ACTION");
    const eve = await admin(service, "eve");
    await service.admin.grantApproval({ approvalId, reason }, eve);
    // The second one has granted it to the first, and not to themselves.
    expect((await failure(run(at, eve))).reason).toBe("APPROVAL_REQUIRED");
    const { OK = 0 } = await tally(Array.from({ length: 8 }, () => run(at, root)));
    expect(OK).toBe(1);
  });

  test("an approval is good for exactly the request that it was asked for", async () => {
    const at = await guarded(engine);
    const { service, root, version } = at;
    const ask = (more: object) =>
      service.admin.updateTenantSettings({ administration: { fourEyes: true }, version, reason, ...more }, root);
    const { metadata } = await failure(ask({ lockProfile: LockProfile.PCI }));
    await service.admin.grantApproval({ approvalId: metadata.approval_id ?? "", reason }, await admin(service, "eve"));
    const before = (await everyRow(service.store)).tenant_settings;
    for (const other of [
      { lockProfile: LockProfile.PCI, administration: { fourEyes: false } },
      { lockProfile: LockProfile.PCI, backupCodes: { codeCount: 8 } },
    ]) {
      expect((await failure(ask(other))).reason).toBe("APPROVAL_REQUIRED");
    }
    expect((await everyRow(service.store)).tenant_settings).toEqual(before);
    await ask({ lockProfile: LockProfile.PCI });
  });

  test("a granted call that nobody ran within a day of asking is run no more", async () => {
    const { service, root, version } = await guarded(engine);
    const ask = (token: string) =>
      service.admin.updateTenantSettings({ lockProfile: LockProfile.PCI, version, reason }, token);
    const { metadata } = await failure(ask(root));
    const approvalId = metadata.approval_id ?? "";
    await service.admin.grantApproval({ approvalId, reason }, await admin(service, "eve"));
    service.pass(24 * 3_600_000);
    const late = await failure(ask(await admin(service, "root")));
    expect(late.reason).toBe("APPROVAL_REQUIRED");
    expect(late.metadata.approval_id).not.toBe(approvalId);
  });

  test("a call that the database loses keeps its approval, and is done once the database is back", async () => {
    const at = await guarded(engine);
    const { service, root, version } = at;
    const ask = () => service.admin.updateTenantSettings({ lockProfile: LockProfile.PCI, version, reason }, root);
    const approvalId = (await failure(ask())).metadata.approval_id ?? "";
    await service.admin.grantApproval({ approvalId, reason }, await admin(service, "eve"));
    const [broken, mended] = failing[engine.name];
    await service.execute(...broken);
    expect((await failure(ask())).reason).not.toBe("APPROVAL_REQUIRED");
    await service.execute(...mended);
    await ask();
    expect((await service.admin.getTenantSettings({}, root)).settings?.lockProfile).toBe(LockProfile.PCI);
  });

  test("a passkey is accepted anew by two administrators", async () => {
    const { service, root } = await guarded(engine);
    const accept = () =>
      service.admin.acceptUserWebAuthnCredential({ userId: "ann", credentialId: crypto.randomUUID(), reason }, root);
    expect((await failure(accept())).reason).toBe("APPROVAL_REQUIRED");
  });

  test("what makes it stricter is done at once", async () => {
    const { service, root, rule, version } = await guarded(engine);
    const administration = { fourEyes: true, denyTemporaryPasses: true, resetCoolDown: { seconds: 3600n } };
    await service.admin.updateTenantSettings({ administration, version, reason }, root);
    const change = { ruleId: rule?.ruleId ?? "", version: rule?.version ?? 0n, reason };
    await service.admin.updateEnforcementRule({ ...change, description: "for all" }, root);
    await service.admin.updateRiskPolicy({ level: 3, requirement: { block: true }, reason }, root);
    await service.admin.createIpWhitelistEntry({ cidr: "203.0.113.0/24", label: "b", disabled: true, reason }, root);
  });
});

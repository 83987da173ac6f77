import { join } from "node:path";
import { expect } from "vitest";
import { FactorType } from "../../../../gen/mfa/v1/factor_pb.js";
import { MfaDecision, RiskSignalType } from "../../../../gen/mfa/v1/risk_pb.js";
import { readKeyFile } from "../../../../src/crypto/key-file.ts";
import { openKeyring } from "../../../../src/crypto/keyring.ts";
import { createTasks } from "../../../../src/tasks.ts";
import { createTenantSettings } from "../../../../src/tenant-settings/tenant-settings.ts";
import { adminOf } from "../../actors/administrators.ts";
import { enrollApp } from "../../actors/authenticator-app.ts";
import { backendOf } from "../../actors/backend.ts";
import { failure } from "../../actors/grpc-client.ts";
import { begunLogIn, offeredTo } from "../../actors/log-in.ts";
import { codesFor, enrollPhone, switchOn } from "../../actors/one-time-codes.ts";
import { application, httpBrowser } from "../../actors/prompt.ts";
import { allowTrust } from "../../actors/trusted-clients.ts";
import { type ServiceUnderTest, setTenant } from "../service.ts";
import type { Lines } from "./line.ts";

const { TOTP } = FactorType;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const client = { ip: "203.0.113.7" };

async function trusting(service: ServiceUnderTest) {
  await allowTrust(service);
  await enrollApp(service, "ann");
  const { trustToken } = await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
  return trustToken;
}

/** Trust of before counts for nothing, wherever it is asked. */
async function expectUntrusted(service: ServiceUnderTest, trustToken: string) {
  const found = await offeredTo(service, "ann", { trustToken });
  expect(found).toMatchObject({ decision: MfaDecision.CHALLENGE, deviceTrust: { trusted: false, trustToken: "" } });
  expect(found.reasons.map(({ signal }) => signal)).not.toContain(RiskSignalType.TRUSTED_DEVICE);
  const asked = { userId: "ann", trustToken, client };
  const checked = await service.internal.checkUserDeviceTrust(asked, await backendOf(service));
  expect(checked.deviceTrust).toMatchObject({ trusted: false, trustToken: "" });
  const token = await service.user("ann", "aal2");
  const own = await service.mfa.checkDeviceTrust({ trustToken }, token);
  expect(own.deviceTrust).toMatchObject({ trusted: false, trustToken: "" });
  expect((await service.mfa.listTrustedDevices({}, token)).devices).toEqual([]);
  expect((await service.mfa.getMfaStatus({}, token)).status?.trustedDeviceCount).toBe(0);
  const reader = await adminOf(service, "mfa.read mfa.policy.write");
  const judged = await service.admin.evaluateRisk({ ...asked, dryRun: true }, reader);
  expect(judged.decision?.reasons.map(({ signal }) => signal)).not.toContain(RiskSignalType.TRUSTED_DEVICE);
}

/** Trusted devices. */
const trust: Lines = {
  "trusted_devices.enabled": async (service) => {
    const trustToken = await trusting(service);
    const app = await enrollApp(service, "bob");
    const shop = await backendOf(service);
    const { challenge } = await service.internal.createUserChallenge(
      { userId: "bob", client, terms: { purpose: 1 } },
      shop,
    );
    const challengeId = challenge?.challengeId ?? "";
    const proof = { kind: { case: "totpCode", value: await app.code() } } as const;
    await service.internal.verifyUserChallenge({ userId: "bob", challengeId, proof, client }, shop);
    await setTenant(service, { trustedDevices: { enabled: false } });
    await expectUntrusted(service, trustToken);
    const redeemed = await service.internal.redeemChallenge({ userId: "bob", challengeId, client, trust: {} }, shop);
    expect(redeemed.trustToken).toBe("");
  },
  "trusted_devices.lifetime": async (service) => {
    const trustToken = await trusting(service);
    await setTenant(service, { trustedDevices: { enabled: true, lifetime: { seconds: 86_400n } } });
    const { devices } = await service.mfa.listTrustedDevices({}, await service.user("ann", "aal2"));
    const [device] = devices;
    const lasts = Number(device?.trustedUntilTime?.seconds) - Number(device?.createTime?.seconds);
    expect(lasts).toBe(86_400);
    service.pass(DAY);
    await expectUntrusted(service, trustToken);
  },
  "trusted_devices.max_devices": async (service) => {
    const trustToken = await trusting(service);
    await setTenant(service, { trustedDevices: { enabled: true, maxDevices: 1 } });
    const more = await failure(service.mfa.trustDevice({}, await service.user("ann", "aal2")));
    expect(more.reason).toBe("LIMIT_REACHED");
    expect((await offeredTo(service, "ann", { trustToken })).decision).toBe(MfaDecision.ALLOW);
  },
};

/** Does what the schedule does, by the settings that the service has stored. */
async function runTask({ store, dataDir, clock }: ServiceUnderTest, name: string) {
  const keyring = await openKeyring(await readKeyFile(join(dataDir, "keys.json")), store);
  const file = { totpIssuer: "", webauthn: { rpIds: [], origins: [] } };
  const { settingsOf } = createTenantSettings({ store, clock: () => clock.now, file });
  const task = createTasks({ keyring, settingsOf, algorithm: "EdDSA" }).find((one) => one.name === name);
  await task?.run({ store, now: clock.now, signal: new AbortController().signal });
}

/** Administration. */
const administration: Lines = {
  "administration.four_eyes": async (service) => {
    await enrollApp(service, "ann");
    await setTenant(service, { administration: { fourEyes: true } });
    const reset = await service.admin.resetUserMfa({ userId: "ann", reason: "lost" }, await adminOf(service));
    expect(reset.outcome.case).toBe("approval");
    expect((await offeredTo(service)).factors).toHaveLength(1);
  },
  "administration.reset_cool_down": async (service) => {
    await setTenant(service, { administration: { resetCoolDown: { seconds: 3600n } } });
    await enrollApp(service, "ann");
    await service.admin.resetUserMfa({ userId: "ann", reason: "lost" }, await adminOf(service));
    // What a reset said stands: a setting of later neither shortens nor lengthens it.
    await setTenant(service, { administration: { resetCoolDown: { seconds: 0n } } });
    const start = async () => service.mfa.startTotpEnrollment({}, await service.user("ann"));
    expect(await failure(start())).toMatchObject({ reason: "POLICY_FORBIDS" });
    service.pass(HOUR);
    await start();
  },
  "administration.audit_retention": async (service) => {
    await enrollApp(service, "ann");
    const auditor = () => adminOf(service, "mfa.audit.read mfa.read");
    const enrolled = async () => {
      const { entries } = await service.admin.listConfigAuditLogs({}, await auditor());
      return entries.filter(({ action }) => action === "totp.enrolled").length;
    };
    expect(await enrolled()).toBe(1);
    await setTenant(service, { administration: { auditRetention: { seconds: 7_776_000n } } });
    service.pass(91 * DAY);
    await runTask(service, "audit_retention");
    expect(await enrolled()).toBe(0);
  },
  "administration.event_retention": async (service) => {
    await enrollApp(service, "ann");
    const count = async () =>
      (await service.internal.listEvents({}, await service.backend("mfa.events.read"))).events.filter(
        ({ userId }) => userId === "ann",
      ).length;
    expect(await count()).toBeGreaterThan(0);
    await setTenant(service, { administration: { eventRetention: { seconds: 86_400n } } });
    service.pass(2 * DAY);
    await runTask(service, "event_retention");
    expect(await count()).toBe(0);
  },
};

/** What users read. */
const templates: Lines = {
  "templates.default_locale": async (service) => {
    await switchOn(service, {
      templates: { messages: [{ channel: FactorType.SMS, name: "code", locale: "fr", body: "votre code {code}" }] },
    });
    const { token } = await enrollPhone(service, "ann");
    await setTenant(service, {
      templates: {
        defaultLocale: "fr",
        messages: [{ channel: FactorType.SMS, name: "code", locale: "fr", body: "votre code {code}" }],
      },
    });
    await service.mfa.sendSmsCode({}, token);
    expect((await codesFor(service, "ann"))[0]?.body).toMatch(/^votre code/);
  },
  "templates.messages": async (service) => {
    await switchOn(service);
    const { token } = await enrollPhone(service, "ann");
    const messages = [{ channel: FactorType.SMS, name: "code", locale: "en", body: "Shop: {code}" }];
    await setTenant(service, { templates: { messages } });
    await service.mfa.sendSmsCode({}, token);
    expect((await codesFor(service, "ann"))[0]?.body).toMatch(/^Shop: /);
  },
  "templates.actions": async (service) => {
    const app = await enrollApp(service, "ann");
    const action = { type: "pay", parameters: {} };
    const begun = await begunLogIn(service, TOTP, { action });
    await begun.prove({ case: "totpCode", value: await app.code() });
    const actions = [{ actionType: "pay", locale: "en", text: "Pay?", requireAuthenticatorBinding: true }];
    await setTenant(service, { templates: { actions } });
    expect((await failure(begun.redeem({ action }))).reason).toBe("FACTOR_NOT_ALLOWED");
  },
};

const returnUrl = "https://shop.example/back";
const listed = { clients: [{ clientId: "shop", returnUrls: [returnUrl] }] };

/** A prompt that leads to an address of the tenant's list, opened and proved. */
async function provenAtShop(service: ServiceUnderTest, app: Awaited<ReturnType<typeof enrollApp>>) {
  const shop = application(service);
  const begun = await shop.begin("ann", { returnUrl });
  const browser = httpBrowser(service);
  await browser.open(begun.promptUrl);
  expect((await browser.prove(begun.promptId, { totpCode: await app.code() })).reason).toBe("");
  return { begun, browser, finish: () => browser.call(begun.promptId, "FinishPrompt"), shop };
}

/** The hosted prompt. */
const prompt: Lines = {
  // Where users come back to is asked again before anybody is sent there, and before a code is taken from there.
  "prompt.clients": async (service) => {
    const app = await enrollApp(service, "ann");
    await setTenant(service, { prompt: listed });
    const returned = await provenAtShop(service, app);
    const { reply } = await returned.finish();
    const code = new URL(reply.returnUrl ?? "").searchParams.get("code") ?? "";
    service.pass(30_000);
    const proven = await provenAtShop(service, app);
    await setTenant(service, { prompt: {} });
    expect(await proven.finish()).toMatchObject({ reason: "POLICY_FORBIDS", reply: {} });
    const cancelled = await proven.browser.call(proven.begun.promptId, "CancelPrompt");
    expect(cancelled.reason).toBe("POLICY_FORBIDS");
    const redeemed = returned.shop.redeem(returned.begun, code, { returnUrl });
    expect((await failure(redeemed)).reason).toBe("CODE_REJECTED");
  },
  // A prompt of before stays where it is, as its browser is there.
  "prompt.address": async (service) => {
    const app = await enrollApp(service, "ann");
    await setTenant(service, { prompt: listed });
    const proven = await provenAtShop(service, app);
    await setTenant(service, { prompt: { ...listed, address: "https://login.shop.example" } });
    expect((await proven.finish()).reason).toBe("");
    expect((await proven.shop.begin()).promptUrl).toMatch(/^https:\/\/login\.shop\.example\/prompt\/open\?h=/);
  },
};

/** The lines of all other settings. */
export const otherLines: Lines = { ...trust, ...administration, ...templates, ...prompt };

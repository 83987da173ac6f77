import { describe, expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { TenantSettingsSchema } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { inSession } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { begunLogIn, offeredTo } from "../support/actors/log-in.ts";
import { enrollPhone, inboxOf, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest, setTenant } from "../support/worlds/service.ts";
import { codeLines } from "../support/worlds/settings-at-use/codes.ts";
import { keyLines } from "../support/worlds/settings-at-use/keys.ts";
import { otherLines } from "../support/worlds/settings-at-use/rest.ts";

const lines = { ...codeLines, ...keyLines, ...otherLines };

/** Says nothing that a tenant sets. */
const TOLD = ["version", "update_time"];

/** Every setting of the contract, by name. */
const settings = TenantSettingsSchema.fields
  .filter(({ name }) => !TOLD.includes(name))
  .flatMap(({ name, message }) => message?.fields.map((field) => `${name}.${field.name}`) ?? [name]);

test("every setting of the contract has a line that says what it does to what was made before", () => {
  expect(Object.keys(lines).sort()).toEqual([...settings].sort());
});

describe.each(engines)("a setting counts at use, also for what was made before, on $name", (engine) => {
  test.each(Object.entries(lines))("%s", async (_, line) => {
    await line(await serviceForTest(engine));
  });

  test("a proof by text message opens nothing of the service once text messages are off", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollApp(service, "ann");
    await enrollPhone(service, "ann");
    const token = await inSession(service, "ann", "one");
    const action = { type: "mfa.rpc", parameters: { name: "RevokeAllTrustedDevices" } };
    const terms = { purpose: 2, audience: "mfa", action, allowedFactorTypes: [FactorType.SMS] };
    const asked = { terms, prepareFactorType: FactorType.SMS };
    const { challenge } = await service.mfa.createChallenge(asked, token);
    const proof = { kind: { case: "smsCode", value: await newestCode(service, "ann") } } as const;
    const { assertion } = await service.mfa.stepUp({ challengeId: challenge?.challengeId ?? "", proof }, token);
    await setTenant(service, { sms: { enabled: false } });
    const headers = { "mfa-assertion": assertion?.token ?? "" };
    const refused = await failure(service.mfa.revokeAllTrustedDevices({}, token, headers));
    expect(refused.reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("an instance that is refused gives way to another one of its user", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const app = await enrollApp(service, "ann");
    const { factorId } = await enrollPhone(service, "ann");
    const token = await service.user("ann", "aal2");
    await service.mfa.setPrimaryFactor({ factorId, factorType: FactorType.SMS }, token);
    await setTenant(service, { sms: { enabled: true, allowedCountries: ["US"] } });
    expect((await offeredTo(service)).factors).toMatchObject([{ type: FactorType.TOTP, primary: true }]);
    const begun = await begunLogIn(service, FactorType.TOTP);
    await begun.prove({ case: "totpCode", value: await app.code() });
    await begun.redeem();
    // Nor is a notice sent there.
    const before = (await inboxOf(service, "ann")).length;
    await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
    service.pass(60_000);
    expect((await inboxOf(service, "ann")).length).toBe(before);
  });
});

import { describe, expect, test } from "vitest";
import { ChallengePurpose } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, inSession, logIn, totp } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { ASIDE, askPhone, pairedPhone } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

/** What the first call of a kind makes, whatever becomes of it. */
const ONCE = [...ASIDE, "assertion_keys", "data_keys"];
const alert = { type: "bank.alert", parameters: { message: "Call us at once" } };
const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
const transfer = (to: string) => ({ type: "transfer.create", parameters: { amount: "100 EUR", to } });

/** Every way on which a user's token brings an action. */
const ways: readonly [string, (service: ServiceUnderTest, token: string, action: object) => Promise<unknown>][] = [
  ["CreatePushChallenge", ({ mfa }, token, action) => mfa.createPushChallenge({ action }, token)],
  ["CreateChallenge", ({ mfa }, token, action) => mfa.createChallenge({ terms: { ...terms, action } }, token)],
  ["StepUp", ({ mfa }, token, action) => mfa.stepUp({ audience: "shop", action, proof: totp("000000") }, token)],
  ["StartWebAuthnAuthentication", ({ mfa }, token, action) => mfa.startWebAuthnAuthentication({ action }, token)],
];

describe.each(engines)("actions that a user's token brings on $name", (engine) => {
  test.each(ways)("%s takes none that the tenant has no text for, and writes nothing on the phone", async (_, ask) => {
    const { service, phone } = await pairedPhone(engine);
    const token = await inSession(service, "ann", "web");
    const before = await everyRow(service.store, ONCE);
    const refused = await failure(ask(service, token, alert));
    expect(refused).toMatchObject({ reason: "POLICY_FORBIDS", metadata: { policy: "action_templates" } });
    expect(await everyRow(service.store, ONCE)).toEqual(before);
    expect(await phone.pending()).toEqual([]);
  });

  test.each([
    ["a link", "Bob https://evil.example/x"],
    ["a link without a scheme", "see evil.example"],
    ["a link by full-width letters", "ｅｖｉｌ．ｅｘａｍｐｌｅ"],
    ["a link with an ideographic stop", "evil。example"],
    ["an address by number", "198.51.100.7"],
    ["an address of mail", "bob@evil"],
    ["a telephone link", "tel:+49301234567"],
    ["more than 80 characters", "b".repeat(81)],
    ["a character without a shape", "Bob\u115f\u3164"],
    ["marks that cover other lines", `B${"\u0300".repeat(9)}b`],
    ["text that runs backwards", "Bob \u202eevE"],
    ["an isolate", "\u2067Bob\u2069"],
    ["a line of its own", "Bob\u2028Call us"],
    ["a control character", "Bob\u0007"],
  ])("a value with %s is refused", async (_, to) => {
    const { service, phone } = await pairedPhone(engine);
    const token = await inSession(service, "ann", "web");
    for (const [, ask] of ways) expect((await failure(ask(service, token, transfer(to)))).reason).toBe("INVALID_FIELD");
    expect(await phone.pending()).toEqual([]);
  });

  test("names of people and sums stand in the tenant's text as they are", async () => {
    const { service, phone } = await pairedPhone(engine);
    const names = ["Zoë Nguyễn-Łukasiewicz", "J. R. Müller & Söhne", "山田 太郎", "דוד לוי"];
    for (const [nth, to] of names.entries()) {
      await askPhone(service, "ann", { action: transfer(to) }, `web ${nth}`);
      const [waiting] = await phone.pending();
      expect(waiting?.context?.renderedAction).toBe(`Transfer 100 EUR to: ${to}`);
      service.pass(3 * 60_000);
    }
  });

  test("of several languages the tenant's own is shown", async () => {
    const { service, phone } = await pairedPhone(engine);
    const text = (locale: string, text: string) => ({ actionType: "transfer.create", locale, text });
    const actions = [text("en", "Pay {to}?"), text("de", "{to} bezahlen?")];
    await setTenant(service, { templates: { defaultLocale: "de", actions } });
    await askPhone(service, "ann", { action: transfer("Bob") }, "web");
    expect((await phone.pending())[0]?.context?.renderedAction).toBe("Bob bezahlen?");
  });

  test("the service's own RPCs need no text, but their names are all that can be said", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const token = await inSession(service, "ann", "web");
    const stepUp = async (parameters: Record<string, string>) =>
      service.mfa.stepUp(
        { proof: totp(await app.code()), audience: "mfa", action: { type: "mfa.rpc", parameters } },
        token,
      );
    for (const odd of [{ name: "Call us at once" }, { name: "DeleteFactor", message: "Call us" }, {}]) {
      expect((await failure(stepUp(odd))).reason).toBe("POLICY_FORBIDS");
    }
    expect((await stepUp({ name: "DeleteFactor" })).assertion?.acr).toBe("aal2");
  });

  test("a backend says what it likes, in lines of its own", async () => {
    const { service, phone } = await pairedPhone(engine);
    const shop = await backendOf(service);
    const action = { type: "bank.alert", parameters: { message: "New sign-in, see https://bank.example" } };
    await service.internal.createUserChallenge(
      { ...logIn("ann", { ...terms, action }), prepareFactorType: FactorType.PUSH },
      shop,
    );
    const [waiting] = await phone.pending();
    expect(waiting?.context?.renderedAction).toBe("bank.alert\nmessage: New sign-in, see https://bank.example");
    const broken = { ...action, parameters: { message: "one\u2028two" } };
    const refused = service.internal.createUserChallenge(logIn("ann", { ...terms, action: broken }), shop);
    expect((await failure(refused)).reason).toBe("INVALID_FIELD");
  });
});

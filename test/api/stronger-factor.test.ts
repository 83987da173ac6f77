import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import { tickets } from "../../src/enrollment-tickets/tickets.table.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { begunLogIn, offeredTo } from "../support/actors/log-in.ts";
import { enrollPasskey, makePasskey } from "../support/actors/passkey.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { policyAdmin } from "../support/worlds/risk.ts";
import { serviceForTest, setTenant } from "../support/worlds/service.ts";

const { CHALLENGE, ENROLL, DENY } = MfaDecision;
const { TOTP, WEBAUTHN } = FactorType;
const { PHISHING_RESISTANT, DEVICE_BOUND } = AuthenticationStrength;

/** A service with ann's app, and a rule for everyone. */
async function ruled(engine: EngineUnderTest, rule: object = {}) {
  const service = await serviceForTest(engine);
  const app = await enrollApp(service, "ann");
  const create = async (more: object = {}) =>
    service.admin.createEnforcementRule(
      { selector: { everyone: true }, strength: PHISHING_RESISTANT, ...rule, ...more },
      await policyAdmin(service),
    );
  /** The assertion of a proof by the app, for the backend that logs ann in. */
  const proved = async () => {
    service.pass(30_000);
    const begun = await begunLogIn(service, TOTP, { sessionId: "one" });
    await begun.prove({ case: "totpCode", value: await app.code() });
    return (await begun.redeem({ sessionId: "one" })).assertion?.token ?? "";
  };
  return { service, app, create, proved };
}
const ticketHeader = (ticket: string) => ({ authorization: `Ticket ${ticket}` });

describe.each(engines)("a rule that asks for more than users have on $name", (engine) => {
  test("an enrolled user proves what they have, enrolls what the rule asks for, and is let in by it", async () => {
    const { service, create, proved } = await ruled(engine);
    expect((await create()).unenrolledCount).toBe(1n);
    const first = await offeredTo(service);
    expect(first).toMatchObject({
      ...{ decision: ENROLL, enforced: true, enrollableTypes: [WEBAUTHN], ticket: "" },
      strength: PHISHING_RESISTANT,
      factors: [{ type: TOTP }],
    });
    const assertion = await proved();
    const second = await offeredTo(service, "ann", { assertion, sessionId: "one" });
    expect(second).toMatchObject({ decision: ENROLL, ticket: expect.stringMatching(/^[\w-]{22}$/) });
    const passkey = makePasskey();
    const headers = ticketHeader(second.ticket);
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, undefined, headers);
    const response = passkey.create(options);
    await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, undefined, headers);
    const spent = await failure(service.mfa.startWebAuthnRegistration({}, undefined, headers));
    expect(spent.reason).toBe("CHALLENGE_EXPIRED");
    expect(await offeredTo(service)).toMatchObject({ decision: CHALLENGE, factors: [{ type: WEBAUTHN }] });
  });

  test("a password alone adds no factor beside one: the ticket comes with a proof, once", async () => {
    const { service, create, proved } = await ruled(engine);
    await create();
    const evaluate = (more: object) => failure(offeredTo(service, "ann", more));
    const assertion = await proved();
    expect((await evaluate({ assertion, sessionId: "two" })).reason).toBe("ASSERTION_REJECTED");
    expect((await evaluate({ assertion: "a.b.c", sessionId: "one" })).reason).toBe("ASSERTION_REJECTED");
    await offeredTo(service, "ann", { assertion, sessionId: "one" });
    expect((await evaluate({ assertion, sessionId: "one" })).reason).toBe("ASSERTION_REJECTED");
    await enrollApp(service, "bob");
    expect((await failure(offeredTo(service, "bob", { assertion: await proved(), sessionId: "one" }))).reason).toBe(
      "ASSERTION_REJECTED",
    );
    // Nor does one that was given out while there was none.
    expect((await rowsIn(service.store, tickets)).map(({ besideFactor }) => besideFactor)).toEqual([true]);
  });

  test("a ticket of a user without a factor is not made one for a user with one by whoever writes the database", async () => {
    const { service, create } = await ruled(engine);
    await create();
    const firstFactorTime = timestampFromDate(service.clock.now);
    const { ticket } = await offeredTo(service, "eve", { firstFactorTime });
    await enrollApp(service, "eve");
    const headers = ticketHeader(ticket);
    expect((await failure(service.mfa.startTotpEnrollment({}, undefined, headers))).reason).toBe("CHALLENGE_EXPIRED");
    const on = engine.name === "sqlite" ? "1" : "true";
    await service.execute(`UPDATE tickets SET beside_factor = ${on}, spend_time = NULL WHERE user_id = 'eve'`);
    await failure(service.mfa.startTotpEnrollment({}, undefined, headers));
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("eve", "aal2"));
    expect(devices).toHaveLength(1);
  });

  test("while grace runs a user is let in by what they have, and is told what to enroll until then", async () => {
    const { service, create } = await ruled(engine, { gracePeriod: { seconds: 86_400n } });
    await create();
    const found = await offeredTo(service);
    expect(found).toMatchObject({ decision: CHALLENGE, enforced: true, enrollableTypes: [WEBAUTHN], ticket: "" });
    expect(found.graceUntilTime).toBeDefined();
    const firstFactorTime = timestampFromDate(service.clock.now);
    const fresh = await offeredTo(service, "new", { firstFactorTime });
    expect(fresh).toMatchObject({ decision: MfaDecision.ALLOW, enrollableTypes: [WEBAUTHN] });
    await enrollPasskey(service, "ann");
    expect((await offeredTo(service)).enrollableTypes).toEqual([]);
    service.pass(86_400_000);
    expect(await offeredTo(service)).toMatchObject({ decision: CHALLENGE, factors: [{ type: WEBAUTHN }] });
  });

  test("counts say who cannot meet the strength: too weak, not bound to a device, no longer admitted, or none", async () => {
    const { service, create } = await ruled(engine);
    await enrollPasskey(service, "bob", makePasskey({ synced: true }));
    await enrollPasskey(service, "eve");
    await service.mfa.startTotpEnrollment({}, await service.user("new"));
    const trial = { reportOnly: true };
    expect((await create({ ...trial, strength: AuthenticationStrength.ANY_FACTOR })).unenrolledCount).toBe(1n);
    expect((await create(trial)).unenrolledCount).toBe(2n);
    const { rule, unenrolledCount } = await create({ ...trial, strength: DEVICE_BOUND });
    expect(unenrolledCount).toBe(3n);
    await setTenant(service, { webauthn: { denySynced: true } });
    expect((await create(trial)).unenrolledCount).toBe(3n);
    const changed = await service.admin.updateEnforcementRule(
      { ruleId: rule?.ruleId ?? "", strength: AuthenticationStrength.ANY_FACTOR, version: 1n },
      await policyAdmin(service),
    );
    expect(changed.unenrolledCount).toBe(2n);
  });

  test("at high risk nobody enrolls what a rule asks for", async () => {
    const { service, create } = await ruled(engine);
    await create();
    const signals = [{ name: "ip_reputation", value: 1 }];
    expect(await offeredTo(service, "ann", { signals })).toMatchObject({
      decision: DENY,
      enrollableTypes: [],
      ticket: "",
    });
  });
});

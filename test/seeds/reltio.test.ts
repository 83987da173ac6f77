import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorState, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaDecision } from "../../gen/mfa/v1/risk_pb.js";
import { showCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, redeem } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

/** A log-in of an enforced tenant, after the password. */
const afterPassword = async (service: ServiceUnderTest, userId: string) =>
  service.internal.evaluateMfa(
    {
      ...{ userId, client: { ip: "203.0.113.7" }, strength: AuthenticationStrength.ANY_FACTOR },
      firstFactorTime: timestampFromDate(service.clock.now),
    },
    await backendOf(service),
  );

describe.each(engines)("Reltio's operations on $name", (engine) => {
  test("associateQRCode, verifyQRCodeEnroll, mfaDetails: a picture, its code, what is available and verified", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    expect(
      Buffer.from(provisioning?.qrPng ?? [])
        .subarray(1, 4)
        .toString(),
    ).toBe("PNG");
    const details = async () => (await service.mfa.getMfaStatus({}, token)).status;
    expect((await details())?.enrollableTypes).toContain(FactorType.TOTP);
    expect((await details())?.factors).toMatchObject([{ type: FactorType.TOTP, enabled: false }]);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    expect((await details())?.factors).toMatchObject([{ type: FactorType.TOTP, enabled: true }]);
  });

  test("resetMyQRCodeEnroll: the user's own token resets it, where a client's password did", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, token);
    const deletion = { factorType: FactorType.TOTP, confirmLastFactor: true };
    const { deletedCount } = await service.mfa.deleteFactor(deletion, await service.user("ann", "aal2"));
    expect(deletedCount).toBe(1);
  });

  test("enrollEmail and verifyEmail: a code by e-mail, and EMAIL.verified", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const details = async () => (await service.mfa.getMfaStatus({}, token)).status;
    expect((await details())?.enrollableTypes).toContain(FactorType.EMAIL);
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    const challengeId = delivery?.challengeId ?? "";
    const code = await newestCode(service, "ann");
    const { address } = await service.mfa.finishEmailEnrollment({ challengeId, code }, token);
    expect(address?.state).toBe(FactorState.ACTIVE);
    expect((await details())?.factors).toMatchObject([{ type: FactorType.EMAIL, enabled: true }]);
    // Reversed: e-mail is shown, and is no second factor.
    expect((await details())?.enrolled).toBe(false);
  });

  test("state_token with ENROLL: a ticket that enrolls a first factor and does nothing else, then the log-in goes on", async () => {
    const service = await serviceForTest(engine);
    const found = await afterPassword(service, "ann");
    expect(found).toMatchObject({ decision: MfaDecision.ENROLL, ticket: expect.stringMatching(/^[\w-]{22}$/) });
    // Its expires_in of 600.
    expect(Number(found.ticketExpireTime?.seconds) * 1000 - service.clock.now.getTime()).toBe(600_000);
    const holder = { authorization: `Ticket ${found.ticket}` };
    expect(await failure(service.mfa.listFactors({}, undefined, holder))).toMatchObject({ reason: "ACCESS_DENIED" });
    const { provisioning } = await service.mfa.startTotpEnrollment({}, undefined, holder);
    const secret = provisioning?.secret ?? "";
    const code = await showCode(secret, service.clock.now);
    await service.mfa.finishTotpEnrollment({ code }, undefined, holder);
    const spent = service.mfa.startTotpEnrollment({}, undefined, holder);
    expect(await failure(spent)).toMatchObject({ reason: "CHALLENGE_EXPIRED" });
    // Its grant_type=state_token with the code.
    expect((await afterPassword(service, "ann")).decision).toBe(MfaDecision.CHALLENGE);
    service.pass(30_000);
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const next = await showCode(secret, service.clock.now);
    await answer(service, backend, { userId: "ann", challengeId, code: next });
    expect((await redeem(service, backend, { challengeId })).assertion?.acr).toBe("aal2");
  });

  test("who leaves the enrollment unfinished is not logged in: the ticket runs out", async () => {
    const service = await serviceForTest(engine);
    const { ticket } = await afterPassword(service, "ann");
    const holder = { authorization: `Ticket ${ticket}` };
    const { provisioning } = await service.mfa.startTotpEnrollment({}, undefined, holder);
    service.pass(600_000);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    const late = service.mfa.finishTotpEnrollment({ code }, undefined, holder);
    expect(await failure(late)).toMatchObject({ reason: "CHALLENGE_EXPIRED" });
    expect((await afterPassword(service, "ann")).decision).toBe(MfaDecision.ENROLL);
  });
});

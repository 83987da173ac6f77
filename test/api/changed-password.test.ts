import { describe, expect, test } from "vitest";
import { EventType } from "../../gen/mfa/v1/event_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { showCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { newestCode, phone as phoneNumber, switchOn } from "../support/actors/one-time-codes.ts";
import { makePasskey } from "../support/actors/passkey.ts";
import { newPhone, reasonOf, switchPushOn } from "../support/actors/push-phones.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const ends: readonly [string, (service: ServiceUnderTest) => Promise<unknown>][] = [
  [
    "a changed password",
    async (service) =>
      service.internal.revokeUserTrust(
        { userId: "ann", reason: "password changed" },
        await service.backend("mfa.factors.write"),
      ),
  ],
  [
    "an administrator's reset",
    async (service) => service.admin.resetUserMfa({ userId: "ann", reason: "lost phone" }, await adminOf(service)),
  ],
];

describe.each(engines)("what ends with trust on $name", (engine) => {
  test.each(ends)("%s ends tickets, and what a ticket began", async (_, end) => {
    const service = await serviceForTest(engine);
    const { holder } = await ticketOffice(service);
    const [thief, idle] = [await holder("ann"), await holder("ann")];
    const { provisioning } = await service.mfa.startTotpEnrollment({}, undefined, thief);
    service.pass(1_000);
    await end(service);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    expect((await failure(service.mfa.finishTotpEnrollment({ code }, undefined, thief))).reason).toBe(
      "CHALLENGE_EXPIRED",
    );
    expect((await failure(service.mfa.startTotpEnrollment({}, undefined, idle))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test.each(ends)("%s ends pairing tokens: no phone is paired by an old one", async (_, end) => {
    const service = await serviceForTest(engine);
    await switchPushOn(service);
    const { pairingToken } = await service.mfa.startPushDeviceEnrollment({}, await service.user("ann"));
    service.pass(1_000);
    await end(service);
    expect(await reasonOf(newPhone(service).pair(pairingToken, {}))).not.toBe("OK");
    const { devices } = await service.mfa.listPushDevices({}, await service.user("ann", "aal2"));
    expect(devices).toEqual([]);
  });

  test.each(ends)("%s ends every kind of enrollment that is pending", async (_, end) => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phoneNumber() }, token);
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    const smsCode = await newestCode(service, "ann");
    await end(service);
    const { mfa } = service;
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    const finished = await Promise.all([
      reasonOf(mfa.finishTotpEnrollment({ code }, token)),
      reasonOf(mfa.finishSmsEnrollment({ challengeId: delivery?.challengeId ?? "", code: smsCode }, token)),
      reasonOf(mfa.finishWebAuthnRegistration({ ceremonyId, response: makePasskey().create(options) }, token)),
    ]);
    for (const reason of finished) expect(reason).toMatch(/EXPIRED|CODE_REJECTED/);
    const { status } = await mfa.getMfaStatus({}, token);
    expect(status?.factors.filter(({ pending, enabled }) => pending || enabled)).toEqual([]);
  });

  test("a user whom nothing was trusted of has one audit entry and one event of it", async () => {
    const service = await serviceForTest(engine);
    await ends[0]?.[1](service);
    const audit = await service.mint({
      ...{ audience: "mfa-admin", subject: "root", acr: "aal2" },
      scope: "mfa.audit.read",
    });
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { userId: "ann" } }, audit);
    expect(entries.map(({ action }) => action)).toEqual(["user.trust_revoked"]);
    const reader = await service.backend("mfa.events.read");
    const { events } = await service.internal.listEvents(
      { filter: { types: [EventType.DEVICE_TRUST_REVOKED] } },
      reader,
    );
    expect(events).toHaveLength(1);
  });
});

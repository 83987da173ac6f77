import { timestampDate } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { FactorState, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { DeliveryState, OtpPurpose } from "../../gen/mfa/v1/otp_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import {
  codesFor,
  enrollEmail,
  enrollPhone,
  inboxOf,
  newestCode,
  otherThan,
  phone,
  switchOn,
} from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { times } from "../support/engine/races.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
describe.each(engines)("codes by text message and e-mail on $name", (engine) => {
  test("a phone number is enrolled by the code that arrives there, and codes go there afterwards", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const started = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
    expect(started.address).toMatchObject({
      type: FactorType.SMS,
      state: FactorState.PENDING,
      maskedTarget: "+49 *** ** 78",
    });
    expect(started.delivery).toMatchObject({
      challengeId: expect.stringMatching(/^[\w-]{22}$/),
      maskedTarget: "+49 *** ** 78",
      codeLength: 6,
      deliveryState: DeliveryState.QUEUED,
    });
    expect(started.delivery?.expireTime && timestampDate(started.delivery.expireTime)).toEqual(
      new Date(service.clock.now.getTime() + 5 * MINUTE),
    );
    const [message] = await inboxOf(service, "ann");
    expect(message).toMatchObject({ channel: FactorType.SMS, target: phone(), subject: "" });
    expect(message?.body).toMatch(/^\d{6} is your code for MFA Service, good for 5 minutes\./);

    const challengeId = started.delivery?.challengeId ?? "";
    const finished = await service.mfa.finishSmsEnrollment({ challengeId, code: message?.code ?? "" }, token);
    expect(finished.address).toMatchObject({ state: FactorState.ACTIVE, factorId: started.address?.factorId });

    service.pass(MINUTE);
    const sent = await service.mfa.sendSmsCode({ purpose: OtpPurpose.LOG_IN }, await service.user("ann"));
    const code = await newestCode(service, "ann");
    const verified = await service.mfa.verifySmsCode(
      { challengeId: sent.delivery?.challengeId ?? "", code },
      await service.user("ann"),
    );
    expect(verified.factorId).toBe(started.address?.factorId);
    expect(verified.verifyTime && timestampDate(verified.verifyTime)).toEqual(service.clock.now);
  });

  test("Reltio's flow: enroll in e-mail MFA sends a code, and the code completes the enrollment", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    // PUT /oauth/users/mfa/enrollEmail
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "Ann@Example.com" }, token);
    const [message] = await inboxOf(service, "ann");
    expect(message).toMatchObject({ channel: FactorType.EMAIL, target: "Ann@example.com" });
    expect(message?.subject).toBe("MFA Service: your code");
    // PUT /oauth/users/mfa/verifyEmail
    const { address } = await service.mfa.finishEmailEnrollment(
      { challengeId: delivery?.challengeId ?? "", code: message?.code ?? "" },
      token,
    );
    expect(address).toMatchObject({ state: FactorState.ACTIVE, maskedTarget: "A***@example.com" });
    expect(address?.verifyTime).toBeDefined();
  });

  test("Autional's flow: enroll, send, verify, disable by e-mail", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token, factorId } = await enrollEmail(service, "ann"); // PUT /mfa/email/enroll
    const { delivery } = await service.mfa.sendEmailCode({}, token); // POST /mfa/email/send
    const challengeId = delivery?.challengeId ?? "";
    const code = await newestCode(service, "ann");
    const verified = await service.mfa.verifyEmailCode({ challengeId, code }, token); // POST /mfa/email/verify
    expect(verified.factorId).toBe(factorId);
    const strong = await service.user("ann", "aal2");
    const { address } = await service.mfa.disableEmail({}, strong); // POST /mfa/email/disable
    expect(address?.state).toBe(FactorState.DISABLED);
    service.pass(MINUTE);
    expect((await failure(service.mfa.sendEmailCode({}, strong))).reason).toBe("NOT_ENROLLED");
    expect((await service.mfa.enableEmail({}, strong)).address?.state).toBe(FactorState.ACTIVE);
  });

  test("neither way is on until a tenant switches it on", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const calls = [
      () => service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token),
      () => service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token),
      () => service.mfa.sendSmsCode({}, token),
      () => service.mfa.sendEmailCode({}, token),
    ];
    for (const call of calls) {
      const refused = await failure(call());
      expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "FACTOR_NOT_ALLOWED" });
      expect(refused.metadata.allowed?.split(",")).toContain("TOTP");
      expect(refused.metadata.allowed).not.toMatch(/SMS|EMAIL/);
    }
    expect(await inboxOf(service)).toEqual([]);
  });

  test.each([
    ["a premium number", "+19005551234"],
    ["a landline", "+4930123456"],
    ["a country that is not sent to", "+33612345678"],
    ["a number that no plan has", "+4990012345678"],
  ])("%s is refused", async (_, phoneNumber) => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const call = service.mfa.startSmsEnrollment({ phoneNumber }, await service.user("ann"));
    expect(await failure(call)).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "DESTINATION_REFUSED" });
    expect(await inboxOf(service)).toEqual([]);
  });

  test("e-mail goes to the tenant's domains only, where it has named any", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service, { email: { enabled: true, allowedDomains: ["example.com"] } });
    const token = await service.user("ann");
    const call = service.mfa.startEmailEnrollment({ email: "ann@example.org" }, token);
    expect((await failure(call)).reason).toBe("DESTINATION_REFUSED");
    await service.mfa.startEmailEnrollment({ email: "ann@EXAMPLE.com" }, token);
  });

  test("a code is good once, in its own challenge, session and for its own user", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const tokenOf = (subject: string, session: string) => service.mint({ audience: "mfa", subject, session });
    await enrollEmail(service, "ann");
    await enrollEmail(service, "bob");
    const here = await tokenOf("ann", "s1");
    const { delivery } = await service.mfa.sendEmailCode({}, here);
    const challengeId = delivery?.challengeId ?? "";
    const code = await newestCode(service, "ann");
    const there = await tokenOf("ann", "s2");
    const bob = await service.user("bob");
    const calls = [
      () => service.mfa.verifyEmailCode({ challengeId, code }, there),
      () => service.mfa.verifyEmailCode({ challengeId, code }, bob),
      () => service.mfa.verifySmsCode({ challengeId, code }, here),
      () => service.mfa.verifyEmailCode({ challengeId: "A".repeat(22), code }, here),
      () => service.mfa.verifyEmailCode({ challengeId, code: otherThan(code) }, here),
    ];
    for (const call of calls) {
      expect(await failure(call())).toMatchObject({ code: status.PERMISSION_DENIED, reason: "CODE_REJECTED" });
    }
    await service.mfa.verifyEmailCode({ challengeId, code }, here);
    expect((await failure(service.mfa.verifyEmailCode({ challengeId, code }, here))).reason).toBe("CODE_REJECTED");
  });

  test("a log-in's code does not complete an enrollment, nor an enrollment's a log-in", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const log = await service.mfa.sendEmailCode({}, token);
    const logCode = await newestCode(service, "ann");
    service.pass(MINUTE);
    const start = await service.mfa.startEmailEnrollment({ email: "ann@example.org" }, token);
    const startCode = await newestCode(service, "ann");
    const challenge = { log: log.delivery?.challengeId ?? "", start: start.delivery?.challengeId ?? "" };
    const finish = service.mfa.finishEmailEnrollment({ challengeId: challenge.log, code: logCode }, token);
    expect((await failure(finish)).reason).toBe("CODE_REJECTED");
    const verify = service.mfa.verifyEmailCode({ challengeId: challenge.start, code: startCode }, token);
    expect((await failure(verify)).reason).toBe("CODE_REJECTED");
  });

  test("a code that is on its way is good for nothing once the tenant has switched its way off", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollPhone(service, "ann");
    const { delivery } = await service.mfa.sendSmsCode({}, token);
    const proof = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    await switchOn(service, { sms: { enabled: false } });
    expect((await failure(service.mfa.verifySmsCode(proof, token))).reason).toBe("FACTOR_NOT_ALLOWED");
    await switchOn(service);
    await service.mfa.verifySmsCode(proof, token);
  });

  test("a code lasts five minutes", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const { delivery } = await service.mfa.sendEmailCode({}, token);
    const proof = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    service.pass(5 * MINUTE);
    expect((await failure(service.mfa.verifyEmailCode(proof, token))).reason).toBe("CODE_REJECTED");
  });

  test("sending again waits half a minute, kills the older code and does not reset the count of failures", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const { delivery } = await service.mfa.sendEmailCode({}, token);
    const challengeId = delivery?.challengeId ?? "";
    const older = await newestCode(service, "ann");
    for (const id of [challengeId, ""]) {
      const soon = await failure(service.mfa.sendEmailCode({ challengeId: id }, token));
      expect(soon).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "RATE_LIMITED", retryAfterMs: 30_000 });
    }
    const wrong = { challengeId, code: otherThan(older) };
    for (let n = 0; n < 3; n++) await failure(service.mfa.verifyEmailCode(wrong, token));
    service.pass(30_000);
    const again = await service.mfa.sendEmailCode({ challengeId }, token);
    expect(again.delivery?.challengeId).toBe(challengeId);
    const newer = await newestCode(service, "ann");
    expect(await tally([service.mfa.verifyEmailCode({ challengeId, code: older }, token)])).toEqual(
      older === newer ? { OK: 1 } : { CODE_REJECTED: 1 },
    );
    // The fifth failure, across both codes, locks.
    await failure(service.mfa.verifyEmailCode({ challengeId, code: otherThan(newer) }, token));
    expect((await failure(service.mfa.verifyEmailCode({ challengeId, code: newer }, token))).reason).toBe("LOCKED");
  });

  test("a code that was sent before a lock is dead after it", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const { delivery } = await service.mfa.sendEmailCode({}, token);
    const challengeId = delivery?.challengeId ?? "";
    const code = await newestCode(service, "ann");
    const wrong = () => service.mfa.verifyEmailCode({ challengeId, code: otherThan(code) }, token);
    for (let n = 0; n < 5; n++) await failure(wrong());
    service.pass(MINUTE);
    expect((await failure(service.mfa.verifyEmailCode({ challengeId, code }, token))).reason).toBe("CODE_REJECTED");
    const again = await service.mfa.sendEmailCode({ challengeId }, token);
    const proof = { challengeId: again.delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    await service.mfa.verifyEmailCode(proof, token);
  });

  test("a challenge of another session or nobody's is not sent again, a spent one neither", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    const [here, there] = [
      await service.mint({ audience: "mfa", subject: "ann", session: "s1" }),
      await service.mint({ audience: "mfa", subject: "ann", session: "s2" }),
    ];
    const { delivery } = await service.mfa.sendEmailCode({}, here);
    const challengeId = delivery?.challengeId ?? "";
    await service.mfa.verifyEmailCode({ challengeId, code: await newestCode(service, "ann") }, here);
    service.pass(30_000);
    expect((await failure(service.mfa.sendEmailCode({ challengeId }, there))).reason).toBe("NOT_FOUND");
    expect((await failure(service.mfa.sendEmailCode({ challengeId: "A".repeat(22) }, here))).reason).toBe("NOT_FOUND");
    expect((await failure(service.mfa.sendEmailCode({ challengeId }, here))).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("a new address leaves the old one in force until it is proved, then takes its place", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token, factorId } = await enrollEmail(service, "ann");
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.org" }, token);
    const code = await newestCode(service, "ann");
    service.pass(MINUTE);
    await service.mfa.sendEmailCode({}, token);
    expect((await codesFor(service, "ann"))[0]?.target).toBe("ann@example.com");
    const challengeId = delivery?.challengeId ?? "";
    const { address } = await service.mfa.finishEmailEnrollment({ challengeId, code }, token);
    expect(address?.factorId).not.toBe(factorId);
    service.pass(10 * MINUTE);
    await service.mfa.sendEmailCode({}, await service.user("ann"));
    expect((await codesFor(service, "ann"))[0]?.target).toBe("ann@example.org");
  });

  test("the address that is in force already is refused as a duplicate, however it is written", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const again = service.mfa.startEmailEnrollment({ email: "ANN@Example.com" }, token);
    expect((await failure(again)).reason).toBe("DUPLICATE");
    // Another user may have it, and nobody is told.
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, await service.user("bob"));
  });

  test("an enrollment that is not finished in time is forgotten", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    const proof = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    service.pass(10 * MINUTE);
    const late = service.mfa.finishEmailEnrollment(proof, await service.user("ann"));
    expect((await failure(late)).reason).toBe("ENROLLMENT_EXPIRED");
  });

  test("changing the number needs a second factor, fresh; the old one stays", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const weak = await service.user("ann");
    const stale = await service.mint({
      ...{ audience: "mfa", subject: "ann", acr: "aal2" },
      authTime: new Date(service.clock.now.getTime() - 10 * MINUTE),
    });
    for (const token of [weak, stale]) {
      const refused = await failure(service.mfa.startSmsEnrollment({ phoneNumber: phone(1) }, token));
      expect(refused.reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    }
    await service.mfa.sendSmsCode({}, weak);
    expect((await codesFor(service, "ann"))[0]?.target).toBe(phone());
  });

  test("e-mail never counts: it asks for no second factor and is no last one; text messages do both", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    // A first factor that counts may still be enrolled after a first factor only.
    await enrollApp(service, "ann");
    await enrollEmail(service, "bob");
    await service.mfa.disableEmail({}, await service.user("bob", "aal2"));

    const { token } = await enrollPhone(service, "eve");
    const last = await failure(service.mfa.disableSms({}, token));
    expect(last).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "LAST_FACTOR" });
    const { address } = await service.mfa.disableSms({ confirmLastFactor: true }, token);
    expect(address?.state).toBe(FactorState.DISABLED);
    expect((await service.mfa.disableSms({}, token)).address?.state).toBe(FactorState.DISABLED);
  });

  test("without a number or an address there is nothing to switch or to send to", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann", "aal2");
    const calls = [
      service.mfa.enableSms({}, token),
      service.mfa.disableSms({}, token),
      service.mfa.enableEmail({}, token),
      service.mfa.disableEmail({}, token),
      service.mfa.sendSmsCode({}, token),
      service.mfa.sendEmailCode({}, token),
    ];
    expect(await tally(calls)).toEqual({ NOT_ENROLLED: 6 });
  });

  test("a tenant's own text is sent in the language asked for", async () => {
    const service = await serviceForTest(engine);
    const messages = [
      { channel: FactorType.EMAIL, name: "code", locale: "de", subject: "Ihr Code {code}", body: "Code: {code}" },
      { channel: FactorType.EMAIL, name: "code", locale: "fr", subject: "{service}", body: "{code} / {minutes}" },
    ];
    await switchOn(service, { templates: { defaultLocale: "fr", messages } });
    const token = await service.user("ann");
    await service.mfa.startEmailEnrollment({ email: "ann@example.com", locale: "de-AT" }, token);
    const [german] = await inboxOf(service, "ann");
    // No secret in a subject, even where the tenant's text asks for it.
    expect(german).toMatchObject({ subject: "Ihr Code ", body: `Code: ${german?.code}` });
    service.pass(MINUTE);
    await service.mfa.startEmailEnrollment({ email: "ann@example.com", locale: "es" }, token);
    const [french] = await inboxOf(service, "ann");
    expect(french).toMatchObject({ subject: "MFA Service", body: `${french?.code} / 5` });
  });

  test("whichever RPC sends a code, its message is in the language asked for", async () => {
    const service = await serviceForTest(engine);
    const messages = [FactorType.SMS, FactorType.EMAIL].flatMap((channel) =>
      ["de", "fr"].map((locale) => ({
        channel,
        name: "code",
        locale,
        subject: channel === FactorType.EMAIL ? locale : "",
        body: `${locale}: {code}`,
      })),
    );
    await switchOn(service, { templates: { defaultLocale: "fr", messages } });
    await enrollEmail(service, "ann");
    await enrollPhone(service, "ann");
    const ann = () => service.user("ann", "aal2");
    for (const [locale, language] of [
      ["de", "de"],
      ["", "fr"],
    ] as const) {
      for (const [nth, send] of [
        async () => service.mfa.sendSmsCode({ locale }, await ann()),
        async () => service.mfa.sendEmailCode({ locale }, await ann()),
        async () => service.mfa.startEmailEnrollment({ email: "n@example.com", locale }, await service.user("new")),
        async () => service.mfa.startSmsEnrollment({ phoneNumber: phone(1), locale }, await service.user("new")),
      ].entries()) {
        service.pass(10 * MINUTE);
        await send();
        const [newest] = await codesFor(service, nth < 2 ? "ann" : "new");
        expect([nth, newest?.body]).toEqual([nth, `${language}: ${newest?.code}`]);
      }
    }
  });

  test("the inbox of dev mode shows what was sent, codes included, by user and by way", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, await service.user("ann"));
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, await service.user("ann"));
    await service.mfa.startEmailEnrollment({ email: "bob@example.com" }, await service.user("bob"));
    const token = await service.backend("mfa.dev");
    const targets = async (request: object) =>
      (await service.internal.listInboxMessages(request, token)).messages.map(({ target }) => target).sort();
    expect(await targets({})).toEqual([phone(), "ann@example.com", "bob@example.com"]);
    expect(await targets({ userId: "ann" })).toEqual([phone(), "ann@example.com"]);
    expect(await targets({ channel: FactorType.EMAIL })).toEqual(["ann@example.com", "bob@example.com"]);
    const [message] = (await service.internal.listInboxMessages({ channel: FactorType.SMS }, token)).messages;
    expect(message).toMatchObject({ userId: "ann", channel: FactorType.SMS, code: expect.stringMatching(/^\d{6}$/) });
    expect(message?.body).toContain(message?.code);
  });

  test("a text that no carrier would take is refused when it is set, and never sent", async () => {
    const service = await serviceForTest(engine);
    const text = (body: string) => ({ channel: FactorType.SMS, name: "code", locale: "en", body });
    const long = switchOn(service, { templates: { messages: [text(`{code} ${"x".repeat(994)}`)] } });
    expect((await failure(long)).reason).toBe("INVALID_FIELD");
    // A thousand characters, and more than carriers take once the names are filled in.
    await switchOn(service, {
      totp: { issuer: "y".repeat(60) },
      templates: { messages: [text(`{code} ${"{service}".repeat(100)}`)] },
    });
    await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, await service.user("ann"));
    const [message] = await inboxOf(service, "ann");
    expect(message?.body).toMatch(/^\d{6} is your code for y{60}, good for 5 minutes\./);
  });

  test("after the clock was a day ahead for a moment, codes go out as before within the limits' own time", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const start = service.clock.now;
    const send = async () => service.mfa.sendEmailCode({}, token);
    service.clock.now = new Date(start.getTime() + 24 * 60 * MINUTE);
    const ahead = await service.user("ann");
    for (let n = 0; n < 3; n += 1) {
      await service.mfa.sendEmailCode({}, ahead);
      service.pass(MINUTE);
    }
    service.clock.now = start;
    expect((await failure(send())).reason).toBe("RATE_LIMITED");
    service.pass(11 * MINUTE);
    expect((await service.mfa.sendEmailCode({}, await service.user("ann"))).delivery?.challengeId).toBeDefined();
  });

  test("of 1,000 concurrent uses of one e-mailed code one wins", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    const { delivery } = await service.mfa.sendEmailCode({}, token);
    const proof = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    const counts = await tally(times(1000, () => service.mfa.verifyEmailCode(proof, token)));
    const { CODE_REJECTED = 0, LOCKED = 0 } = counts;
    expect(counts).toMatchObject({ OK: 1 });
    expect(CODE_REJECTED + LOCKED).toBe(999);
  });

  test("of 50 concurrent sends one goes out, and of 50 concurrent finishes one wins", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const start = () => service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    const [started] = (await Promise.allSettled(times(50, start))).flatMap((result) =>
      result.status === "fulfilled" ? [result.value] : [],
    );
    expect(await inboxOf(service, "ann")).toHaveLength(1);
    const proof = { challengeId: started?.delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    const counts = await tally(times(50, () => service.mfa.finishEmailEnrollment(proof, token)));
    expect(counts.OK).toBe(1);
  });
});

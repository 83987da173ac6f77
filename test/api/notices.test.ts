import { describe, expect, test, vi } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollEmail, enrollPhone, inboxOf, newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

/** The notices a user got, oldest first, once there are so many. */
const noticesOf = (service: ServiceUnderTest, user: string, count: number) =>
  vi.waitUntil(
    async () => {
      const notices = (await inboxOf(service, user)).filter(({ code }) => code === "").reverse();
      return notices.length >= count && notices.map(({ target, subject, body }) => ({ target, text: subject || body }));
    },
    { timeout: 20_000 },
  );

describe.each(engines)("notices to users on $name", (engine) => {
  test("every change of factors is told at every address that was proved", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    await noticesOf(service, "ann", 1);
    const strong = await service.user("ann", "aal2");
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, strong);
    const challengeId = delivery?.challengeId ?? "";
    await service.mfa.finishEmailEnrollment({ challengeId, code: await newestCode(service, "ann") }, strong);
    await noticesOf(service, "ann", 3);
    await enrollApp(service, "ann", "aal2");
    const notices = await noticesOf(service, "ann", 5);
    expect(notices.map(({ target }) => target).sort()).toEqual([
      ...[phone(), phone(), phone(), "ann@example.com", "ann@example.com"],
    ]);
    const [, , , ...last] = notices;
    expect(last.map(({ text }) => text).sort()).toEqual([
      "MFA Service: added: authenticator app",
      expect.stringMatching(
        /^MFA Service: added: authenticator app \(2026-03-01 \d\d:\d\d UTC\)\. If this was not you/,
      ),
    ]);
  });

  test("that a backend switched off all of a user's apps is told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await enrollApp(service, "ann", "aal2");
    const before = (await noticesOf(service, "ann", 2)).length;
    const disable = { userId: "ann", reason: "left", confirmLastFactor: true };
    await service.internal.disableUserTotp(disable, await service.backend("mfa.factors.write"));
    const told = (await noticesOf(service, "ann", before + 1)).slice(before);
    expect(told).toMatchObject([{ target: "ann@example.com", text: expect.stringMatching(/authenticator app/) }]);
  });

  test("the old address is told when another takes its place", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    await noticesOf(service, "ann", 1);
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.org" }, token);
    const proof = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    await service.mfa.finishEmailEnrollment(proof, token);
    const notices = await noticesOf(service, "ann", 3);
    expect(
      notices
        .slice(1)
        .map(({ target }) => target)
        .sort(),
    ).toEqual(["ann@example.com", "ann@example.org"]);
  });

  test("an address that is deleted is told of it, and of nothing that comes after", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await noticesOf(service, "ann", 1);
    const strong = await service.user("ann", "aal2");
    await service.mfa.deleteFactor({ factorType: FactorType.EMAIL }, strong);
    expect((await noticesOf(service, "ann", 2)).at(-1)).toEqual({
      target: "ann@example.com",
      text: "MFA Service: removed: e-mail address for codes",
    });
    service.pass(60_000);
    await enrollApp(service, "ann");
    await enrollPhone(service, "ann");
    const later = await noticesOf(service, "ann", 3);
    expect(later.slice(2).map(({ target }) => target)).toEqual([phone()]);
  });

  test("a lock is told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    const notices = await noticesOf(service, "ann", 3);
    expect(notices.map(({ text }) => text)).toContain("MFA Service: codes were locked after too many wrong ones");
  });

  test("that an administrator ended a lock is told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, app.token));
    const scope = "mfa.read mfa.lockout.write";
    const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    await service.admin.clearLockout({ userId: "ann", reason: "called us" }, root);
    const notices = await noticesOf(service, "ann", 4);
    // Notices are carried at once, so that one may overtake another.
    const ended = "MFA Service: the lock after wrong codes was ended by an administrator";
    expect(notices.map(({ text }) => text)).toContain(ended);
  });

  test("that an administrator issued a temporary pass is told", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await service.admin.issueTemporaryPass({ userId: "ann", reason: "called us" }, await adminOf(service));
    const notices = await noticesOf(service, "ann", 2);
    expect(notices.map(({ text }) => text)).toContain("MFA Service: an administrator issued a temporary pass");
  });

  test("nobody is told without end: a user gets ten notices a day by text message, and the others by e-mail", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await enrollPhone(service, "ann");
    const flip = async (times: number) => {
      const token = await service.user("ann", "aal2");
      for (let n = 0; n < times; n++) {
        await service.mfa.disableSms({ confirmLastFactor: true }, token);
        await service.mfa.enableSms({}, token);
      }
    };
    const targets = async (count: number) =>
      (await noticesOf(service, "ann", count)).map(({ target }) => (target === phone() ? "sms" : "email"));
    await flip(8); // with both enrollments 18 things to tell, the first of them by e-mail only
    const told = (await targets(28)).sort();
    expect(told).toEqual([...Array(18).fill("email"), ...Array(10).fill("sms")]);
    service.pass(25 * 3600_000);
    await flip(1);
    expect((await targets(32)).filter((way) => way === "sms")).toHaveLength(12);
  });

  test("a tenant's own notice is sent, and nothing in it but its fields", async () => {
    const service = await serviceForTest(engine);
    const text = { subject: "{factor} / {code}", body: "{service} {nothing} {factor}" };
    const messages = [{ channel: FactorType.EMAIL, name: "factor_added", locale: "en", ...text }];
    await switchOn(service, { templates: { messages } });
    await enrollEmail(service, "ann");
    await noticesOf(service, "ann", 1);
    const notice = (await inboxOf(service, "ann")).find(({ code }) => code === "");
    expect(notice).toMatchObject({
      subject: "e-mail address for codes / ",
      body: "MFA Service  e-mail address for codes",
    });
  });
});

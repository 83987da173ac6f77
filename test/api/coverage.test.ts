import { describe, expect, test } from "vitest";
import { CoverageGap } from "../../gen/mfa/v1/coverage_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollEmail, enrollPhone, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const report = async (service: ServiceUnderTest, request: object = {}) =>
  service.admin.getCoverage(request, await adminOf(service, "mfa.read"));

type Report = Awaited<ReturnType<typeof report>>;

const gapsOf = ({ gaps }: Report) =>
  Object.fromEntries(gaps.map(({ gap, userCount }) => [CoverageGap[gap], Number(userCount)]));
const factorsOf = ({ factors }: Report) =>
  Object.fromEntries(factors.map(({ factorType, userCount }) => [FactorType[factorType], Number(userCount)]));

/** One user for each gap, and one without any. */
async function peopled(service: ServiceUnderTest) {
  await switchOn(service);
  await switchPushOn(service);
  await enrollPhone(service, "sms-only", phone(1));
  await enrollApp(service, "single");
  await enrollApp(service, "two-apps");
  await enrollApp(service, "two-apps", "aal2");
  await enrollEmail(service, "email-only");
  await service.mfa.startTotpEnrollment({}, await service.user("begun"));
  const few = await enrollCodes(service, "few-codes");
  for (const code of few.codes.slice(0, 7)) await service.mfa.verifyBackupCode({ code }, few.token);
  await enrollCodes(service, "whole");
  await enrollPasskey(service, "whole");
  await pairPhone(service, "whole", { acr: "aal2" });
}

describe.each(engines)("coverage on $name", (engine) => {
  test("counts who lacks what, and who has what", { timeout: 30_000 }, async () => {
    const service = await serviceForTest(engine);
    await peopled(service);
    const found = await report(service);
    expect(found).toMatchObject({ userCount: 7n, enrolledCount: 5n, users: [], nextPageToken: "" });
    expect(gapsOf(found)).toEqual({
      ...{ NO_FACTOR: 2, SMS_ONLY: 1, SINGLE_FACTOR: 3, NO_BACKUP_CODES: 3, LOW_BACKUP_CODES: 1 },
      NOT_PHISHING_RESISTANT: 4,
    });
    expect(factorsOf(found)).toEqual({ WEBAUTHN: 1, PUSH: 1, TOTP: 4, SMS: 1, EMAIL: 1, BACKUP_CODE: 2 });
  });

  test("lists who has a gap, with all of theirs, in pages", { timeout: 30_000 }, async () => {
    const service = await serviceForTest(engine);
    await peopled(service);
    const gap = CoverageGap.NOT_PHISHING_RESISTANT;
    const first = await report(service, { gap, pageSize: 3 });
    const second = await report(service, { gap, pageSize: 3, pageToken: first.nextPageToken });
    expect(second.nextPageToken).toBe("");
    const users = [...first.users, ...second.users];
    expect(users.map(({ userId }) => userId)).toEqual(["few-codes", "single", "sms-only", "two-apps"]);
    const single = users.find(({ userId }) => userId === "single");
    expect(single?.gaps.map((one) => CoverageGap[one])).toEqual([
      ...["SINGLE_FACTOR", "NO_BACKUP_CODES", "NOT_PHISHING_RESISTANT"],
    ]);
    expect(single?.factorTypes).toEqual([FactorType.TOTP]);
    expect(single?.lastVerifyTime).toBeDefined();
    const none = await report(service, { gap: CoverageGap.NO_FACTOR });
    expect(none.users.map(({ userId }) => userId)).toEqual(["begun", "email-only"]);
    const foreign = report(service, { gap: CoverageGap.NO_FACTOR, pageToken: first.nextPageToken });
    expect(await failure(foreign)).toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
  });

  test("goes on behind the last user of the page, whoever lost or gained the gap meanwhile, and counts once", async () => {
    const service = await serviceForTest(engine);
    for (const user of ["ann", "bob", "eve"]) await enrollApp(service, user);
    const asked = { gap: CoverageGap.SINGLE_FACTOR, pageSize: 1 };
    const first = await report(service, asked);
    expect(first).toMatchObject({ userCount: 3n, countTime: { nanos: 0 } });
    await enrollApp(service, "ann", "aal2");
    await enrollApp(service, "abe");
    const second = await report(service, { ...asked, pageToken: first.nextPageToken });
    expect(second.users.map(({ userId }) => userId)).toEqual(["bob"]);
    expect(second).toMatchObject({ userCount: 0n, enrolledCount: 0n, gaps: [], factors: [] });
    expect(second.countTime).toBeUndefined();
    const third = await report(service, { ...asked, pageToken: second.nextPageToken });
    expect([third.users.map(({ userId }) => userId), third.nextPageToken]).toEqual([["eve"], ""]);
  });

  test("says who must have a factor by now and has none", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    await service.mfa.startTotpEnrollment({}, await service.user("bob"));
    const root = await adminOf(service, "mfa.policy.write");
    const rule = { selector: { everyone: true }, strength: AuthenticationStrength.ANY_FACTOR, reason: "audit" };
    const gracePeriod = { seconds: 86_400n, nanos: 0 };
    await service.admin.createEnforcementRule({ ...rule, gracePeriod }, root);
    expect(gapsOf(await report(service)).OVERDUE).toBeUndefined();
    await service.admin.createEnforcementRule(rule, root);
    const found = await report(service, { gap: CoverageGap.OVERDUE });
    expect(found.users.map(({ userId }) => userId)).toEqual(["bob"]);
  });

  test("sees nobody of another tenant, and takes the scope of readers", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const elsewhere = await adminOf(service, "mfa.read", { tenant: "other" });
    expect(await service.admin.getCoverage({}, elsewhere)).toMatchObject({ userCount: 0n, gaps: [], factors: [] });
    const wrong = service.admin.getCoverage({}, await adminOf(service, "mfa.reset"));
    expect(await failure(wrong)).toMatchObject({ reason: "ACCESS_DENIED" });
  });

  const crowd = async (service: ServiceUnderTest, size: number, but: readonly string[]) => {
    const now = engine.name === "sqlite" ? 0 : "now()";
    const ids = Array.from({ length: size }, (_, n) => `user-${String(n).padStart(5, "0")}`);
    const values = ids.filter((id) => !but.includes(id)).map((id) => `('dev', '${id}', 0, '', ${now})`);
    const columns = "tenant_id, user_id, mfa_epoch, primary_factor_id, update_time";
    await service.execute(`INSERT INTO users (${columns}) VALUES ${values.join()}`);
  };

  test("looks at ten thousand users for a page behind the first, and goes on from there", async () => {
    const service = await serviceForTest(engine);
    const enrolled = ["user-00001", "user-10500"];
    for (const user of enrolled) await enrollApp(service, user);
    await crowd(service, 10_600, enrolled);
    const pages: string[][] = [];
    for (let pageToken = ""; pages.length < 10; ) {
      const { users, nextPageToken } = await report(service, {
        gap: CoverageGap.SINGLE_FACTOR,
        pageSize: 1,
        pageToken,
      });
      pages.push(users.map(({ userId }) => userId));
      if (nextPageToken === "") break;
      pageToken = nextPageToken;
    }
    expect(pages).toEqual([["user-00001"], [], ["user-10500"]]);
  });

  test("counts each of more users than one unit looks at once", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "user-00700");
    await crowd(service, 1_200, ["user-00700"]);
    const found = await report(service, { gap: CoverageGap.SINGLE_FACTOR });
    expect(found).toMatchObject({ userCount: 1_200n, enrolledCount: 1n });
    expect(gapsOf(found).NO_FACTOR).toBe(1_199);
    expect(found.users.map(({ userId }) => userId)).toEqual(["user-00700"]);
  });
});

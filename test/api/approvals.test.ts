import { describe, expect, test } from "vitest";
import { ApprovalState } from "../../gen/mfa/v1/approval_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow, PLACED, TRAIL } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const reason = "lost phone, ticket 4711";
const agreed = "called back";
const DAY = 24 * 3_600_000;

/** A tenant that asks for four eyes, and a user with an app. */
async function fourEyes(service: ServiceUnderTest) {
  await setTenant(service, { administration: { fourEyes: true } });
  return enrollApp(service, "ann");
}

/** Asks for a reset, and answers what it waits for. */
async function ask(service: ServiceUnderTest, subject = "root", userId = "ann", more: object = {}) {
  const token = await adminOf(service, "mfa.reset mfa.read", { subject });
  const { outcome } = await service.admin.resetUserMfa({ userId, reason, ...more }, token);
  if (outcome.case !== "approval") throw new Error("it waits for nobody");
  return outcome.value;
}

const as = (service: ServiceUnderTest, subject: string, scope = "mfa.reset mfa.read") =>
  adminOf(service, scope, { subject });

const isEnrolled = async (service: ServiceUnderTest, userId = "ann") =>
  (await service.mfa.getMfaStatus({}, await service.user(userId))).status?.enrolled;

describe.each(engines)("approvals on $name", (engine) => {
  test("with four eyes a reset waits, and is done when another administrator grants it", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const approval = await ask(service);
    expect(approval).toMatchObject({ state: ApprovalState.PENDING, rpc: "ResetUserMfa", userId: "ann", reason });
    expect(approval).toMatchObject({ requesterId: "root", deciderId: "" });
    expect(approval.decideTime).toBeUndefined();
    expect(approval.description).toBe("Remove every factor, backup code and trust of ann");
    expect(await isEnrolled(service)).toBe(true);

    const { approvalId } = approval;
    const granted = await service.admin.grantApproval({ approvalId, reason: agreed }, await as(service, "eve"));
    expect(granted.approval).toMatchObject({ state: ApprovalState.GRANTED, deciderId: "eve", decideReason: agreed });
    expect(granted.approval?.decideTime).toMatchObject({ seconds: BigInt(service.clock.now.getTime() / 1000) });
    expect(granted.resetReceipt?.removed).toMatchObject([{ kind: "totp_devices", count: 1n }]);
    expect(await isEnrolled(service)).toBe(false);
    const auditor = await adminOf(service, "mfa.audit.read");
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { userId: "ann" } }, auditor);
    const acts = entries.map(({ action, operatorId }) => `${action} ${operatorId}`);
    for (const act of ["approval.requested root", "approval.granted eve", "user.reset eve"])
      expect(acts).toContain(act);
  });

  test("a reset of one kind waits like one of everything, and takes that kind only when granted", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { deviceId } = await enrollApp(service, "ann", "aal2");
    const asked = { userId: "ann", factorType: FactorType.TOTP, factorId: deviceId, reason };
    const { outcome } = await service.admin.resetUserFactor(asked, await as(service, "root"));
    if (outcome.case !== "approval") throw new Error("it waits for nobody");
    expect(outcome.value).toMatchObject({ rpc: "ResetUserFactor", description: `Remove TOTP ${deviceId} of ann` });
    const { approvalId } = outcome.value;
    const granted = await service.admin.grantApproval({ approvalId, reason: agreed }, await as(service, "eve"));
    expect(granted.resetReceipt?.removed).toMatchObject([{ kind: "totp_devices", count: 1n }]);
    expect(await isEnrolled(service)).toBe(true);
  });

  test("a cool-down that the tenant has set since holds when a reset is granted", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { approvalId } = await ask(service);
    const resetCoolDown = { seconds: 86_400n, nanos: 0 };
    await setTenant(service, { administration: { fourEyes: true, resetCoolDown } });
    const granted = await service.admin.grantApproval({ approvalId, reason: agreed }, await as(service, "eve"));
    const end = BigInt(service.clock.now.getTime() / 1000) + 86_400n;
    expect(granted.resetReceipt?.coolDownUntilTime).toMatchObject({ seconds: end });
  });

  test("nobody decides what they asked for, nor what concerns themselves", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { approvalId } = await ask(service);
    for (const subject of ["root", "ann"]) {
      const token = await as(service, subject);
      for (const decide of [service.admin.grantApproval, service.admin.rejectApproval]) {
        expect(await failure(decide({ approvalId, reason: agreed }, token))).toMatchObject({ reason: "SELF_ACTION" });
      }
    }
    expect(await isEnrolled(service)).toBe(true);
    const filter = { action: "rpc.denied" };
    const { entries } = await service.admin.listConfigAuditLogs({ filter }, await as(service, "eve", "mfa.audit.read"));
    expect(new Set(entries.map(({ targetId }) => targetId))).toEqual(new Set(["GrantApproval", "RejectApproval"]));
  });

  test("what was rejected, cancelled or ran out is never granted", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const grant = async (approvalId: string) =>
      failure(service.admin.grantApproval({ approvalId, reason: agreed }, await as(service, "eve")));

    const rejected = await ask(service);
    const { approval } = await service.admin.rejectApproval(
      { approvalId: rejected.approvalId, reason: "no such ticket" },
      await as(service, "eve"),
    );
    expect(approval).toMatchObject({ state: ApprovalState.REJECTED, deciderId: "eve", decideReason: "no such ticket" });
    expect(await grant(rejected.approvalId)).toMatchObject({ reason: "WRONG_STATE", metadata: { state: "REJECTED" } });

    const cancelled = await ask(service);
    await service.admin.cancelApproval({ approvalId: cancelled.approvalId }, await as(service, "root"));
    expect(await grant(cancelled.approvalId)).toMatchObject({ metadata: { state: "CANCELLED" } });

    const late = await ask(service);
    service.pass(DAY - 1);
    const { approvals } = await service.admin.listApprovals({ state: ApprovalState.PENDING }, await as(service, "eve"));
    expect(approvals.map(({ approvalId }) => approvalId)).toEqual([late.approvalId]);
    service.pass(1);
    expect(await grant(late.approvalId)).toMatchObject({ reason: "WRONG_STATE", metadata: { state: "EXPIRED" } });
    const [root, eve] = [await as(service, "root"), await as(service, "eve")];
    for (const end of [
      () => service.admin.rejectApproval({ approvalId: late.approvalId, reason: agreed }, eve),
      () => service.admin.cancelApproval({ approvalId: late.approvalId }, root),
    ]) {
      expect(await failure(end())).toMatchObject({ reason: "WRONG_STATE", metadata: { state: "EXPIRED" } });
    }
    expect(await isEnrolled(service)).toBe(true);
  });

  test("rejecting and cancelling again change nothing and succeed; only who asked may cancel", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const first = await ask(service);
    const rejection = { approvalId: first.approvalId, reason: "no" };
    const eve = await as(service, "eve");
    const once = await service.admin.rejectApproval(rejection, eve);
    expect(await service.admin.rejectApproval(rejection, eve)).toEqual(once);
    const other = await failure(service.admin.rejectApproval(rejection, await as(service, "mel")));
    expect(other).toMatchObject({ reason: "WRONG_STATE" });

    const second = await ask(service);
    const cancel = { approvalId: second.approvalId };
    expect(await failure(service.admin.cancelApproval(cancel, eve))).toMatchObject({ reason: "NOT_FOUND" });
    const done = await service.admin.cancelApproval(cancel, await as(service, "root"));
    expect(await service.admin.cancelApproval(cancel, await as(service, "root"))).toEqual(done);
  });

  test("asked for again while it waits, it is the same approval; of somebody else or otherwise, another", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { approvalId } = await ask(service);
    expect((await ask(service)).approvalId).toBe(approvalId);
    expect((await ask(service, "mel")).approvalId).not.toBe(approvalId);
    const longer = await ask(service, "root", "ann", { coolDown: { seconds: 3600n, nanos: 0 } });
    expect(longer.description).toContain("keep them from enrolling for 3600 s");
    expect((await service.admin.listApprovals({}, await as(service, "root"))).approvals.length).toBe(3);
  });

  test("freshness, scope and self are checked before anything waits", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { approvalId } = await ask(service);
    const stale = await as(service, "eve");
    service.pass(301_000);
    const before = await everyRow(service.store, [...PLACED, ...TRAIL]);
    const grant = (token: string) => failure(service.admin.grantApproval({ approvalId, reason: agreed }, token));
    expect((await grant(stale)).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    expect((await grant(await as(service, "eve", "mfa.read"))).reason).toBe("ACCESS_DENIED");
    const own = service.admin.resetUserMfa({ userId: "eve", reason }, await as(service, "eve"));
    expect(await failure(own)).toMatchObject({ reason: "SELF_ACTION" });
    expect(await everyRow(service.store, [...PLACED, ...TRAIL])).toEqual(before);
  });

  test("another tenant's approvals are not there", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { approvalId } = await ask(service);
    const token = await adminOf(service, "mfa.reset mfa.read", { subject: "eve", tenant: "other" });
    expect((await service.admin.listApprovals({}, token)).approvals).toEqual([]);
    const decision = { approvalId, reason: agreed };
    for (const call of [
      () => service.admin.getApproval({ approvalId }, token),
      () => service.admin.grantApproval(decision, token),
      () => service.admin.rejectApproval(decision, token),
      () => service.admin.cancelApproval({ approvalId }, token),
    ]) {
      expect(await failure(call())).toMatchObject({ reason: "NOT_FOUND" });
    }
  });

  test("lists are paged, newest first, and filtered by where approvals stand", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const asked: string[] = [];
    for (const user of ["u1", "u2", "u3", "u4", "u5"]) {
      asked.unshift((await ask(service, "root", user)).approvalId);
      service.pass(1000);
    }
    const eve = await as(service, "eve");
    const [newest = "", ...others] = asked;
    await service.admin.rejectApproval({ approvalId: newest, reason: "no" }, eve);
    const pending = { state: ApprovalState.PENDING, pageSize: 3 };
    const first = await service.admin.listApprovals(pending, eve);
    const second = await service.admin.listApprovals({ ...pending, pageToken: first.nextPageToken }, eve);
    const ids = [...first.approvals, ...second.approvals].map(({ approvalId }) => approvalId);
    expect(ids).toEqual(others);
    expect(second.nextPageToken).toBe("");
    const rejected = await service.admin.listApprovals({ state: ApprovalState.REJECTED }, eve);
    expect(rejected.approvals.map(({ approvalId }) => approvalId)).toEqual([newest]);
    expect((await service.admin.listApprovals({ state: ApprovalState.EXPIRED }, eve)).approvals).toEqual([]);
    const otherFilter = service.admin.listApprovals({ pageToken: first.nextPageToken }, eve);
    expect(await failure(otherFilter)).toMatchObject({ reason: "INVALID_PAGE_TOKEN" });
    service.pass(DAY);
    const expired = await service.admin.listApprovals({ state: ApprovalState.EXPIRED }, await as(service, "eve"));
    expect(expired.approvals.map(({ approvalId }) => approvalId)).toEqual(others);
    const { approval } = await service.admin.getApproval({ approvalId: newest }, await as(service, "eve"));
    expect(approval?.state).toBe(ApprovalState.REJECTED);
  });

  test("of twenty who decide at once one does, and the factors go if and only if they granted", async () => {
    const service = await serviceForTest(engine);
    await fourEyes(service);
    const { approvalId } = await ask(service);
    const decision = { approvalId, reason: agreed };
    const grants: Promise<unknown>[] = [];
    const rejections: Promise<unknown>[] = [];
    const [root, ...deciders] = await Promise.all(
      ["root", ...Array.from({ length: 20 }, (_, n) => `a${n}`)].map((subject) => as(service, subject)),
    );
    for (const [n, token] of deciders.entries()) {
      if (n % 2) grants.push(service.admin.grantApproval(decision, token));
      else rejections.push(service.admin.rejectApproval(decision, token));
    }
    const cancelled = [service.admin.cancelApproval({ approvalId }, root)];
    const outcomes = await Promise.all([tally(grants), tally(rejections), tally(cancelled)]);
    expect(outcomes.reduce((sum, { OK = 0 }) => sum + OK, 0)).toBe(1);
    const [granted] = outcomes;
    expect(await isEnrolled(service)).toBe((granted?.OK ?? 0) === 0);
  });

  test("resets of two factors of one kind wait for an approval each", async () => {
    const service = await serviceForTest(engine);
    const one = await fourEyes(service);
    const two = await enrollApp(service, "ann", "aal2");
    const root = await as(service, "root");
    const askFor = async (factorId: string) => {
      const asked = { userId: "ann", factorType: FactorType.TOTP, factorId, reason };
      const { outcome } = await service.admin.resetUserFactor(asked, root);
      return outcome.case === "approval" ? outcome.value.approvalId : "";
    };
    const [first, second] = [await askFor(one.deviceId), await askFor(two.deviceId)];
    expect(second).not.toBe(first);
    expect(await askFor(one.deviceId)).toBe(first);
    await service.admin.grantApproval({ approvalId: second, reason: agreed }, await as(service, "eve"));
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices.map(({ deviceId }) => deviceId)).toEqual([one.deviceId]);
  });
});

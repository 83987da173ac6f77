// What somebody gains who can write to the database but holds no keys: nothing that the service did not grant.
import { describe, expect, test, vi } from "vitest";
import { ApprovalState } from "../../gen/mfa/v1/approval_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { webhookReceiver } from "../support/fakes/webhook-receiver.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const reason = "lost phone, ticket 4711";
const told = (service: ServiceUnderTest, table: string) =>
  service.log.some((line) => line.includes("fails its integrity check") && line.includes(`"${table}"`));

/** A tenant with four eyes, and a reset of ann that waits for a second administrator. */
async function waiting(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  await setTenant(service, { administration: { fourEyes: true } });
  await enrollApp(service, "ann");
  await enrollApp(service, "bob");
  const root = await adminOf(service);
  const { outcome } = await service.admin.resetUserMfa({ userId: "ann", reason }, root);
  if (outcome.case !== "approval") throw new Error("it waits for nobody");
  const { approvalId } = outcome.value;
  const grant = async () =>
    service.admin.grantApproval(
      { approvalId, reason: "called back" },
      await adminOf(service, "mfa.reset mfa.read", { subject: "eve" }),
    );
  return { service, root, approvalId, grant };
}

const isEnrolled = async (service: ServiceUnderTest, userId: string) =>
  (await service.mfa.getMfaStatus({}, await service.user(userId))).status?.enrolled;

describe.each(engines)("who can write to the database on $name", (engine) => {
  test.each([
    ["another requester, so that the real one grants their own request", "requester_id = 'mallory'"],
    ["another user", "user_id = 'bob'"],
    ["another reason", "reason = 'nothing to see'"],
    ["a later end", "expire_time = create_time"],
    ["no MAC", "bound_mac = NULL"],
  ])("gives an approval no %s", async (_, assignment) => {
    const { service, root, approvalId, grant } = await waiting(engine);
    await service.execute(`UPDATE approvals SET ${assignment}`);
    expect((await failure(grant())).reason).toBe("NOT_FOUND");
    expect((await failure(service.admin.getApproval({ approvalId }, root))).reason).toBe("NOT_FOUND");
    expect([await isEnrolled(service, "ann"), await isEnrolled(service, "bob")]).toEqual([true, true]);
    expect(told(service, "approvals")).toBe(true);
  });

  test("grants no approval of a change, so that its request comes to nothing", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { administration: { fourEyes: true } });
    const scope = "mfa.read mfa.ip.write mfa.reset";
    const root = await adminOf(service, scope);
    const network = { cidr: "192.0.2.0/24", label: "office", reason };
    const change = () => service.admin.createIpWhitelistEntry(network, root);
    const asked = await failure(change());
    expect(asked.reason).toBe("APPROVAL_REQUIRED");
    await service.execute(
      `UPDATE approvals SET state = 'granted', decider_id = 'eve', decide_reason = 'fine', decide_time = create_time`,
    );
    expect((await failure(change())).reason).toBe("APPROVAL_REQUIRED");
    expect((await service.admin.listIpWhitelistEntries({}, root)).entries).toEqual([]);
    const { approvals } = await service.admin.listApprovals({ state: ApprovalState.GRANTED }, root);
    expect(approvals).toEqual([]);
  });

  test("ends no lock, and locks nobody in a way that an administrator cannot end", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, app.token));
    expect((await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token))).reason).toBe("LOCKED");
    await service.execute("UPDATE attempts SET lock_expire_time = NULL");
    const altered = await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token));
    expect(["LOCKED", "DATA_TAMPERED"]).toContain(altered.reason);
    expect(told(service, "attempts")).toBe(true);
    const clearing = { userId: "ann", reason };
    await service.admin.clearLockout(clearing, await adminOf(service, "mfa.lockout.write"));
    service.pass(60_000);
    await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
  });

  test("has events sent nowhere else", async () => {
    const receiver = await webhookReceiver();
    const service = await serviceForTest(engine, { webhooks: receiver.settings });
    service.clock.now = new Date();
    const root = await adminOf(service, "mfa.settings.write mfa.read");
    const { endpoint } = await service.admin.createWebhookEndpoint({ url: receiver.url, reason }, root);
    await service.execute(`UPDATE webhook_endpoints SET url = '${receiver.url}-of-a-thief'`);
    await enrollApp(service, "ann");
    await vi.waitUntil(() => told(service, "webhook_endpoints"), { timeout: 20_000 });
    await service.execute(`UPDATE webhook_endpoints SET url = '${receiver.url}'`);
    service.pass(5 * 60_000); // past the lease of the round that found it so
    expect(new Set((await receiver.requests(1)).map(({ url }) => url))).toEqual(new Set(["/events"]));
    const { endpointId = "" } = endpoint ?? {};
    await service.execute("UPDATE webhook_endpoints SET types = '[\"USER_ERASED\"]'");
    expect((await failure(service.admin.getWebhookEndpoint({ endpointId }, root))).reason).toBe("NOT_FOUND");
  });

  test("makes a user's entries in the audit trail nobody else's", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    await enrollApp(service, "bob");
    await service.execute(
      "UPDATE audit_subjects SET user_id = 'x' WHERE user_id = 'ann'",
      "UPDATE audit_subjects SET user_id = 'ann' WHERE user_id = 'bob'",
      "UPDATE audit_subjects SET user_id = 'bob' WHERE user_id = 'x'",
    );
    const auditor = await adminOf(service, "mfa.audit.read");
    const { entries } = await service.admin.listConfigAuditLogs({}, auditor);
    expect(entries.map(({ userId }) => userId).filter((userId) => ["ann", "bob", "x"].includes(userId))).toEqual([]);
    expect(told(service, "audit_subjects")).toBe(true);
    // The next entry of either is made under a new pseudonym.
    await enrollApp(service, "cat");
    const cat = (await service.admin.listConfigAuditLogs({}, auditor)).entries.map(({ userId }) => userId);
    expect(cat).toContain("cat");
  });
});

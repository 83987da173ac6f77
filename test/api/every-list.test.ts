import { createHash } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { methods } from "../../src/compose/services.ts";
import { rpcPolicyOf } from "../../src/rpc/access/policy.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf } from "../support/actors/backend.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { switchOn } from "../support/actors/one-time-codes.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { encodingsOf } from "../support/engine/residue.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

type Page = { nextPageToken: string; [field: string]: unknown };
type Ask = (request: object, token: string) => Promise<Page>;

/** Phones ask for what waits for them by signatures, not by tokens: their list has tests of its own. */
const lists = methods
  .map((method): DescMethod => method)
  .filter((method) => method.name.startsWith("List") && !rpcPolicyOf(method).principals.has(Principal.DEVICE));
const named = (name: string) => lists.filter((method) => method.name === name);

/** Asks for a page of a list, in ann's name or about her, as somebody who may. */
async function pageOf(service: ServiceUnderTest, method: DescMethod, request: object = {}) {
  const { principals, scope } = rpcPolicyOf(method);
  const [rpcs, token] = principals.has(Principal.USER)
    ? [service.mfa, await service.user("ann", "aal2")]
    : principals.has(Principal.ADMIN)
      ? [service.admin, await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope })]
      : [service.internal, await service.backend(scope)];
  const needed: Record<string, object> = {
    ...{ ListUserFactors: { userId: "ann" }, ListUserTotpDevices: { userId: "ann" } },
    ListUserTrustedDevices: { userId: "ann" },
    ListScheduledTaskRuns: { taskName: "event_retention" },
  };
  const ask = (rpcs as unknown as Record<string, Ask>)[method.localName];
  if (!ask) throw new Error(`${method.name} is not served`);
  return ask({ ...needed[method.name], ...request }, token);
}

/** The fields by which the service names what it made. */
const OWN_IDS = [
  ...["approvalId", "decisionId", "endpointId", "entryId", "eventId", "factorId", "messageId", "passId", "policyId"],
  ...["ruleId", "syncedDeviceId", "trustedDeviceId"],
];
const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const rowsOf = (page: Page) => Object.values(page).find((value): value is object[] => Array.isArray(value)) ?? [];

const text = (value: unknown) =>
  JSON.stringify(value, (_, inner) => {
    if (typeof inner === "bigint") return `${inner}`;
    return inner instanceof Uint8Array ? Buffer.from(inner).toString("latin1") : inner;
  });

describe.each(engines)("every list on $name", (engine) => {
  test("takes 250 at most, and no page token that it did not give out", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    expect(lists.length).toBeGreaterThan(20);
    for (const method of lists) {
      await pageOf(service, method, { pageSize: 250 });
      const long = await failure(pageOf(service, method, { pageSize: 251 }));
      expect([method.name, long.reason]).toEqual([method.name, "INVALID_FIELD"]);
      const foreign = await failure(pageOf(service, method, { pageToken: "AAAA" }));
      expect([method.name, foreign.reason]).toEqual([method.name, "INVALID_PAGE_TOKEN"]);
    }
  });

  test("shows fifty where it is not said how many, and goes on behind them", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    const scope = "mfa.policy.write mfa.ip.write";
    for (let n = 0; n < 51; n += 1) {
      const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
      await service.admin.createIpWhitelistEntry({ cidr: `192.0.${n}.0/24`, label: `${n}` }, root);
      await service.admin.createEnforcementRule({ selector: { roles: [`${n}`] }, strength: 1, reportOnly: true }, root);
      await service.internal.evaluateMfa({ userId: `u${n}`, client: { ip: "203.0.113.7" } }, await backendOf(service));
      await enrollApp(service, `u${n}`);
    }
    for (const method of [
      ...["ListIpWhitelistEntries", "ListEnforcementRules", "ListRiskDecisions", "ListConfigAuditLogs", "ListEvents"],
    ].flatMap(named)) {
      const first = await pageOf(service, method);
      expect([method.name, rowsOf(first).length]).toEqual([method.name, 50]);
      const second = await pageOf(service, method, { pageToken: first.nextPageToken });
      const both = [first, second].flatMap(rowsOf).map(text);
      expect(new Set(both).size).toBe(both.length);
      expect(both.length).toBeGreaterThan(50);
      const many = rowsOf(await pageOf(service, method, { pageSize: 250 })).map(text);
      if (method.name !== "ListConfigAuditLogs") expect(many.slice(0, both.length)).toEqual(both);
    }
  });

  test("shows no secret of who and what is in it", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    const { app, codes } = await enrollCodes(service, "ann");
    const { trustToken } = await service.mfa.trustDevice({}, await service.user("ann", "aal2"));
    const scope = "mfa.settings.write";
    const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    const { secret } = await service.admin.createWebhookEndpoint({ url: "https://93.184.215.14/events" }, root);
    expect(secret).not.toBe("");
    for (const method of lists) {
      const shown = text(await pageOf(service, method));
      const secrets = [app.secret, ...codes, trustToken, secret].flatMap((one) => encodingsOf(one));
      const found = secrets.filter((one) => shown.includes(one.toString("latin1")));
      expect([method.name, found.length]).toEqual([method.name, 0]);
    }
  });

  test("names what is in it by UUIDv7s, each once", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    await enrollCodes(service, "ann");
    const ann = await service.user("ann", "aal2");
    const seen = new Map<string, unknown[]>();
    const see = (row: object) => {
      for (const [field, value] of Object.entries(row)) {
        if (OWN_IDS.includes(field)) seen.set(field, [...(seen.get(field) ?? []), value]);
      }
    };
    const blob = Buffer.from("sealed");
    await service.mfa.syncDevice({ blob, checksum: createHash("sha256").update(blob).digest() }, ann);
    const scope = "mfa.policy.write mfa.ip.write mfa.settings.write mfa.reset mfa.read";
    const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
    const reason = "lost phone";
    await service.admin.createIpWhitelistEntry({ cidr: "192.0.2.0/24", label: "office" }, root);
    await service.admin.createEnforcementRule({ selector: { roles: ["a"] }, strength: 1, reportOnly: true }, root);
    await service.admin.createWebhookEndpoint({ url: "https://93.184.215.14/events" }, root);
    await service.admin.updateRiskPolicy({ level: RiskLevel.LOW, description: "reviewed" }, root);
    await service.internal.evaluateMfa({ userId: "ann", client: { ip: "203.0.113.7" } }, await backendOf(service));
    see((await service.admin.issueTemporaryPass({ userId: "ann", reason }, root)).pass ?? {});
    await switchOn(service, { administration: { fourEyes: true } });
    await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, ann);
    await service.admin.resetUserMfa({ userId: "ann", reason }, root);
    await service.mfa.trustDevice({}, ann);
    for (const method of lists) {
      const rows = rowsOf(await pageOf(service, method));
      rows.forEach(see);
      const own = OWN_IDS.find((field) => rows.some((row) => field in row));
      const ids = rows.map((row) => (own ? (row as Record<string, unknown>)[own] : "")).filter((id) => id !== "");
      expect([method.name, new Set(ids).size]).toEqual([method.name, ids.length]);
    }
    expect([...seen.keys()].sort()).toEqual(OWN_IDS.toSorted());
    for (const [field, ids] of seen) {
      for (const id of ids.filter((one) => one !== "")) expect(id, field).toMatch(UUID_V7);
    }
  });
});

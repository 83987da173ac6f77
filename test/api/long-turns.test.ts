import { randomBytes, randomUUID } from "node:crypto";
import { create, type DescMethod, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { ImportFormat } from "../../gen/mfa/v1/import_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { methods } from "../../src/compose/services.ts";
import { rpcPolicyOf } from "../../src/rpc/access/policy.ts";
import { CallFailed } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { longestTurn, slowness } from "../support/engine/longest-turn.ts";
import { isFull } from "../support/engine/races.ts";
import { heavyTenant } from "../support/worlds/heavy-tenant.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

/** Rows of what has no cap. */
const MANY = isFull ? 100_000 : 3_000;
const USERS = ["h-0@example.com", "h-1@example.com", "h-2@example.com"];
/** Of the processor, on the machine that `slowness` compares with. */
const MOST_MS = 20;

type Heavy = Awaited<ReturnType<typeof heavyTenant>>[number];
type Fields = Record<string, unknown>;

/** Sends bytes, and takes bytes: what a client does with messages is no work of the service. */
function bareCaller(port: number) {
  const channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  onTestFinished(() => channel.close());
  const bytes = (buffer: Buffer) => buffer;
  return (method: DescMethod, request: Buffer, authorization: string): Promise<string> => {
    const metadata = new Metadata();
    metadata.set("authorization", authorization);
    const path = `/${method.parent.typeName}/${method.name}`;
    if (method.methodKind === "unary")
      return new Promise((resolve) => {
        channel.makeUnaryRequest(path, bytes, bytes, request, metadata, (error: ServiceError | null) => {
          if (!error) return resolve("OK");
          const { code, reason } = new CallFailed(error);
          resolve(reason || String(code));
        });
      });
    return new Promise((resolve) => {
      const stream = channel.makeServerStreamRequest(path, bytes, bytes, request, metadata, {
        deadline: Date.now() + 1_000,
      });
      stream.on("data", () => {});
      stream.on("error", (error: ServiceError) => resolve(error.code === 4 ? "OK" : String(error.code)));
      stream.on("end", () => resolve("OK"));
    });
  };
}

/** The ids that requests name, of the n-th user. */
async function idsOf(service: ServiceUnderTest, n: number, { app, credential, device, asked, trustToken }: Heavy) {
  const userId = USERS[n] ?? "";
  const token = await service.user(userId, "aal2");
  const { devices } = await service.mfa.listTrustedDevices({}, token);
  const { devices: synced } = await service.mfa.listSyncedDevices({}, token);
  const scope = "mfa.read";
  const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
  const { entries } = await service.admin.listIpWhitelistEntries({}, root);
  const { rules } = await service.admin.listEnforcementRules({}, root);
  const { endpoints } = await service.admin.listWebhookEndpoints({}, root);
  const { approvals } = await service.admin.listApprovals({}, root);
  return {
    ...{ userId, trustToken, deviceId: app.deviceId, factorId: app.deviceId, credentialId: credential.credentialId },
    ...{ challengeId: asked.challengeId, pushDeviceId: device.id() },
    ...{ trustedDeviceId: devices[n]?.trustedDeviceId, syncedDeviceId: synced[n]?.syncedDeviceId },
    ...{ entryId: entries[n]?.entryId, ruleId: rules[n]?.ruleId, endpointId: endpoints[n]?.endpointId },
    ...{ approvalId: approvals[n]?.approvalId, taskName: "event_retention", setId: "" },
    ...{ pageSize: 250, reason: "asked", version: 1n, code: "123456", client: { ip: "203.0.113.7" } },
    ...{
      confirmLastFactor: true,
      displayName: "Phone",
      level: RiskLevel.LOW,
      firstCode: "123456",
      secondCode: "654321",
    },
    cidr: `203.0.${n}.0/24`,
  } as Fields;
}

const apps = (userOf: (i: number) => string) =>
  Array.from({ length: 250 }, (_, i) => ({
    userId: userOf(i),
    kind: { case: "totp" as const, value: { secret: randomBytes(20) } },
  }));

const policy = { lowRisk: {}, mediumRisk: {}, highRisk: { block: true } };
/** What cannot be told from the name of a field; the key is the RPC, or the RPC and what is tried of it. */
const special: Record<string, (n: number, ids: Fields) => Fields> = {
  SetPrimaryFactor: (_, ids) => ({ factorId: ids.deviceId }),
  DeleteFactor: () => ({ factorType: FactorType.TOTP, confirmLastFactor: true }),
  UpdatePushDevice: (_, ids) => ({ deviceId: ids.pushDeviceId, displayName: "x", version: 2n }),
  RevokePushDevice: (_, ids) => ({ deviceId: ids.pushDeviceId, confirmLastFactor: true }),
  ResetUserFactor: (_, ids) => ({ userId: ids.userId, factorType: FactorType.TOTP, reason: "lost" }),
  CreatePushChallenge: () => ({}),
  TrustDevice: () => ({}),
  SyncDevice: (_, ids) => ({ ...ids, blob: Buffer.alloc(60_000, "x"), checksum: Buffer.alloc(32), syncedDeviceId: "" }),
  StartEmailEnrollment: (n) => ({ email: `x${n}@example.com` }),
  StartSmsEnrollment: (n) => ({ phoneNumber: `+491511555${1000 + n}` }),
  UpdateRiskPolicy: () => ({ level: RiskLevel.LOW, description: "x" }),
  UpdateMfaRiskPolicy: () => ({ policy }),
  EvaluateRisk: (_, ids) => ({ userId: ids.userId, client: ids.client, candidate: policy, dryRun: true }),
  ReplayRiskDecisions: () => ({ candidate: policy, maxDecisions: 10_000, maxExamples: 50 }),
  CreateEnforcementRule: () => ({ selector: { everyone: true }, strength: 1, reportOnly: true }),
  CreateWebhookEndpoint: (n) => ({ url: `https://93.184.215.14/x${n}` }),
  ListConfigAuditLogs: () => ({ pageSize: 250 }),
  ReplayWebhookEvents: (_, ids) => ({ endpointId: ids.endpointId }),
  UpdateTenantSettings: (n) => ({ totp: { issuer: `Shop ${n}` } }),
  EvaluateMfa: (_, ids) => ({ userId: ids.userId, client: ids.client, sessionId: "s", roles: ["staff"] }),
  CreateUserChallenge: (_, ids) => ({ userId: ids.userId, client: ids.client, terms: { purpose: 1 } }),
  CreateChallenge: () => ({ terms: { purpose: 2 } }),
  VerifyUserChallenge: (_, ids) => ({
    userId: ids.userId,
    challengeId: ids.challengeId,
    proof: { kind: { case: "totpCode", value: "123456" } },
    client: ids.client,
  }),
  VerifyChallenge: (_, ids) => ({
    challengeId: ids.challengeId,
    proof: { kind: { case: "totpCode", value: "123456" } },
  }),
  StepUp: () => ({ proof: { kind: { case: "totpCode", value: "123456" } } }),
  "ListPushChallenges of a state": () => ({ state: PushChallengeState.FAILED }),
  "ListUserPushChallenges of a state": () => ({ state: PushChallengeState.FAILED }),
  "ListUserPushChallenges of all": () => ({}),
  "ListRiskDecisions of a level": () => ({ level: RiskLevel.HIGH }),
  EraseUser: (_, ids) => ({ userId: ids.userId, erasureId: randomUUID() }),
  ImportFactors: (n) => ({
    source: { case: "factors", value: { factors: apps((i) => `i-${n}-${i}`) } },
    commit: true,
  }),
  "ImportFactors in place of others": (n) => ({
    source: { case: "factors", value: { factors: apps((i) => `m-${1 + n * 250 + i}`) } },
    commit: true,
    replace: true,
  }),
  "ImportFactors of key URIs": (n) => ({
    source: {
      case: "document",
      value: {
        format: ImportFormat.OTPAUTH_URIS,
        content: Buffer.from(
          Array.from(
            { length: 250 },
            (_, i) =>
              `k-${n}-${i}\totpauth://totp/Shop:u?secret=${"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ"}${"ABCDEFGH"[i % 8]}&issuer=Shop`,
          ).join("\n"),
        ),
      },
    },
    commit: true,
  }),
};

/** Reads first, then what adds, what tries, what changes and takes away, and erasure last. */
const order = [
  /^(Get|List|Check|Watch|Export|Evaluate|Replay)/,
  /^(Start|Create|Generate|Send|Sync|Import|Trust|Issue|Update)/,
  /^(?!.*(Delete|Disable|Revoke|Reset|Clear|Erase|CleanUp))/,
  /^(?!Reset|Erase)/,
  /^Reset/,
  /./,
];
const placeOf = (name: string) => order.findIndex((pattern) => pattern.test(name));

describe.each(engines)("on a heavy user and a heavy tenant on $name", (engine) => {
  test("no RPC keeps the event loop for more than 20 ms", { timeout: 900_000 }, async () => {
    const service = await serviceForTest(engine);
    const heavy = await heavyTenant(service, USERS, MANY);
    const call = bareCaller(service.port);
    const ids = await Promise.all(heavy.map((one, n) => idsOf(service, n, one)));
    const tries = [...new Set([...methods.map(({ name }) => name), ...Object.keys(special)])]
      .map((name) => ({ name, method: methods.find((one) => one.name === name.split(" ")[0]) as DescMethod }))
      .filter(
        ({ method }) =>
          !(rpcPolicyOf(method).principals.has(Principal.DEVICE) && rpcPolicyOf(method).principals.size === 1),
      )
      .sort((a, b) => placeOf(a.name) - placeOf(b.name));
    const found: string[] = [];
    for (const { name, method } of tries) {
      const { principals, scope } = rpcPolicyOf(method);
      let least = Number.POSITIVE_INFINITY;
      const outcomes: string[] = [];
      for (const n of [0, 1, 2]) {
        const own = ids[n] ?? {};
        const known = Object.fromEntries(
          method.input.fields.map(({ localName }) => [localName, own[localName]]).filter(([, v]) => v !== undefined),
        );
        const fields = special[name]?.(n, own) ?? known;
        const request = Buffer.from(toBinary(method.input, create(method.input, fields)));
        const token = principals.has(Principal.USER)
          ? await service.user(USERS[n] ?? "", "aal2")
          : principals.has(Principal.ADMIN)
            ? await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope })
            : await service.backend(scope);
        least = Math.min(
          least,
          await longestTurn(async () => outcomes.push(await call(method, request, `Bearer ${token}`))),
        );
      }
      // How slow the machine is differs with what else it does, so it is asked right behind what took long.
      if (least > MOST_MS && least > MOST_MS * slowness()) {
        found.push(`${least.toFixed(1)} ${name} ${outcomes.join(" ")}`);
      }
    }
    expect(found).toEqual([]);
  });
});

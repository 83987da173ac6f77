import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { AuthenticationStrength } from "../../../gen/mfa/v1/factor_pb.js";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import { type append, appendAll } from "../../../src/audit/trail.ts";
import { challenges } from "../../../src/challenges/challenges.table.ts";
import { readKeyFile } from "../../../src/crypto/key-file.ts";
import { openKeyring } from "../../../src/crypto/keyring.ts";
import { syncedDevices } from "../../../src/device-sync/synced-devices.table.ts";
import { enforcementRules } from "../../../src/enforcement/enforcement.table.ts";
import { events } from "../../../src/events/events.table.ts";
import { sequenceEvents } from "../../../src/events/sequencer.ts";
import { backupCodeSets } from "../../../src/factors/backup-codes/backup-codes.table.ts";
import { otpAddresses, otpChallenges, sendDecisions } from "../../../src/factors/otp/otp.table.ts";
import { pushChallenges, pushDevices } from "../../../src/factors/push/push.table.ts";
import { totpDevices } from "../../../src/factors/totp/totp.table.ts";
import { webauthnCeremonies, webauthnCredentials } from "../../../src/factors/webauthn/webauthn.table.ts";
import { approvals } from "../../../src/four-eyes/approvals.table.ts";
import { ipWhitelist } from "../../../src/ip-whitelist/ip-whitelist.table.ts";
import { outboxMessages } from "../../../src/outbox/outbox.table.ts";
import { attempts } from "../../../src/protection/attempts.table.ts";
import { riskDecisions } from "../../../src/risk/risk-decisions.table.ts";
import { taskRuns } from "../../../src/schedule/schedule.table.ts";
import { trustedDevices } from "../../../src/trusted-devices/trusted-devices.table.ts";
import { users } from "../../../src/users/users.table.ts";
import { webhookEndpoints } from "../../../src/webhooks/webhook-endpoints.table.ts";
import { adminOf } from "../actors/administrators.ts";
import { backendOf } from "../actors/backend.ts";
import { failure } from "../actors/grpc-client.ts";
import { phone } from "../actors/one-time-codes.ts";
import { copyId, copyRow, writeRows } from "../engine/copies.ts";
import type { ServiceUnderTest } from "./service.ts";
import { setTenant } from "./service.ts";
import { live, switchAllOn } from "./whole-user.ts";

const reason = "ticket 4711";
const ADMIN = "mfa.read mfa.reset mfa.settings.write mfa.policy.write mfa.ip.write mfa.schedule.write mfa.audit.read";

/** One of everything that a tenant has beside its users. */
async function furnish(service: ServiceUnderTest) {
  const root = await adminOf(service, ADMIN);
  await service.admin.createWebhookEndpoint({ url: "https://93.184.215.14/events" }, root);
  const rule = { selector: { roles: ["staff"] }, strength: AuthenticationStrength.ANY_FACTOR, reportOnly: true };
  await service.admin.createEnforcementRule(rule, root);
  await service.admin.createIpWhitelistEntry({ cidr: "192.0.2.0/24", label: "office" }, root);
  await service.admin.runScheduledTask({ taskName: "event_retention" }, root);
}

/** Many of what a tenant has: users with factors and locks, events, audit entries, decisions, messages. */
async function growTenant(service: ServiceUnderTest, user: string, many: number): Promise<void> {
  const own = ({ userId }: { userId: string }) => userId === user;
  const inUse = (row: { userId: string; state: string }) => own(row) && row.state === "active";
  const [another, bytes] = [(n: number) => ({ userId: `m-${n}` }), () => randomBytes(32)];
  const lockExpireTime = new Date(service.clock.now.getTime() + 3_600_000);
  await copyRow(service, users, many, another, own);
  await copyRow(service, totpDevices, many, (n) => ({ ...another(n), deviceId: copyId(n) }), inUse);
  await copyRow(
    service,
    otpAddresses,
    many,
    (n) => ({ ...another(n), factorId: copyId(n), addressDigest: bytes() }),
    inUse,
  );
  await copyRow(service, backupCodeSets, many, (n) => ({ ...another(n), setId: copyId(n), remaining: 1 }), own);
  await copyRow(
    service,
    webauthnCredentials,
    many,
    (n) => ({ ...another(n), credentialId: copyId(n), webauthnId: bytes() }),
    own,
  );
  const lock = { locks: 1, lockExpireTime, lockTime: service.clock.now };
  await copyRow(service, attempts, many, (n) => ({ ...another(n), ...lock, countId: copyId(n) }), own);
  await copyRow(service, riskDecisions, many, (n) => ({ decisionId: copyId(n) }), own);
  const denied = (n: number, series: string) => {
    const id = copyId(n, series);
    return { pushId: id, rowId: id, challengeId: id, state: "denied" as const };
  };
  await copyRow(service, pushChallenges, many, (n) => denied(n, "8000"), own);
  await copyRow(service, pushChallenges, many, (n) => ({ ...denied(n, "8001"), ...another(n) }), own);
  const sent = (n: number) => ({ messageId: copyId(n), idempotencyKey: copyId(n) });
  await copyRow(service, outboxMessages, many, sent, ({ state }) => state === "sent");
  await copyRow(service, sendDecisions, many, (n) => ({ decisionId: copyId(n) }), own);
  await copyRow(service, approvals, many, (n) => ({ approvalId: copyId(n) }));
  const run = {
    ...{ taskName: "event_retention", outcome: "SUCCEEDED", instance: "one", manual: false, count: 1, error: "" },
    ...{ scheduledTime: service.clock.now, startTime: service.clock.now, endTime: service.clock.now },
  };
  await writeRows(service, taskRuns, many, (n) => ({ ...run, runId: copyId(n), fence: 1000 + n }));
  await copyRow(service, ipWhitelist, 997, (n) => ({ entryId: copyId(n), cidr: `10.${n >> 8}.${n & 255}.0/24` }));
  await copyRow(service, enforcementRules, 97, (n) => ({ ruleId: copyId(n) }));
  await copyRow(service, webhookEndpoints, 7, (n) => ({ endpointId: copyId(n), paused: true }));
}

/** Everything of which a user can have many, as much as caps allow, and records without a cap. */
async function growUser(service: ServiceUnderTest, user: string, place: number, many: number): Promise<void> {
  const own = ({ userId }: { userId: string }) => userId === user;
  const inUse = (row: { userId: string; state: string }) => own(row) && row.state === "active";
  const [id, bytes] = [(n: number) => copyId(n, `9${place}00`), () => randomBytes(32)];
  await copyRow(service, totpDevices, 45, (n) => ({ deviceId: id(n), state: "revoked" as const }), inUse);
  await copyRow(service, webauthnCredentials, 48, (n) => ({ credentialId: id(n), webauthnId: bytes() }), own);
  await copyRow(service, webauthnCeremonies, 15, (n) => ({ ceremonyId: id(n), challengeDigest: bytes() }), own);
  await copyRow(service, trustedDevices, 47, (n) => ({ trustedDeviceId: id(n), seriesDigest: bytes() }), own);
  await copyRow(service, pushDevices, 18, (n) => ({ deviceId: id(n), pairingDigest: null }), inUse);
  await copyRow(service, challenges, 18, (n) => ({ challengeId: id(n) }), own);
  await copyRow(service, challenges, 2_000, (n) => ({ challengeId: id(100 + n), state: "cancelled" as const }), own);
  await copyRow(service, otpChallenges, 200, (n) => ({ challengeId: id(n), messageId: id(n) }), own);
  await copyRow(service, syncedDevices, 8, (n) => ({ syncedDeviceId: id(n) }), own);
  const failed = (row: { userId: string; type: string }) => own(row) && row.type === "PROOF_FAILED";
  await copyRow(service, events, many, (n) => ({ eventId: id(n), position: null }), failed);
}

/** An intact chain of audit entries about a user. */
async function growTrail(service: ServiceUnderTest, user: string, many: number): Promise<void> {
  const keyring = await openKeyring(await readKeyFile(join(service.dataDir, "keys.json")), service.store);
  const draft = {
    ...{ tenantId: "dev", userId: user, action: "totp.updated", targetType: "totp", targetId: "x", rpc: "" },
    ...{ actorType: Principal[Principal.USER], actorId: user, isByUser: true, isFromUser: true, ip: "203.0.113.7" },
    ...{ callId: "", outcome: "SUCCESS", reason: "", before: null, after: { displayName: "phone" } },
    createTime: service.clock.now,
  } as const satisfies Parameters<typeof append>[2];
  for (let done = 0; done < many; done += 500) {
    await service.store.write((tx) => appendAll(tx, keyring.mac, "dev", Array(500).fill(draft)));
  }
}

/**
 * A tenant with much of everything, and users at the caps of theirs: `many` says how much of what has no cap. Written into
 * the database as the service would have it.
 */
export async function heavyTenant(service: ServiceUnderTest, userIds: readonly string[], many: number) {
  await switchAllOn(service);
  await furnish(service);
  const found: Awaited<ReturnType<typeof live>>[] = [];
  for (const [n, user] of userIds.entries()) {
    found.push(await live(service, user, phone(n)));
    const blob = Buffer.alloc(1024, "x");
    const checksum = Buffer.from(await crypto.subtle.digest("SHA-256", blob));
    await service.mfa.syncDevice({ blob, checksum }, await service.user(user, "aal2"));
    await service.internal.evaluateMfa({ userId: user, client: { ip: "203.0.113.7" } }, await backendOf(service));
  }
  const caps = { totp: { maxDevices: 20 }, webauthn: { maxCredentials: 50 } };
  await setTenant(service, {
    ...caps,
    push: { enabled: true, maxDevices: 20 },
    trustedDevices: { enabled: true, maxDevices: 50 },
    administration: { fourEyes: true },
  });
  await service.admin.resetUserMfa({ userId: userIds[0] ?? "", reason }, await adminOf(service));
  const { metadata } = await failure(setTenant(service, { administration: { fourEyes: false } }));
  const eve = await adminOf(service, "mfa.reset mfa.settings.write", { subject: "eve" });
  await service.admin.grantApproval({ approvalId: metadata.approval_id ?? "", reason }, eve);
  for (const [n, user] of userIds.entries()) await growUser(service, user, n, many / userIds.length);
  await growTenant(service, userIds[0] ?? "", many);
  await growTrail(service, userIds[0] ?? "", many);
  await sequenceEvents(service.store, "dev");
  return found;
}

import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { DescMethod, DescMethodServerStreaming } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { ChallengePurpose } from "../../gen/mfa/v1/challenge_pb.js";
import { EventType } from "../../gen/mfa/v1/event_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { eventRepository } from "../../src/events/events.repository.ts";
import { rpcPolicyOf } from "../../src/rpc/access/policy.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, createFor } from "../support/actors/backend.ts";
import { CallFailed, drain, failure, streamer, tally } from "../support/actors/grpc-client.ts";
import { inboxOf, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { trustAndSync } from "../support/actors/trusted-clients.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { bytesOf, encodingsOf } from "../support/engine/residue.ts";
import { everyRow } from "../support/engine/rows.ts";
import { proofEvent } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";
import { live, switchAllOn } from "../support/worlds/whole-user.ts";

/** Long enough to be found wherever it is left. */
const ANN = "ann.forgetmenot.4711@example.com";
const AFTERMATH = 60_000;
const { NO_SIDE_EFFECTS } = MethodOptions_IdempotencyLevel;
const reason = "ticket 4711";

const erase = async (service: ServiceUnderTest, userId = ANN, erasureId = randomUUID()) => {
  const { receipt } = await service.internal.eraseUser({ userId, erasureId }, await service.backend("mfa.erase"));
  if (!receipt) throw new Error("no receipt");
  return receipt;
};

const counts = (receipt: { removed: readonly { kind: string; count: bigint }[] }) =>
  Object.fromEntries(receipt.removed.map(({ kind, count }) => [kind, Number(count)]));

/** Calls an RPC of users; of a stream it takes the first message. */
const callOnce = async (
  service: ServiceUnderTest,
  method: DescMethod,
  request: Record<string, unknown>,
  token: string,
) => {
  if (method.methodKind !== "unary")
    return streamer(service.port)(method as DescMethodServerStreaming, request, token).next();
  return (service.mfa as unknown as Record<string, Unary>)[method.localName]?.(request, token);
};
type Unary = (request: object, token: string) => Promise<unknown>;

const mentions = async (service: ServiceUnderTest, text: string) =>
  Object.entries(await everyRow(service.store)).flatMap(([name, rows]) =>
    rows.some((row) => row.includes(text)) ? [name] : [],
  );

describe.each(engines)("erasing a user on $name", (engine: EngineUnderTest) => {
  test("leaves no row, no name and no byte, and a receipt with what went, by table", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    const bob = await enrollApp(service, "bob");
    await switchAllOn(service);
    const { app, trustToken, codes } = await live(service, ANN);
    expect((await mentions(service, ANN)).length).toBeGreaterThan(12);

    const receipt = await erase(service);
    const removed = counts(receipt);
    expect(removed).toMatchObject({
      ...{ users: 1, totp_devices: 2, webauthn_credentials: 1, push_devices: 1, otp_addresses: 2 },
      ...{ backup_codes: 10, backup_code_sets: 1, temporary_passes: 1, trusted_devices: 1, attempts: 1 },
    });
    for (const table of ["events", "outbox_messages", "otp_challenges", "challenges", "budgets", "send_decisions"]) {
      expect(removed[table], table).toBeGreaterThan(0);
    }
    expect(receipt).toMatchObject({ erasedBefore: false, userDigest: expect.stringMatching(/^[\w-]{40,}$/) });
    expect(receipt.pseudonymisedAuditCount).toBeGreaterThan(10n);

    expect(await mentions(service, ANN)).toEqual([]);
    const masked = phone().slice(-4);
    expect(await mentions(service, masked)).toEqual([]);
    if (engine.name === "sqlite") {
      const bytes = await bytesOf(service);
      const secrets = [ANN, app.secret, trustToken, phone(), ...codes];
      for (const secret of secrets) {
        expect(encodingsOf(secret).filter((encoded) => bytes.includes(encoded))).toEqual([]);
      }
    }
    expect(await readFile(join(service.dataDir, "erasures.jsonl"), "utf8")).not.toContain(ANN);
    expect(service.log.join()).not.toContain(ANN);
    expect((await service.mfa.getMfaStatus({}, bob.token)).status?.enrolled).toBe(true);
  });

  test("the chain of the trail still verifies, and its entries name nobody", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, ANN);
    await erase(service);
    const auditor = await adminOf(service, "mfa.audit.read");
    expect(await service.admin.verifyAuditChain({}, auditor)).toMatchObject({ intact: true });
    const { entries } = await service.admin.listConfigAuditLogs({}, auditor);
    const erased = entries.find(({ action }) => action === "user.erased");
    expect(erased).toMatchObject({ operatorId: "shop", rpc: "mfa.v1.InternalMfaService/EraseUser" });
    expect(erased?.userId).toMatch(/^[\w-]{20,}$/);
    expect(entries.filter(({ action }) => action.startsWith("totp.")).map(({ userId }) => userId)).toEqual([
      erased?.userId,
      erased?.userId,
    ]);
    const byName = await service.admin.listConfigAuditLogs({ filter: { userId: ANN } }, auditor);
    expect(byName.entries).toEqual([]);
    const exported = await drain(streamer(service.port)(AdminMfaService.method.exportAudit, {}, auditor));
    expect(JSON.stringify(exported, (_, value) => String(value))).not.toContain(ANN);
  });

  test("goes on in parts where there is more of a user than one unit deletes, and counts all of it", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, ANN);
    for (let from = 0; from < 6_000; from += 1_000) {
      await service.store.write(async (tx) => {
        for (let n = from; n < from + 1_000; n += 1) {
          await eventRepository(tx).insert(proofEvent(n, { userId: ANN, createTime: service.clock.now }));
        }
      });
    }
    const counted = counts(await erase(service));
    expect(counted).toMatchObject({ users: 1, totp_devices: 1 });
    expect(counted.events).toBeGreaterThan(6_000);
    expect(await mentions(service, ANN)).toEqual([]);
  });

  test("repeated under its id it answers the same receipt; under another it finds nothing and says so", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, ANN);
    const id = randomUUID();
    const first = await erase(service, ANN, id);
    service.pass(5_000);
    expect(await erase(service, ANN, id)).toEqual(first);
    const second = await erase(service);
    expect(second).toMatchObject({ erasedBefore: true, removed: [], pseudonymisedAuditCount: 0n });
    expect(second.userDigest).toBe(first.userDigest);
    expect(second.receiptId).not.toBe(first.receiptId);
    const auditor = await adminOf(service, "mfa.audit.read");
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { action: "user.erased" } }, auditor);
    expect(entries.length).toBe(2);
    const types = [EventType.USER_ERASED];
    const { events } = await service.internal.listEvents(
      { filter: { types } },
      await service.backend("mfa.events.read"),
    );
    expect(events.map(({ receiptId }) => receiptId)).toEqual([first.receiptId, second.receiptId]);
    expect(events.every(({ userId, factorId }) => userId === "" && factorId === "")).toBe(true);
  });

  test("a receipt names nobody: its digest is keyed, so that another service's of the same user is another", async () => {
    const digests = new Set<string>();
    for (let n = 0; n < 2; n += 1) {
      const service = await serviceForTest(engine);
      await enrollApp(service, ANN);
      const receipt = await erase(service);
      expect(receipt.receiptId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
      expect(JSON.stringify(receipt, (_, value) => (typeof value === "bigint" ? `${value}` : value))).not.toContain(
        ANN,
      );
      digests.add(receipt.userDigest);
    }
    expect(digests.size).toBe(2);
  });

  test("of ten at once under one id all answer the same receipt, and one erases", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, ANN);
    const id = randomUUID();
    const receipts = await Promise.all(Array.from({ length: 10 }, () => erase(service, ANN, id)));
    expect(new Set(receipts.map(({ receiptId }) => receiptId)).size).toBe(1);
    expect(counts(receipts[0] ?? { removed: [] })).toMatchObject({ totp_devices: 1, users: 1 });
    const auditor = await adminOf(service, "mfa.audit.read");
    const { entries } = await service.admin.listConfigAuditLogs({ filter: { action: "user.erased" } }, auditor);
    expect(entries.length).toBe(1);
  });

  test("of a user that is not known it says that there was nothing; another tenant's stays", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, ANN);
    const token = await service.mint({ audience: "mfa-internal", subject: "s", scope: "mfa.erase", tenant: "other" });
    const { receipt } = await service.internal.eraseUser({ userId: ANN, erasureId: randomUUID() }, token);
    expect(receipt).toMatchObject({ removed: [], pseudonymisedAuditCount: 0n, erasedBefore: false });
    expect((await service.mfa.getMfaStatus({}, await service.user(ANN))).status?.enrolled).toBe(true);
    expect(counts(await erase(service, "nobody"))).toEqual({});
    expect(await mentions(service, "nobody")).toEqual([]);
  });

  test("it takes the scope and an id", async () => {
    const service = await serviceForTest(engine);
    const request = { userId: ANN, erasureId: randomUUID() };
    const wrong = await service.backend("mfa.verify mfa.factors.write");
    expect(await failure(service.internal.eraseUser(request, wrong))).toMatchObject({ reason: "ACCESS_DENIED" });
    const right = await service.backend("mfa.erase");
    for (const bad of [{ userId: ANN }, { erasureId: request.erasureId }, { ...request, erasureId: "1" }]) {
      expect(await failure(service.internal.eraseUser(bad, right))).toMatchObject({ reason: "INVALID_FIELD" });
    }
  });

  test("a token from before it is worth nothing, what backends began before it is refused, and who comes anew is new", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollApp(service, ANN);
    const undated = await service.mint({ audience: "mfa", subject: ANN, authTime: null });
    await erase(service);
    const start = (using: string) => service.mfa.startTotpEnrollment({}, using);
    expect(await failure(start(token))).toMatchObject({ reason: "INVALID_CREDENTIAL" });
    const backend = await backendOf(service);
    const early = await failure(createFor(service, ANN, backend));
    expect(early).toMatchObject({ reason: "CONFLICT", retryAfterMs: AFTERMATH });
    expect(await mentions(service, ANN)).toEqual([]);
    service.pass(AFTERMATH);
    // The same token, an hour old at most, still speaks of somebody who is no more.
    expect(await failure(start(token))).toMatchObject({ reason: "INVALID_CREDENTIAL" });
    const type = service.mfa.verifyTotpCode({ code: "123456" }, undated);
    expect(await failure(type)).toMatchObject({ reason: "INVALID_CREDENTIAL" });
    await start(await service.user(ANN));
    const { status } = await service.mfa.getMfaStatus({}, await service.user(ANN));
    expect(status).toMatchObject({ enrolled: false, mfaEpoch: 0n });
    expect(await erase(service)).toMatchObject({ erasedBefore: true });
  });

  test("a token from before it reads nothing of who comes anew under the same id, by whichever RPC", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user(ANN, "aal2");
    await enrollApp(service, ANN, "aal2");
    await erase(service);
    service.pass(AFTERMATH);
    await switchAllOn(service);
    await live(service, ANN);
    const later = await service.user(ANN, "aal2");
    const asked = { terms: { purpose: ChallengePurpose.STEP_UP, audience: "shop" } };
    const { challenge } = await service.mfa.createChallenge(asked, later);
    const challengeId = challenge?.challengeId ?? "";
    const id = "01900000-0000-7000-8000-000000000000";
    const ids = {
      challengeId,
      pushChallengeId: challengeId,
      deviceId: id,
      credentialId: id,
      trustedDeviceId: id,
      syncedDeviceId: id,
    };
    const reads = MfaService.methods.filter(
      (method) => method.idempotency === NO_SIDE_EFFECTS && rpcPolicyOf(method).principals.has(Principal.USER),
    );
    expect(reads.length).toBeGreaterThan(15);
    for (const method of reads) {
      const named = Object.entries(ids).filter(([name]) => method.input.field[name] !== undefined);
      const request = Object.fromEntries(named);
      const read = (using: string) => callOnce(service, method, request, using);
      expect([method.name, (await failure(read(token))).reason]).toEqual([method.name, "INVALID_CREDENTIAL"]);
      const now = await read(later).catch((error: CallFailed) => error.reason);
      expect([method.name, now]).not.toEqual([method.name, "INVALID_CREDENTIAL"]);
    }
  });

  test("messages that wait are dropped, a notice that is being resolved too", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, await service.user(ANN));
    expect((await inboxOf(service, ANN)).length).toBe(1);
    await erase(service);
    expect(await inboxOf(service)).toEqual([]);
  });

  test("nothing that runs beside it brings anything of the user back", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await trustAndSync(service, "warm-up");
    for (let round = 0; round < 5; round++) {
      const user = `${round}.${ANN}`;
      await enrollApp(service, user);
      const token = await service.user(user, "aal2");
      const backend = await backendOf(service);
      const calls = () => [
        service.mfa.startTotpEnrollment({}, token),
        service.mfa.verifyTotpCode({ code: "123456" }, token),
        service.mfa.startSmsEnrollment({ phoneNumber: phone(round) }, token),
        service.mfa.generateBackupCodes({}, token),
        service.mfa.syncDevice({ blob: Buffer.from("x"), checksum: Buffer.alloc(32) }, token),
        service.mfa.trustDevice({}, token),
        createFor(service, user, backend),
        service.internal.revokeUserTrust({ userId: user, reason }, backend),
        adminOf(service).then((root) => service.admin.resetUserMfa({ userId: user, reason }, root)),
        adminOf(service).then((root) => service.admin.issueTemporaryPass({ userId: user, reason }, root)),
      ];
      const before = Promise.allSettled(Array.from({ length: 3 }, calls).flat());
      const erased = erase(service, user);
      const beside = Promise.allSettled(Array.from({ length: 3 }, calls).flat());
      await Promise.all([erased, before, beside]);
      await Promise.allSettled(calls());
      expect(await mentions(service, user), `round ${round}`).toEqual([]);
      const late = await tally(calls());
      expect(late.OK ?? 0).toBe(0);
    }
  });

  test("a waiting approval goes with its user", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { administration: { fourEyes: true } });
    const { outcome } = await service.admin.resetUserMfa({ userId: ANN, reason }, await adminOf(service));
    const approvalId = outcome.case === "approval" ? outcome.value.approvalId : "";
    await erase(service);
    const grant = service.admin.grantApproval(
      { approvalId, reason },
      await adminOf(service, "mfa.reset", { subject: "eve" }),
    );
    expect(await failure(grant)).toMatchObject({ reason: "NOT_FOUND" });
    expect(await mentions(service, ANN)).toEqual([]);
  });

  test("ends the streams that show something of the user", async () => {
    const service = await serviceForTest(engine);
    const backend = await backendOf(service);
    await enrollApp(service, ANN);
    const challengeId = await createFor(service, ANN, backend);
    const watch = { userId: ANN, challengeId };
    const stream = streamer(service.port)(InternalMfaService.method.watchUserChallenge, watch, backend);
    await stream.next();
    await erase(service);
    const end = await stream.next().catch((error: unknown) => error);
    expect(end === undefined || end instanceof CallFailed).toBe(true);
  });
});

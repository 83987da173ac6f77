import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { PushChallengeState, PushDenyReason } from "../../gen/mfa/v1/push_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { backendOf, redeem } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { askedPhone, askPhone, pairedPhone, pairPhone, stateOf } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe.each(engines)("the history of approvals on $name", (engine) => {
  const paired = () => pairedPhone(engine);

  test("history and statistics tell outcomes, reasons and how long people took", async () => {
    const { service, phone, admin } = await paired();
    const answer = async (how: "approve" | "deny" | "ignore", seconds: number) => {
      const page = await askPhone(service, "ann");
      const [waiting] = await phone.pending();
      service.pass(seconds * 1000);
      if (waiting && how === "approve") await phone.approve(waiting, page.number);
      if (waiting && how === "deny") await phone.deny(waiting, "NOT_ME");
      service.pass(3 * MINUTE);
      return page.pushChallengeId;
    };
    const ids = [
      await answer("approve", 5),
      await answer("deny", 10),
      await answer("approve", 20),
      await answer("ignore", 0),
    ];
    const user = await service.user("ann", "aal2");
    const first = await service.mfa.listPushChallenges({ pageSize: 3 }, user); // GET /mfa/push/history
    const rest = await service.mfa.listPushChallenges({ pageSize: 3, pageToken: first.nextPageToken }, user);
    expect([...first.challenges, ...rest.challenges].map(({ pushChallengeId }) => pushChallengeId)).toEqual(
      ids.toReversed(),
    );
    const denied = await service.mfa.listPushChallenges({ state: PushChallengeState.DENIED }, user);
    expect(denied.challenges.map(({ pushChallengeId }) => pushChallengeId)).toEqual([ids[1]]);
    const expired = await service.mfa.listPushChallenges({ state: PushChallengeState.EXPIRED }, user);
    // Approvals that nobody redeemed have run out too.
    expect(expired.challenges.map(({ pushChallengeId }) => pushChallengeId)).toEqual([ids[3], ids[2], ids[0]]);

    const stats = await service.admin.getPushStats({}, admin); // GET /admin/mfa/push/stats
    expect(stats).toMatchObject({ total: 4n, approved: 2n, denied: 1n, expired: 1n, pending: 0n, failed: 0n });
    expect(stats.denyReasons).toMatchObject([{ denyReason: PushDenyReason.NOT_ME, count: 1n }]);
    expect(stats.medianAnswerTime?.seconds).toBe(10n);
    expect(stats.endTime && timestampDate(stats.endTime)).toEqual(service.clock.now);
    const ofTenant = await service.admin.listUserPushChallenges({ userId: "ann", pageSize: 2 }, admin);
    expect(ofTenant.challenges.map(({ userId }) => userId)).toEqual(["ann", "ann"]);
    expect(ofTenant.nextPageToken).not.toBe("");
    const deniedThere = await service.admin.listUserPushChallenges({ state: PushChallengeState.DENIED }, admin);
    expect(deniedThere.challenges.map(({ challenge }) => challenge?.pushChallengeId)).toEqual([ids[1]]);
    const acme = await service.mint({
      audience: "mfa-admin",
      subject: "r",
      acr: "aal2",
      scope: "mfa.read",
      tenant: "acme",
    });
    expect((await service.admin.listUserPushChallenges({}, acme)).challenges).toEqual([]);
    expect((await service.admin.getPushStats({}, acme)).total).toBe(0n);
    const long = { startTime: { seconds: 1n } };
    expect((await failure(service.admin.getPushStats(long, admin))).reason).toBe("INVALID_FIELD");
  });

  test("a request says who answered it and when, once it is answered, and stands for two minutes", async () => {
    const { service, phone, page, waiting } = await askedPhone(engine);
    expect(page.pushChallengeId).toMatch(/^[\w-]{22}$/);
    const { challenge } = page;
    expect([challenge?.decidedDeviceId, challenge?.decideTime]).toEqual(["", undefined]);
    const { expireTime } = challenge ?? {};
    expect(expireTime && timestampDate(expireTime)).toEqual(new Date(service.clock.now.getTime() + 2 * MINUTE));
    expect(challenge?.retryAfter?.seconds).toBeGreaterThan(0n);
    const pending = await phone.ask(MfaService.method.listPendingPushChallenges, {});
    expect(pending.retryAfter?.seconds).toBeGreaterThan(0n);
    expect(waiting.actionDigest).toHaveLength(0);
    service.pass(3_000);
    await phone.approve(waiting, page.number);
    const { challenge: answered } = await service.mfa.getPushChallenge(
      { pushChallengeId: page.pushChallengeId },
      page.token,
    );
    expect(answered?.decidedDeviceId).toBe(phone.id());
    expect(answered?.decideTime && timestampDate(answered.decideTime)).toEqual(service.clock.now);
  });

  test("a signature of P-256 is taken as r and s too", async () => {
    const { service, phone, page, waiting } = await askedPhone(engine);
    const der = Buffer.from(phone.answer(waiting, page.number, "approve"));
    const half = (at: number) => der.subarray(at + 2, at + 2 + (der[at + 1] ?? 0));
    const [r, s] = [half(2), half(4 + half(2).length)];
    const fixed = (part: Buffer) => Buffer.concat([Buffer.alloc(32), part]).subarray(-32);
    const signature = Buffer.concat([fixed(r), fixed(s)]);
    const approval = { pushChallengeId: page.pushChallengeId, number: page.number, signature };
    await phone.ask(MfaService.method.approvePushChallenge, approval);
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.APPROVED);
  });

  test("an approval for nobody named is a proof, and no backend redeems it", async () => {
    const { service, phone, page, waiting } = await askedPhone(engine);
    await phone.approve(waiting, page.number);
    const asked = { challengeId: page.challengeId, sessionId: "web" };
    expect((await failure(redeem(service, await backendOf(service), asked))).reason).toBe("NOT_FOUND");
    const terms = { purpose: ChallengePurpose.LOG_IN, audience: "shop" };
    const { challenge } = await service.mfa.createChallenge({ terms }, page.token);
    const proof = { kind: { case: "push" as const, value: page.pushChallengeId } };
    const proving = { challengeId: challenge?.challengeId ?? "", proof };
    expect((await service.mfa.verifyChallenge(proving, page.token)).challenge?.state).toBe(ChallengeState.PROVEN);
  });

  test("administrators read a time's requests, and statistics of the last day unless they say more", async () => {
    const { service } = await pairedPhone(engine);
    await pairPhone(service, "bob");
    const begin = service.clock.now;
    const old = await askPhone(service, "ann");
    service.pass(HOUR);
    const [middle, cut] = [await askPhone(service, "bob"), service.clock.now];
    service.pass(HOUR);
    const fresh = await askPhone(service, "ann");
    service.pass(1);
    const idsOf = async (request: object) =>
      (await service.admin.listUserPushChallenges(request, await adminOf(service, "mfa.read"))).challenges.map(
        (one) => one.challenge?.pushChallengeId,
      );
    const [startTime, endTime] = [timestampFromDate(cut), timestampFromDate(cut)];
    expect(await idsOf({})).toEqual([fresh, middle, old].map(({ pushChallengeId }) => pushChallengeId));
    expect(await idsOf({ userId: "bob" })).toEqual([middle.pushChallengeId]);
    expect(await idsOf({ startTime })).toEqual([fresh.pushChallengeId, middle.pushChallengeId]);
    expect(await idsOf({ endTime })).toEqual([old.pushChallengeId]);
    service.pass(22.5 * HOUR);
    const root = await adminOf(service, "mfa.read");
    expect((await service.admin.getPushStats({}, root)).total).toBe(2n);
    expect((await service.admin.getPushStats({ startTime: timestampFromDate(begin) }, root)).total).toBe(3n);
    const window = (days: number, more: number) => ({
      startTime: timestampFromDate(begin),
      endTime: timestampFromDate(new Date(begin.getTime() + days * 24 * HOUR + more)),
    });
    expect((await service.admin.getPushStats(window(90, 0), root)).total).toBe(3n);
    expect((await failure(service.admin.getPushStats(window(90, 1), root))).reason).toBe("INVALID_FIELD");
  });

  test("what its page took back stays so, and what a lock ended is told until its time is over", async () => {
    const { service, phone, admin } = await paired();
    const user = await service.user("ann", "aal2");
    const listed = async (state: PushChallengeState) => {
      const { challenges } = await service.mfa.listPushChallenges({ state }, user);
      const ofTenant = await service.admin.listUserPushChallenges({ userId: "ann", state }, admin);
      expect(ofTenant.challenges.map((one) => one.challenge)).toEqual(challenges);
      return challenges.map(({ pushChallengeId }) => pushChallengeId);
    };
    const { CANCELLED, EXPIRED, PENDING } = PushChallengeState;
    const stats = async () => {
      const { total, cancelled, expired, pending } = await service.admin.getPushStats({}, admin);
      return { total, cancelled, expired, pending };
    };
    const { challengeId, pushChallengeId: takenBack, token } = await askPhone(service, "ann");
    await service.mfa.cancelChallenge({ challengeId }, token);
    service.pass(1);
    expect(await listed(CANCELLED)).toEqual([takenBack]);
    expect(await stats()).toEqual({ total: 1n, cancelled: 1n, expired: 0n, pending: 0n });

    const locked = await askPhone(service, "ann");
    expect(await phone.pending()).toHaveLength(1);
    for (let n = 0; n < 5; n++) {
      await failure(
        service.internal.verifyUserTotpCode(
          { userId: "ann", code: "000000", client: {} },
          await service.backend("mfa.verify"),
        ),
      );
    }
    expect(await listed(CANCELLED)).toEqual([locked.pushChallengeId, takenBack]);
    expect([await listed(PENDING), await phone.pending()]).toEqual([[], []]);
    service.pass(3 * MINUTE);
    expect(await listed(CANCELLED)).toEqual([takenBack]);
    expect(await listed(EXPIRED)).toEqual([locked.pushChallengeId]);
    expect(await stats()).toEqual({ total: 2n, cancelled: 1n, expired: 1n, pending: 0n });
  });

  test("what the limits refused is counted by the hour", async () => {
    const { service, admin } = await paired();
    await askPhone(service, "ann");
    for (let n = 0; n < 3; n++) expect((await failure(askPhone(service, "ann"))).reason).toBe("RATE_LIMITED");
    service.pass(1);
    expect(await service.admin.getPushStats({}, admin)).toMatchObject({ total: 1n, blocked: 3n });
    // Counted by the full hour, of which a window that begins within it has none.
    const at = (ms: number) =>
      timestampFromDate(new Date(service.clock.now.getTime() - (service.clock.now.getTime() % HOUR) + ms));
    const blocked = async (from: number, to: number) =>
      (await service.admin.getPushStats({ startTime: at(from), endTime: at(to) }, admin)).blocked;
    expect(await blocked(0, HOUR)).toBe(3n);
    expect(await blocked(1, HOUR)).toBe(0n);
    expect(await blocked(-HOUR, 0)).toBe(0n);
  });
});

import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { PushChallengeState, PushDenyReason } from "../../gen/mfa/v1/push_pb.js";
import { failure } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { askPhone, pairedPhone } from "../support/push.ts";

const MINUTE = 60_000;

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
      return page.challengeId;
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
    expect([...first.challenges, ...rest.challenges].map(({ challengeId }) => challengeId)).toEqual(ids.toReversed());
    const denied = await service.mfa.listPushChallenges({ state: PushChallengeState.DENIED }, user);
    expect(denied.challenges.map(({ challengeId }) => challengeId)).toEqual([ids[1]]);
    const expired = await service.mfa.listPushChallenges({ state: PushChallengeState.EXPIRED }, user);
    // Approvals that nobody redeemed have run out too.
    expect(expired.challenges.map(({ challengeId }) => challengeId)).toEqual([ids[3], ids[2], ids[0]]);

    const stats = await service.admin.getPushStats({}, admin); // GET /admin/mfa/push/stats
    expect(stats).toMatchObject({ total: 4n, approved: 2n, denied: 1n, expired: 1n, pending: 0n, failed: 0n });
    expect(stats.denyReasons).toMatchObject([{ denyReason: PushDenyReason.NOT_ME, count: 1n }]);
    expect(stats.medianAnswerTime?.seconds).toBe(10n);
    expect(stats.endTime && timestampDate(stats.endTime)).toEqual(service.clock.now);
    const ofTenant = await service.admin.listUserPushChallenges({ userId: "ann", pageSize: 2 }, admin);
    expect(ofTenant.challenges.map(({ userId }) => userId)).toEqual(["ann", "ann"]);
    expect(ofTenant.nextPageToken).not.toBe("");
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

  test("what its page took back stays so, and what a lock ended is told until its time is over", async () => {
    const { service, phone, admin } = await paired();
    const user = await service.user("ann", "aal2");
    const listed = async (state: PushChallengeState) => {
      const { challenges } = await service.mfa.listPushChallenges({ state }, user);
      const ofTenant = await service.admin.listUserPushChallenges({ userId: "ann", state }, admin);
      expect(ofTenant.challenges.map((one) => one.challenge)).toEqual(challenges);
      return challenges.map(({ challengeId }) => challengeId);
    };
    const { CANCELLED, EXPIRED, PENDING } = PushChallengeState;
    const stats = async () => {
      const { total, cancelled, expired, pending } = await service.admin.getPushStats({}, admin);
      return { total, cancelled, expired, pending };
    };
    const { challengeId, token } = await askPhone(service, "ann");
    await service.mfa.cancelChallenge({ challengeId }, token);
    service.pass(1);
    expect(await listed(CANCELLED)).toEqual([challengeId]);
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
    expect(await listed(CANCELLED)).toEqual([locked.challengeId, challengeId]);
    expect([await listed(PENDING), await phone.pending()]).toEqual([[], []]);
    service.pass(3 * MINUTE);
    expect(await listed(CANCELLED)).toEqual([challengeId]);
    expect(await listed(EXPIRED)).toEqual([locked.challengeId]);
    expect(await stats()).toEqual({ total: 2n, cancelled: 1n, expired: 1n, pending: 0n });
  });

  test("what the limits refused is counted by the hour", async () => {
    const { service, admin } = await paired();
    await askPhone(service, "ann");
    for (let n = 0; n < 3; n++) expect((await failure(askPhone(service, "ann"))).reason).toBe("RATE_LIMITED");
    service.pass(1);
    expect(await service.admin.getPushStats({}, admin)).toMatchObject({ total: 1n, blocked: 3n });
  });
});

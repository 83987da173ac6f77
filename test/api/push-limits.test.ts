import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { failure } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { askedPhone, askPhone, pairedPhone, reasonOf, stateOf, switchPushOn, wrongNumber } from "../support/push.ts";

const MINUTE = 60_000;

describe.each(engines)("limits of approvals on $name", (engine) => {
  const paired = () => pairedPhone(engine);
  const asked = (fields: object = {}) => askedPhone(engine, fields);

  test("three wrong numbers end a request, and count towards the lock of all codes", async () => {
    const { service, phone, page, waiting } = await asked();
    const wrong = wrongNumber(page.number);
    for (let n = 0; n < 3; n++) expect(await reasonOf(phone.approve(waiting, wrong))).toBe("CODE_REJECTED");
    expect(await stateOf(service, page.challengeId, page.token)).toBe(PushChallengeState.FAILED);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("WRONG_STATE");
    const { challenge } = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(challenge?.state).toBe(ChallengeState.CANCELLED);

    service.pass(1_000);
    const second = await askPhone(service, "ann");
    const [again] = await phone.pending();
    if (!again) throw new Error("nothing waits");
    for (let n = 0; n < 2; n++) {
      expect(await reasonOf(phone.approve(again, wrongNumber(second.number)))).toBe("CODE_REJECTED");
    }
    expect(await reasonOf(phone.approve(again, second.number))).toMatch(/LOCKED|CHALLENGE_EXPIRED/);
    expect(await stateOf(service, second.challengeId, second.token)).toBe(PushChallengeState.CANCELLED);
  });

  test("a report locks the user's codes where the tenant wants that", async () => {
    const { service, phone, waiting, page } = await asked();
    await switchPushOn(service, { lockWhenReported: true });
    service.pass(2_000);
    await phone.deny(waiting, "NOT_ME");
    const status = await service.mfa.getMfaStatus({}, page.token);
    expect(status.status?.lock?.codesLocked).toBe(true);
    service.pass(20 * MINUTE);
    expect((await failure(askPhone(service, "ann"))).reason).toBe("LOCKED");
    service.pass(41 * MINUTE);
    expect((await askPhone(service, "ann")).number).toMatch(/^\d\d$/);
  });

  test("nobody is bombed: one request at a time, five in ten minutes, none for a quarter after two denials", async () => {
    const { service, phone, admin } = await paired();
    const limited = async () => {
      const { reason, retryAfterMs } = await failure(askPhone(service, "ann"));
      return { reason, retryAfterMs };
    };
    const asked = await Promise.all(Array.from({ length: 100 }, () => reasonOf(askPhone(service, "ann"))));
    expect(asked.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(asked.filter((outcome) => outcome === "RATE_LIMITED")).toHaveLength(99);
    expect(await limited()).toEqual({ reason: "RATE_LIMITED", retryAfterMs: 2 * MINUTE });
    const { blocked, total } = await service.admin.getPushStats({}, admin);
    expect({ blocked, total }).toEqual({ blocked: 0n, total: 0n }); // the window ends now, and so begins after
    for (let n = 0; n < 4; n++) {
      service.pass(2 * MINUTE);
      await askPhone(service, "ann");
    }
    service.pass(2 * MINUTE - 1);
    expect(await limited()).toEqual({ reason: "RATE_LIMITED", retryAfterMs: 1 });
    service.pass(1);

    const first = await askPhone(service, "ann");
    const deny = async () => {
      const [waiting] = await phone.pending();
      if (waiting) await phone.deny(waiting);
    };
    await deny();
    service.pass(2 * MINUTE);
    await askPhone(service, "ann");
    await deny();
    service.pass(14 * MINUTE);
    expect(await limited()).toEqual({ reason: "RATE_LIMITED", retryAfterMs: MINUTE });
    service.pass(MINUTE);
    expect((await askPhone(service, "ann")).challengeId).not.toBe(first.challengeId);
  });
});

import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { streamer } from "../support/actors/grpc-client.ts";
import { askPhone, type Phone, pairedPhone, phoneAt, reasonOf } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { secondInstance } from "../support/worlds/instances.ts";

const ROUNDS = 10;
const MINUTE = 60_000;
const [, postgres] = engines as [(typeof engines)[number], (typeof engines)[number]];

const waitingFor = async (phone: Phone) => {
  const [waiting] = await phone.pending();
  if (!waiting) throw new Error("nothing waits");
  return waiting;
};

describe("approvals by two instances on one PostgreSQL", () => {
  test("what a phone answers at one is seen by who watches at the other", async () => {
    const { service, phone } = await pairedPhone(postgres);
    const watch = streamer(await secondInstance(service, postgres));
    const delays: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const page = await askPhone(service, "ann");
      const stream = watch(MfaService.method.watchChallenge, { challengeId: page.challengeId }, page.token);
      expect((await stream.next())?.challenge?.state).toBe(ChallengeState.PENDING);
      const waiting = await waitingFor(phone);
      const isApproved = round !== 0;
      const seen = stream.next().then((reply) => ({ state: reply?.challenge?.state, at: performance.now() }));
      await (isApproved ? phone.approve(waiting, page.number) : phone.deny(waiting));
      const answered = performance.now();
      const { state, at } = await seen;
      expect(state).toBe(isApproved ? ChallengeState.PROVEN : ChallengeState.DENIED);
      delays.push(Math.max(0, at - answered));
      service.pass(3 * MINUTE);
    }
    delays.sort((a, b) => a - b);
    const [median = 0, most = 0] = [delays[ROUNDS >> 1], delays.at(-1)];
    process.stdout.write(
      `seen at the other instance ${median.toFixed(1)} ms after the answer, ${most.toFixed(1)} at most\n`,
    );
  });

  test("a phone is asked at one and answers at the other, and no answer is taken by both", async () => {
    const { service, phone } = await pairedPhone(postgres);
    const there = phoneAt(service, phone, await secondInstance(service, postgres));
    const page = await askPhone(service, "ann");
    const waiting = await waitingFor(there);
    const both = await Promise.all(
      Array.from({ length: 20 }, (_, n) => reasonOf((n % 2 === 0 ? phone : there).approve(waiting, page.number))),
    );
    expect(both.filter((reason) => reason === "OK")).toHaveLength(1);
    const { challenge } = await service.mfa.getChallenge({ challengeId: page.challengeId }, page.token);
    expect(challenge?.state).toBe(ChallengeState.PROVEN);
  });
});

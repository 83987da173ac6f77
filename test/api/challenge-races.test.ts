import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor } from "../support/actors/backend.ts";
import { tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { rounds, times } from "../support/engine/races.ts";
import { serviceForTest } from "../support/worlds/service.ts";

describe.each(engines)("races about challenges on $name", { repeats: rounds - 1 }, (engine) => {
  test("one code proves one of ten challenges, once, whatever RPC else takes it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const ids: string[] = [];
    for (let n = 0; n < 10; n++) ids.push(await createFor(service, "ann", backend));
    const code = await app.code();
    const counts = await tally(
      times(500, (n) => {
        const challengeId = ids[n % 12];
        if (challengeId === undefined) return service.internal.verifyUserTotpCode({ userId: "ann", code }, backend);
        return answer(service, backend, { userId: "ann", challengeId, code });
      }),
    );
    expect(counts.OK).toBe(1);
    const states = await Promise.all(
      ids.map((challengeId) => service.internal.getUserChallenge({ userId: "ann", challengeId }, backend)),
    );
    const proven = states.filter(({ challenge }) => challenge?.state === ChallengeState.PROVEN);
    expect(proven.length).toBeLessThanOrEqual(1);
  });

  test("of a proof and many cancellations at once the last word is a cancellation", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const code = await app.code();
    const counts = await tally([
      ...times(20, () => service.internal.cancelUserChallenge({ userId: "ann", challengeId }, backend)),
      answer(service, backend, { userId: "ann", challengeId, code }),
      ...times(20, () => service.internal.cancelUserChallenge({ userId: "ann", challengeId }, backend)),
    ]);
    const { OK = 0, CHALLENGE_EXPIRED = 0 } = counts;
    expect(OK + CHALLENGE_EXPIRED).toBe(41);
    const { challenge } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(challenge?.state).toBe(ChallengeState.CANCELLED);
    // A code that proved nothing is not spent.
    const spent = await tally([service.internal.verifyUserTotpCode({ userId: "ann", code }, backend)]);
    expect(spent).toEqual(OK === 41 ? { CODE_REJECTED: 1 } : { OK: 1 });
  });
});

import { setTimeout as wait } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { backendOf, redeem } from "../support/actors/backend.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { askPhone, type Phone, pairPhone, reasonOf, stateOf, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { isFull, times } from "../support/engine/races.ts";
import { serviceForTest } from "../support/worlds/service.ts";

/** `npm run faults` fights a thousand rounds, `npm test` fifty. */
const ROUNDS = isFull ? 1_000 : 50;
const EACH = 100;
const MINUTE = 60_000;
/** So long after a round nothing of it counts towards the limits any more. */
const APART = 33 * MINUTE;

const waitingFor = async (phone: Phone) => {
  const [waiting] = await phone.pending();
  if (!waiting) throw new Error("nothing waits");
  return waiting;
};

describe.each(engines)("races about approvals on $name", (engine) => {
  /** A user with two phones, and the backend that redeems. */
  const start = async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service);
    const phones = [
      await pairPhone(service, "ann"),
      await pairPhone(service, "ann", { acr: "aal2", session: "second" }),
    ] as const;
    return { service, phones };
  };

  test(`of ${EACH} approvals and ${EACH} denials at once one counts, and what was denied is never redeemed, ${ROUNDS} times`, {
    timeout: ROUNDS * 4_000,
  }, async () => {
    const { service, phones } = await start();
    const won = { approved: 0, denied: 0, redeemed: 0 };
    for (let round = 0; round < ROUNDS; round++) {
      service.pass(APART);
      const backend = await backendOf(service);
      const page = await askPhone(service, "ann", { audience: "shop" });
      const { challengeId } = page;
      const [mine, other] = [await waitingFor(phones[0]), await waitingFor(phones[1])];
      const redeeming = () => redeem(service, backend, { challengeId, sessionId: "web" });
      /** Whether a denial had been acknowledged when this redemption was begun. */
      let isDenied = false;
      let late = 0;
      const redemptions = async () => {
        let count = 0;
        for (let n = 0; n < 5; n++) {
          const began = isDenied;
          const outcome = await tally([redeeming()]);
          count += outcome.OK ?? 0;
          late += began ? (outcome.OK ?? 0) : 0;
        }
        return count;
      };
      const approvals = () => times(EACH, () => reasonOf(phones[0].approve(mine, page.number)));
      const denials = () =>
        times(EACH, () =>
          reasonOf(
            phones[1].deny(other, "MISTAKE").then(() => {
              isDenied = true;
            }),
          ),
        );
      // Who is first takes turns, and by how much: an approval takes a unit more than a denial.
      const first = round % 2 === 0 ? approvals : denials;
      const headstart = first();
      if (round % 4 !== 0) await wait(round % 10);
      // On a busy machine no number of milliseconds lets an approval be first: in some rounds one call is answered.
      if (round % 4 === 2) await Promise.race(headstart);
      const rest = first === approvals ? denials() : approvals();
      const both = first === approvals ? { approved: headstart, denied: rest } : { approved: rest, denied: headstart };
      const racing = redemptions();
      const [approved, denied] = [await Promise.all(both.approved), await Promise.all(both.denied)];
      const redeemed = await racing;
      const answers = [...approved, ...denied];
      for (const reason of answers) expect(reason).toMatch(/^(OK|WRONG_STATE|CHALLENGE_EXPIRED|STORE_UNAVAILABLE)$/);
      // On a machine that is too busy some are told to try again, and do not learn whether they were the one.
      const isSure = !answers.includes("STORE_UNAVAILABLE");
      const acknowledged = answers.filter((one) => one === "OK").length;
      expect(acknowledged, `round ${round}`).toBeLessThanOrEqual(1);
      if (isSure) expect(acknowledged, `round ${round}`).toBe(1);
      expect(late).toBe(0);
      const state = await stateOf(service, page.pushChallengeId, page.token);
      const generic = (await service.mfa.getChallenge({ challengeId }, page.token)).challenge?.state;
      const isOver = state === PushChallengeState.DENIED;
      expect(isOver ? approved : denied).not.toContain("OK");
      if (isOver) {
        expect({ redeemed, generic }).toEqual({ redeemed: 0, generic: ChallengeState.DENIED });
        expect((await failure(redeeming())).reason).toBe("CHALLENGE_EXPIRED");
      } else {
        const again = await tally(times(5, redeeming));
        expect(redeemed + (again.OK ?? 0)).toBe(1);
        expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.REDEEMED);
      }
      won[isOver ? "denied" : "approved"] += 1;
      won.redeemed += redeemed;
    }
    expect(Math.min(won.approved, won.denied)).toBeGreaterThan(0);
    process.stdout.write(
      `${engine.name}: ${ROUNDS} rounds, ${won.approved} approved, ${won.denied} denied, ${won.redeemed} redeemed while the others raced\n`,
    );
  });

  test("of approvals and a revocation of the phone at once nothing is left to redeem", async () => {
    const { service, phones } = await start();
    const [phone] = phones;
    const page = await askPhone(service, "ann", { audience: "shop", deviceId: phone.id() });
    const waiting = await waitingFor(phone);
    const token = await service.user("ann", "aal2");
    const revocation = () => service.mfa.revokePushDevice({ deviceId: phone.id() }, token);
    await tally([
      ...times(20, () => phone.approve(waiting, page.number)),
      revocation(),
      ...times(20, () => phone.approve(waiting, page.number)),
    ]);
    const backend = await backendOf(service);
    const redemption = redeem(service, backend, { challengeId: page.challengeId, sessionId: "web" });
    expect((await failure(redemption)).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("of many wrong numbers at once three are judged, and then even the right one is not", async () => {
    const { service, phones } = await start();
    const [phone] = phones;
    const page = await askPhone(service, "ann");
    const waiting = await waitingFor(phone);
    const numbers = Array.from({ length: 100 }, (_, n) => String(n).padStart(2, "0")).filter(
      (one) => one !== page.number,
    );
    const outcomes = await Promise.all(numbers.map((number) => reasonOf(phone.approve(waiting, number))));
    expect(outcomes.filter((one) => one === "CODE_REJECTED")).toHaveLength(3);
    expect(await reasonOf(phone.approve(waiting, page.number))).toBe("WRONG_STATE");
    expect(await stateOf(service, page.pushChallengeId, page.token)).toBe(PushChallengeState.FAILED);
  });
});

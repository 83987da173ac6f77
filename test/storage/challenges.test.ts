import { describe, expect, test } from "vitest";
import { type ChallengeRow, challengeRepository } from "../../src/challenges/challenges.repository.ts";
import { boundForTest, type EngineUnderTest, engines } from "../support/engine/engines.ts";

const now = new Date("2026-03-01T12:00:00.000Z");
const key = { tenantId: "dev", userId: "ann", challengeId: "A".repeat(22) };
const facts = { deviceBound: false, userVerified: false, signedAction: false };
const pending: ChallengeRow = {
  ...key,
  ...{ state: "pending", purpose: "LOG_IN", createdBy: "shop", sessionDigest: null, audience: "shop", nonce: "" },
  ...{ actionType: "", actionDigest: null, renderedAction: "", allowedTypes: [], strength: "UNSPECIFIED" },
  ...{ requiresBinding: false, decisionId: "", promptId: "", groups: null, proofs: null, offers: [], mfaEpoch: 1 },
  ...{ preparedType: "", preparedFactorId: "", provenType: "", provenFactorId: "", facts: null, proveTime: null },
  ...{ createTime: now, updateTime: now, expireTime: new Date(now.getTime() + 300_000) },
};
const proof = { provenType: "TOTP", provenFactorId: "f", facts, proveTime: now, epoch: 1, now } as const;

async function standing(engine: EngineUnderTest) {
  const store = await boundForTest(engine);
  const write = <T>(work: (challenges: ReturnType<typeof challengeRepository>) => Promise<T>) =>
    store.write((tx) => work(challengeRepository(tx)));
  await write((challenges) => challenges.insert(pending));
  return { write, state: () => write((challenges) => challenges.find(key)).then((row) => row?.state) };
}

describe.each(engines)("the row of a challenge on $name", (engine) => {
  test("goes from pending to proven to redeemed, each once, and back by nothing", async () => {
    const { write, state } = await standing(engine);
    expect(await write((challenges) => challenges.redeem(key, 1, now))).toBeUndefined();
    const proven = await write((challenges) => challenges.prove({ ...pending, ...proof }));
    expect(proven?.state).toBe("proven");
    expect(await write((challenges) => challenges.prove({ ...pending, ...proof }))).toBeUndefined();
    expect((await write((challenges) => challenges.redeem(key, 1, now)))?.state).toBe("redeemed");
    expect(await write((challenges) => challenges.redeem(key, 1, now))).toBeUndefined();
    expect(await write((challenges) => challenges.cancel(key, now))).toBe(false);
    expect(await write((challenges) => challenges.deny(key, now))).toBe(false);
    await write((challenges) => challenges.cancelAll(key, now));
    expect(await state()).toBe("redeemed");
  });

  test("is proven and redeemed under the epoch that it was created under, and in its time", async () => {
    const { write, state } = await standing(engine);
    expect(await write((challenges) => challenges.prove({ ...pending, ...proof, epoch: 2 }))).toBeUndefined();
    const late = { ...proof, now: pending.expireTime };
    expect(await write((challenges) => challenges.prove({ ...pending, ...late }))).toBeUndefined();
    await write((challenges) => challenges.prove({ ...pending, ...proof }));
    expect(await write((challenges) => challenges.redeem(key, 2, now))).toBeUndefined();
    expect(await write((challenges) => challenges.redeem(key, 1, pending.expireTime))).toBeUndefined();
    expect(await state()).toBe("proven");
  });

  test.each([
    ["another tenant's user of the same name", { tenantId: "other" }],
    ["another user", { userId: "bob" }],
  ])("of %s is neither listed nor ended with it", async (_, other) => {
    const { write } = await standing(engine);
    await write((challenges) => challenges.insert({ ...pending, ...other }));
    await write((challenges) => challenges.cancelAll(key, now));
    expect(await write((challenges) => challenges.listOpen(key, now))).toEqual([]);
    expect(await write((challenges) => challenges.listOpen({ ...key, ...other }, now))).toHaveLength(1);
  });
});

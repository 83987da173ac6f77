import { describe, expect, test } from "vitest";
import { type OtpChallengeRow, otpChallengeRepository } from "../../src/factors/otp/otp-challenges.repository.ts";
import { boundForTest, engines } from "../support/engine/engines.ts";

const now = new Date("2026-03-01T12:00:00.000Z");
const expireTime = new Date(now.getTime() + 300_000);
const key = { tenantId: "dev", userId: "ann", challengeId: "A".repeat(22) };
const [older, newer] = [Buffer.from("older"), Buffer.from("newer")];
const challenge: OtpChallengeRow = {
  ...key,
  ...{ channel: "email", factorId: "f", purpose: "log_in", sessionId: "", codeDigest: older, messageId: "m" },
  ...{ createTime: now, codeTime: now, resendAfterTime: now, expireTime, spendTime: null },
};

describe.each(engines)("the code of a challenge on $name", (engine) => {
  test("is judged, replaced, then spent: the older one is not, although it was right when it was judged", async () => {
    const store = await boundForTest(engine);
    const write = <T>(work: (challenges: ReturnType<typeof otpChallengeRepository>) => Promise<T>) =>
      store.write((tx) => work(otpChallengeRepository(tx)));
    await write((challenges) => challenges.insert(challenge));
    const fresh = { messageId: "n", codeTime: now, resendAfterTime: now, expireTime };
    await write((challenges) => challenges.renew({ ...challenge, ...fresh, codeDigest: newer }, now));
    const spend = (codeDigest: Buffer, at = now) =>
      write((challenges) => challenges.spend({ ...key, codeDigest }, at)).then((row) => row !== undefined);
    expect(await spend(older)).toBe(false);
    expect(await spend(newer, expireTime)).toBe(false);
    expect(await spend(newer)).toBe(true);
    expect(await spend(newer)).toBe(false);
    expect(
      await write((challenges) => challenges.renew({ ...challenge, ...fresh, codeDigest: older }, now)),
    ).toBeUndefined();
  });
});

import { describe, expect, test } from "vitest";
import { tally } from "../support/actors/grpc-client.ts";
import { enrollPhone, newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { times } from "../support/engine/races.ts";
import { serviceForTest } from "../support/worlds/service.ts";

describe.each(engines)("codes by text message for many users at once on $name", (engine) => {
  // They share the budget of a country and the tenant's audit trail: units that lock the two in different orders wait
  // for each other until PostgreSQL gives some of them up.
  test("enrollments that begin hold up none of those that end", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    await switchOn(service, { sms: { enabled: true, allowedCountries: ["DE"], dailyBudget: 1_000_000 } });
    const users = 14;
    const tokens = await Promise.all(times(2 * users, (n) => service.user(`user-${n}`)));
    const start = (n: number) => service.mfa.startSmsEnrollment({ phoneNumber: phone(n) }, tokens[n] ?? "");
    const codes: { challengeId: string; code: string }[] = [];
    for (let n = 0; n < users; n++) {
      const challengeId = (await start(n)).delivery?.challengeId ?? "";
      codes.push({ challengeId, code: await newestCode(service, `user-${n}`) });
    }
    const calls = codes.flatMap((code, n) => [
      service.mfa.finishSmsEnrollment(code, tokens[n] ?? ""),
      start(users + n),
    ]);
    expect(await tally(calls)).toEqual({ OK: 2 * users });
  });

  test("of twenty codes that a user asks for at once one is sent, and no other is good", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollPhone(service, "ann");
    const sent: string[] = [];
    const ask = () =>
      service.mfa.sendSmsCode({}, token).then(({ delivery }) => {
        sent.push(delivery?.challengeId ?? "");
      });
    expect(await tally(times(20, ask))).toEqual({ OK: 1, RATE_LIMITED: 19 });
    const [challengeId = ""] = sent;
    await service.mfa.verifySmsCode({ challengeId, code: await newestCode(service, "ann") }, token);
  });
});

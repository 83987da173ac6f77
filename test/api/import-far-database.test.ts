import { randomBytes } from "node:crypto";
import { ScureBase32Plugin } from "otplib";
import { describe, expect, test } from "vitest";
import { adminOf } from "../support/actors/administrators.ts";
import { appOf } from "../support/actors/authenticator-app.ts";
import { bring, verify } from "../support/actors/importer.ts";
import { switchOn } from "../support/actors/one-time-codes.ts";
import { farPostgres } from "../support/fakes/far-postgres.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const apps = Array.from({ length: 250 }, (_, n) => ({
  userId: `user-${n}`,
  kind: { case: "totp" as const, value: { secret: randomBytes(20) } },
}));
const addresses = apps.map(({ userId }) => ({
  userId,
  kind: { case: "email" as const, value: `${userId}@example.com` },
}));

/** One statement for each factor and table would be some 3,000. */
const FEW = 100;

describe("an import on a PostgreSQL that is 5 ms away", () => {
  test("250 factors are few statements, which are not more with each factor; all of them are there and recorded", async () => {
    const { engine, sent } = farPostgres(5);
    const service = await serviceForTest(engine);
    await switchOn(service);
    const statementsOf = async (factors: object[], how: object) => {
      sent.longestUnit = 0;
      const reply = await bring(service, factors, how);
      expect(reply.refusedCount).toBe(0);
      return sent.longestUnit;
    };
    expect(await statementsOf(apps, {})).toBeLessThan(FEW);
    expect(await statementsOf(apps, { commit: true })).toBeLessThan(FEW);
    expect(await statementsOf(addresses, { commit: true })).toBeLessThan(FEW);
    // What is there already is skipped, by even fewer.
    expect(await statementsOf(apps, { commit: true })).toBeLessThan(FEW / 2);

    const last = apps.at(-1);
    const secret = new ScureBase32Plugin().encode(last?.kind.value.secret ?? Buffer.alloc(0));
    await verify(service, last?.userId ?? "", await appOf(service, secret)());
    const admin = await adminOf(service, "mfa.audit.read");
    expect(await service.admin.verifyAuditChain({}, admin)).toMatchObject({ intact: true });
  });
});

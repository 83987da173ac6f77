import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { times } from "../support/engine/races.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
/** The tests call from loopback, as if a proxy did. */
const proxies = { addresses: ["127.0.0.1"], header: "x-forwarded-for" } as const;
const from = (ip: string) => ({ "x-forwarded-for": ip });
const metricsOf = async ({ adminPort }: ServiceUnderTest) =>
  (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();

describe("calls from one source", () => {
  test("are limited over all users and strangers there, and nowhere else", async () => {
    const service = await serviceForTest(sqlite, { proxies, rates: { source: 1 } });
    const list = (token: string, ip: string) => service.mfa.listTotpDevices({}, token, from(ip));
    const tokens = await Promise.all(times(10, (n) => service.user(`user-${n}`)));
    // One after the other: what is under way at once may overdraw.
    const counts: Record<string, number> = {};
    for (const token of [...tokens, ...times(20, () => "junk")]) {
      for (const [name, n] of Object.entries(await tally([list(token, "192.0.2.1")])))
        counts[name] = (counts[name] ?? 0) + n;
    }
    // Ten at once, and what comes back meanwhile, be it only strangers who use it up.
    expect(counts.OK).toBe(10);
    expect(counts.RATE_LIMITED).toBeGreaterThanOrEqual(5);
    const refused = await failure(list(tokens[0] ?? "", "::ffff:192.0.2.1"));
    expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "RATE_LIMITED" });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    expect(await tally([list(tokens[0] ?? "", "192.0.2.2")])).toEqual({ OK: 1 });
    expect(await metricsOf(service)).toMatch(/^mfa_limit_hits_total\{limit="rate_source"\} [1-9]/m);
  });

  test.each([
    ["one whose token is known", true],
    ["one that comes with a new token", false],
  ])("of strangers starve no backend at the same address: %s", async (_, isKnown) => {
    const service = await serviceForTest(sqlite, { proxies, rates: { source: 1 } });
    const shop = await service.backend("mfa.verify");
    const verify = () =>
      service.internal.verifyUserTotpCode({ userId: "ann", code: "123456" }, shop, from("192.0.2.1"));
    if (isKnown) expect((await failure(verify())).reason).toBe("CODE_REJECTED");
    const nonsense = (token: string) => service.mfa.listTotpDevices({}, token, from("192.0.2.1"));
    for (const token of times(40, (n) => `junk-${n}`)) await failure(nonsense(token));
    expect((await failure(nonsense("junk"))).reason).toBe("RATE_LIMITED");
    expect((await failure(nonsense(await service.user("bob")))).reason).toBe("RATE_LIMITED");
    const counts = await tally(times(100, verify));
    expect(counts.RATE_LIMITED).toBeUndefined();
    const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" });
    expect(await tally([service.admin.listLockouts({}, root, from("192.0.2.1"))])).toEqual({ OK: 1 });
  });

  test("are not limited when a backend makes them, for it makes those of many", async () => {
    const service = await serviceForTest(sqlite, { proxies, rates: { source: 1 } });
    const shop = await service.backend("mfa.verify");
    const verify = () =>
      service.internal.verifyUserTotpCode({ userId: "ann", code: "123456" }, shop, from("192.0.2.1"));
    const counts = await tally(times(50, verify));
    expect(counts.RATE_LIMITED).toBeUndefined();
  });
});

describe.each(engines)("one code tried on many users on $name", (engine) => {
  const USERS = 60;
  const guesses = 2; // a minute: twenty at once

  test("of one source is judged so often and no oftener, whoever asks", async () => {
    const service = await serviceForTest(engine, { proxies, rates: { guesses } });
    const tokens = await Promise.all(times(USERS, (n) => service.user(`user-${n}`)));
    const apps = [await enrollApp(service, "ann"), await enrollApp(service, "bob")] as const;
    const shop = await service.backend("mfa.verify");
    const spray = (ip: string) =>
      times(USERS, (n) =>
        service.internal.verifyUserTotpCode({ userId: `user-${n}`, code: "123456", client: { ip } }, shop),
      );
    const judged = await tally(spray("2001:db8::1"));
    expect(judged).toEqual({ CODE_REJECTED: 20, RATE_LIMITED: USERS - 20 });
    // The same subscriber under another address, as a user of their own.
    const [ann, bob] = apps;
    const byUser = service.mfa.verifyTotpCode({ code: await wrongCode(ann) }, ann.token, from("2001:db8::2"));
    expect(await failure(byUser)).toMatchObject({ reason: "RATE_LIMITED" });
    // Elsewhere right codes are right, wrong ones are judged, and nothing was counted against users not judged.
    const elsewhere = from("2001:db8:0:1::1");
    await service.mfa.verifyTotpCode({ code: await ann.code() }, ann.token, elsewhere);
    expect(
      await failure(service.mfa.verifyTotpCode({ code: await wrongCode(bob) }, bob.token, elsewhere)),
    ).toMatchObject({ reason: "CODE_REJECTED" });
    expect(tokens).toHaveLength(USERS);
  });

  test("does not count right codes, nor what was not judged", async () => {
    const service = await serviceForTest(engine, { proxies, rates: { guesses } });
    const app = await enrollApp(service, "ann");
    for (let n = 0; n < 30; n += 1) {
      await service.mfa.verifyTotpCode({ code: await app.code() }, app.token, from("192.0.2.1"));
      service.pass(30_000);
    }
    const bob = await service.user("bob");
    for (let n = 0; n < 30; n += 1) {
      const unenrolled = await failure(service.mfa.verifyTotpCode({ code: "123456" }, bob, from("192.0.2.1")));
      expect(unenrolled.reason).toBe("NOT_ENROLLED");
    }
    const wrong = await failure(
      service.mfa.verifyTotpCode({ code: await wrongCode(app) }, app.token, from("192.0.2.1")),
    );
    expect(wrong.reason).toBe("CODE_REJECTED");
  });
});

import { describe, expect, test } from "vitest";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../src/core/caller.ts";
import { Refusal } from "../../src/core/refusal.ts";
import { type LimitRates, limitRates } from "../../src/rpc/limits/rates.ts";

const ann: Caller = {
  principal: Principal.USER,
  tenantId: "acme",
  subject: "ann",
  acr: "aal1",
  authTime: undefined,
  scopes: new Set(),
  sessionId: "",
};

function limited(rates = { user: 2, admin: 1, service: 100, source: 3, guesses: 6 }) {
  let now = 0;
  const hits: string[] = [];
  const limit = limitRates(
    rates,
    (limit) => hits.push(limit),
    () => now,
  );
  return {
    hits,
    limit,
    pass: (ms: number) => {
      now += ms;
    },
    /** How many of `n` calls are taken, and when the first refused one may come again. */
    take: (n: number, caller: Caller = ann) => {
      for (let taken = 0; taken < n; taken++) {
        try {
          limit.caller(caller);
        } catch (error) {
          if (!(error instanceof Refusal)) throw error;
          return { taken, reason: error.reason, retryAfterMs: error.retryAfterMs };
        }
      }
      return { taken: n };
    },
  };
}

describe("rates", () => {
  test("ten seconds' worth at once, then the rate", () => {
    const { take, pass } = limited();
    expect(take(100)).toEqual({ taken: 20, reason: "RATE_LIMITED", retryAfterMs: 500 });
    pass(250);
    expect(take(1)).toMatchObject({ taken: 0, retryAfterMs: 250 });
    pass(250);
    expect(take(2)).toMatchObject({ taken: 1 });
    pass(60_000);
    expect(take(100).taken).toBe(20);
  });

  test("every caller has an allowance of their own: by kind, tenant and name", () => {
    const { take } = limited();
    take(100);
    expect(take(1, { ...ann, subject: "bob" }).taken).toBe(1);
    expect(take(1, { ...ann, tenantId: "other" }).taken).toBe(1);
    expect(take(100, { ...ann, principal: Principal.ADMIN }).taken).toBe(10);
    expect(take(5000, { ...ann, principal: Principal.SERVICE }).taken).toBe(1000);
    expect(take(1).taken).toBe(0);
  });
});

describe("rates of a source", () => {
  const calls = (limit: LimitRates, ips: readonly string[]) => {
    let taken = 0;
    for (const ip of ips) {
      try {
        limit.source(ip);
      } catch {
        return taken;
      }
      limit.charge(ip);
      taken += 1;
    }
    return taken;
  };

  test("are one allowance for an IPv4 address however it is written, and for an IPv6 /64", () => {
    const { limit, hits, pass } = limited();
    const forms = ["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201", "0:0:0:0:0:ffff:192.0.2.1"];
    expect(
      calls(
        limit,
        Array.from({ length: 100 }, (_, n) => forms[n % forms.length] ?? ""),
      ),
    ).toBe(30);
    const network = Array.from({ length: 1_000 }, (_, n) => `2001:db8:1:2:${n.toString(16)}::${n}`);
    expect(calls(limit, network)).toBe(30);
    expect(limit.sizes().source).toBe(2);
    expect(hits).toEqual(["rate_source", "rate_source"]);
    expect(calls(limit, ["2001:db8:1:3::1", "192.0.2.2"])).toBe(2);
    pass(1_000);
    expect(calls(limit, network)).toBe(3);
  });

  test("are paid back when what went on at once overdrew them", () => {
    const { limit, pass } = limited();
    for (let n = 0; n < 60; n += 1) limit.charge("192.0.2.1");
    pass(10_000);
    expect(calls(limit, ["192.0.2.1"])).toBe(0);
    pass(1_000);
    expect(calls(limit, Array(9).fill("192.0.2.1"))).toBe(3);
  });

  test("count wrong proofs for each tenant, and give right ones back", () => {
    const { limit, hits, pass } = limited();
    const guess = (tenant: string, ip: string, right = false) => {
      try {
        const giveBack = limit.guess(tenant, ip);
        if (right) giveBack();
        return true;
      } catch {
        return false;
      }
    };
    for (let n = 0; n < 1_000; n += 1) expect(guess("dev", "192.0.2.1", true)).toBe(true);
    const wrong = Array.from({ length: 100 }, (_, n) => guess("dev", n % 2 ? "192.0.2.1" : "::ffff:192.0.2.1"));
    expect(wrong.filter(Boolean)).toHaveLength(60);
    expect(hits).toHaveLength(40);
    expect(guess("other", "192.0.2.1")).toBe(true);
    expect(guess("dev", "192.0.2.2")).toBe(true);
    // Where a backend does not say, there is no place to count.
    for (let n = 0; n < 100; n += 1) expect(guess("dev", "")).toBe(true);
    pass(10_000);
    expect([guess("dev", "192.0.2.1"), guess("dev", "192.0.2.1")]).toEqual([true, false]);
  });
});

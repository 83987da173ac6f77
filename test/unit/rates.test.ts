import { describe, expect, test } from "vitest";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../src/core/caller.ts";
import { Refusal } from "../../src/core/refusal.ts";
import { limitRates } from "../../src/rpc/rates.ts";

const ann: Caller = {
  principal: Principal.USER,
  tenantId: "acme",
  subject: "ann",
  acr: "aal1",
  authTime: undefined,
  scopes: new Set(),
  sessionId: "",
};

function limited(rates = { user: 2, admin: 1, service: 100 }) {
  let now = 0;
  const limit = limitRates(rates, () => now);
  return {
    pass: (ms: number) => {
      now += ms;
    },
    /** How many of `n` calls are taken, and when the first refused one may come again. */
    take: (n: number, caller: Caller = ann) => {
      for (let taken = 0; taken < n; taken++) {
        try {
          limit(caller);
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

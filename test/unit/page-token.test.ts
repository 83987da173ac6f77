import { describe, expect, test } from "vitest";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../../src/core/call.ts";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { createPageTokens } from "../../src/crypto/page-token.ts";
import { START } from "../../src/db/page.ts";
import { engines, openForTest } from "../support/engine/engines.ts";

const [sqlite] = engines as [(typeof engines)[number]];

const caller = { principal: Principal.USER, tenantId: "acme", subject: "ann" };
const callOf = (changes: object = {}, rpc = "mfa.v1.MfaService/ListTotpDevices") =>
  ({ caller: { ...caller, ...changes }, rpc }) as Call;

describe("page tokens", () => {
  const position = { time: new Date(1_700_000_000_123), id: "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11" };
  const open = async () => {
    const { store } = await openForTest(sqlite);
    return createPageTokens(await openKeyring(parseKeys(newKeys()), store));
  };

  test("bring back the position they were given out for; none is the start, and the end is none", async () => {
    const tokens = await open();
    expect(tokens.read(callOf(), tokens.write(callOf(), position, "f"), "f")).toEqual(position);
    const users = ["ann", "a\nb.c\n", "ü".repeat(127), "\u{1f511}"].map((id) => ({ ...START, id }));
    const written = users.map((at) => tokens.write(callOf(), at));
    expect(written.map((token) => tokens.read(callOf(), token))).toEqual(users);
    // As the contract has it, also under the longest id of a key.
    expect(Math.max(...written.map(({ length }) => length))).toBeLessThanOrEqual(512 - 42);
    expect(tokens.read(callOf(), "")).toEqual(START);
    expect(tokens.write(callOf(), undefined)).toBe("");
  });

  test("are good for one caller, one list and one filter", async () => {
    const tokens = await open();
    const token = tokens.write(callOf(), position, "active");
    const others: [Call, string][] = [
      [callOf({ subject: "bob" }), "active"],
      [callOf({ tenantId: "other" }), "active"],
      [callOf({ principal: Principal.SERVICE }), "active"],
      [callOf({}, "mfa.v1.MfaService/ListFactors"), "active"],
      [callOf(), "disabled"],
    ];
    for (const [call, filter] of others) {
      expect(() => tokens.read(call, token, filter)).toThrow(expect.objectContaining({ reason: "INVALID_PAGE_TOKEN" }));
    }
  });

  test("of another service's keys are refused", async () => {
    const [ours, theirs] = [await open(), await open()];
    const token = theirs.write(callOf(), position);
    expect(() => ours.read(callOf(), token)).toThrow(expect.objectContaining({ reason: "INVALID_PAGE_TOKEN" }));
  });
});

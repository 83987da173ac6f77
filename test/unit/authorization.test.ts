import { describe, expect, test } from "vitest";
import { Acr, Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../src/core/caller.ts";
import { Refusal } from "../../src/core/refusal.ts";
import { authorize } from "../../src/rpc/access/authorization.ts";
import type { RpcPolicy } from "../../src/rpc/access/policy.ts";

const now = new Date("2026-03-01T12:00:00Z");
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);

const user: Caller = {
  principal: Principal.USER,
  tenantId: "acme",
  subject: "ann",
  acr: "aal2",
  authTime: ago(10),
  scopes: new Set(),
  sessionId: "",
};
const policy: RpcPolicy = {
  principals: new Set([Principal.USER]),
  acr: Acr.AAL2,
  maxAgeMs: 300_000,
  scope: "",
  audited: false,
};

const reasonOf = async (caller: Partial<Caller>, rule: Partial<RpcPolicy> = {}, enrolled = false) => {
  const outcome = authorize({ ...user, ...caller }, { ...policy, ...rule }, now, async () => enrolled);
  return outcome.then(
    () => "OK",
    (error: unknown) => (error instanceof Refusal ? error.reason : error),
  );
};

describe("freshness", () => {
  test.each([
    ["five minutes", ago(300), "OK"],
    ["a second more", ago(301), "INSUFFICIENT_USER_AUTHENTICATION"],
    ["30 s ahead, as clocks are", ago(-30), "OK"],
    ["31 s ahead", ago(-31), "INSUFFICIENT_USER_AUTHENTICATION"],
    ["milliseconds taken for seconds", new Date(now.getTime() * 1000), "INSUFFICIENT_USER_AUTHENTICATION"],
    ["no time at all", new Date(1e300), "INSUFFICIENT_USER_AUTHENTICATION"],
    ["an absent time", undefined, "INSUFFICIENT_USER_AUTHENTICATION"],
  ])("%s", async (_, authTime, outcome) => {
    expect(await reasonOf({ authTime })).toBe(outcome);
  });

  test("is not asked for where no age is given", async () => {
    expect(await reasonOf({ authTime: undefined }, { maxAgeMs: undefined })).toBe("OK");
  });
});

describe("level", () => {
  test.each([
    [Acr.AAL1, "aal1", true, "OK"],
    [Acr.AAL2, "aal1", false, "INSUFFICIENT_USER_AUTHENTICATION"],
    [Acr.AAL2_IF_ENROLLED, "aal1", false, "OK"],
    [Acr.AAL2_IF_ENROLLED, "aal1", true, "INSUFFICIENT_USER_AUTHENTICATION"],
    [Acr.AAL2_IF_ENROLLED, "aal2", true, "OK"],
  ] as const)("needed %i, held %s, enrolled %s: %s", async (acr, held, enrolled, outcome) => {
    expect(await reasonOf({ acr: held }, { acr }, enrolled)).toBe(outcome);
  });
});

describe("kind and scope", () => {
  test("another kind of principal is refused before anything is said of levels", async () => {
    expect(await reasonOf({ principal: Principal.ADMIN, acr: "aal1" })).toBe("ACCESS_DENIED");
  });

  test("administrators and services need the scope, users do not", async () => {
    const rule = { principals: new Set([Principal.USER, Principal.ADMIN, Principal.SERVICE]), scope: "mfa.read" };
    expect(await reasonOf({ principal: Principal.ADMIN }, rule)).toBe("ACCESS_DENIED");
    expect(await reasonOf({ principal: Principal.SERVICE, scopes: new Set(["mfa.reads"]) }, rule)).toBe(
      "ACCESS_DENIED",
    );
    expect(await reasonOf({ principal: Principal.SERVICE, scopes: new Set(["mfa.read"]) }, rule)).toBe("OK");
    expect(await reasonOf({}, rule)).toBe("OK");
  });

  test("an administrator needs level and freshness like a user", async () => {
    const rule = { principals: new Set([Principal.ADMIN]), scope: "mfa.read" };
    const admin = { principal: Principal.ADMIN, scopes: new Set(["mfa.read"]) };
    expect(await reasonOf({ ...admin, acr: "aal1" }, rule)).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    expect(await reasonOf({ ...admin, authTime: ago(301) }, rule)).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    expect(await reasonOf(admin, rule)).toBe("OK");
  });
});

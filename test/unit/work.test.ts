import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Refusal } from "../../src/core/refusal.ts";
import { createAdmissionControl } from "../../src/rpc/limits/admission.ts";
import { Concurrency } from "../../src/rpc/limits/concurrency.ts";
import { limitOpenCalls } from "../../src/rpc/limits/open-calls.ts";
import { priorityOf } from "../../src/rpc/limits/priorities.ts";
import { times } from "../support/engine/races.ts";

const { verifyTotpCode } = MfaService.method;
const { listEvents, redeemChallenge } = InternalMfaService.method;
const { issueTemporaryPass, exportUser } = AdminMfaService.method;

/** Work whose calls end when the test says so, in the order in which they begin. */
function slowWork(maxQueueMs = 60_000) {
  const hits: string[] = [];
  const work = createAdmissionControl(maxQueueMs, (limit) => hits.push(limit));
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const run = (method: Parameters<typeof work.run>[0], peer: string, name = method.name) =>
    work.run(method, peer, () => {
      begun.push(name);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  return { work, hits, begun, run, end: () => ends.shift()?.() };
}

test("proofs and redemptions go first, lists and exports last", () => {
  expect([verifyTotpCode, redeemChallenge].map(priorityOf)).toEqual([0, 0]);
  expect(priorityOf(issueTemporaryPass)).toBe(1);
  expect([listEvents, exportUser].map(priorityOf)).toEqual([2, 2]);
});

test("so many run at once, the urgent before the rest, and connections in turn", async () => {
  const { work, begun, run, end } = slowWork();
  const places = work.counts().places;
  for (let n = 0; n < places; n += 1) void run(verifyTotpCode, "flood");
  begun.length = 0;
  for (let n = 0; n < 3; n += 1) void run(verifyTotpCode, "flood", `flood ${n}`);
  void run(listEvents, "other", "list");
  void run(issueTemporaryPass, "other", "pass");
  void run(verifyTotpCode, "other", "proof");
  expect(begun).toEqual([]);
  expect(work.counts()).toEqual({ running: places, waiting: 6, places });
  for (const _ of times(3, () => 0)) {
    end();
    await sleep(0);
  }
  expect(begun).toEqual(["flood 0", "proof", "flood 1"]);
});

test("lists leave places for proofs, however many of them come", async () => {
  const { work, run } = slowWork();
  for (let n = 0; n < 1_000; n += 1) void run(listEvents, "flood");
  const { running, places } = work.counts();
  expect(running).toBe(places / 2);
  void run(verifyTotpCode, "other");
  expect(work.counts().running).toBe(running + 1);
});

test("what waits too long is refused with the time to come again, before it began", async () => {
  const { work, begun, hits, run } = slowWork(1);
  const places = work.counts().places;
  for (let n = 0; n < places; n += 1) void run(verifyTotpCode, "flood");
  const refused = await run(verifyTotpCode, "other").catch((thrown: unknown) => thrown);
  expect(refused).toBeInstanceOf(Refusal);
  expect(refused).toMatchObject({ reason: "OVERLOADED", retryAfterMs: 1_000 });
  expect([begun.length, hits]).toEqual([places, ["overload"]]);
});

test("a call that fails gives its place back", async () => {
  const { work } = slowWork();
  const failing = () => work.run(verifyTotpCode, "one", () => Promise.reject(new Error("no")));
  for (let n = 0; n < 300; n += 1) await expect(failing()).rejects.toThrow("no");
  expect(work.counts()).toMatchObject({ running: 0, waiting: 0 });
});

test("fewer run at once where calls take much longer than they do alone, and never fewer than 32", async () => {
  const concurrency = new Concurrency();
  const before = concurrency.limit;
  concurrency.took("x", 1);
  for (let n = 0; n < 30; n += 1) {
    await sleep(210);
    for (let m = 0; m < 20; m += 1) concurrency.took("x", 50);
    if (concurrency.limit === 32) break;
  }
  expect(before).toBeGreaterThan(32);
  expect(concurrency.limit).toBe(32);
});

test("one connection holds four fifths of all calls at most, and lists leave room for proofs", () => {
  const hits: string[] = [];
  const calls = limitOpenCalls(100, (limit) => hits.push(limit));
  const fill = (peer: string, priority: 0 | 1 | 2) =>
    times(100, () => calls.open(peer, priority)).filter(Boolean).length;
  expect(fill("one", 0)).toBe(80);
  expect(fill("two", 2)).toBe(0);
  expect(fill("two", 1)).toBe(0);
  expect(fill("three", 0)).toBe(16);
  expect(hits.length).toBeGreaterThan(0);
});

import { setTimeout as wait } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { createSharedTimeout } from "../../src/rpc/limits/shared-timeout.ts";

test("what takes too long is ended, the oldest first, and what was taken back is not", async () => {
  const limit = createSharedTimeout(30);
  const ended: string[] = [];
  limit.begin(() => ended.push("first"));
  const over = limit.begin(() => ended.push("over"));
  limit.begin(() => {
    ended.push("third");
    limit.begin(() => ended.push("fourth"));
  });
  over();
  await vi.waitUntil(() => ended.length === 3);
  expect(ended).toEqual(["first", "third", "fourth"]);
});

test("nothing is ended before its own time", async () => {
  const limit = createSharedTimeout(200);
  const lasted: number[] = [];
  const begin = () => {
    const began = performance.now();
    limit.begin(() => lasted.push(performance.now() - began));
  };
  begin();
  await wait(100);
  begin();
  await vi.waitUntil(() => lasted.length === 2);
  expect(Math.min(...lasted)).toBeGreaterThanOrEqual(200);
});

test("any number of them costs one timer, which keeps no process running", () => {
  const running = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  const before = running();
  const set = vi.spyOn(globalThis, "setTimeout");
  const limit = createSharedTimeout(60_000);
  for (let n = 0; n < 1_000; n += 1) limit.begin(() => {});
  expect(set).toHaveBeenCalledTimes(1);
  expect(running()).toBe(before);
});

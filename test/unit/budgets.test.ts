import { describe, expect, test } from "vitest";
import type { Slice } from "../../src/factors/otp/budgets.table.ts";
import { type Budget, exceeds, settled } from "../../src/factors/otp/budgets.ts";

const SECOND = 1000;
const budget: Budget = { name: "b", limit: 3, windowMs: 60 * SECOND, sliceMs: SECOND };
const at = (seconds: number) => new Date(seconds * SECOND);
const slice = (second: number, drawn = 1, fruitful = 0): Slice => [second, drawn, fruitful];

describe("budgets", () => {
  test("are exceeded at their limit, and say from when on no more", () => {
    expect(exceeds([slice(1), slice(2)], budget, at(3))).toBeUndefined();
    expect(exceeds([slice(1), slice(2), slice(3)], budget, at(4))).toEqual({ name: "b", retryTime: at(62) });
    expect(exceeds([slice(1), slice(2), slice(3)], budget, at(61.9))).toBeDefined();
    expect(exceeds([slice(1), slice(2), slice(3)], budget, at(62))).toBeUndefined();
  });

  test("never let more than the limit into any window, wherever it begins", () => {
    const drawn: number[] = [];
    let slices: Slice[] = [];
    for (let second = 0; second < 600; second += 0.5) {
      if (exceeds(slices, budget, at(second))) continue;
      drawn.push(second);
      slices = [...slices, slice(Math.floor(second))];
    }
    for (const from of drawn) {
      expect(drawn.filter((second) => second >= from && second < from + 60).length).toBeLessThanOrEqual(3);
    }
    expect(drawn.length).toBeGreaterThan(25);
  });

  test("count what was drawn under a clock that was set back as drawn now, for one window and no longer", () => {
    const ahead = [slice(2, 1, 1), slice(5000, 3, 1)];
    expect(exceeds(ahead, budget, at(3))).toEqual({ name: "b", retryTime: at(5061) });
    const now = settled(ahead, budget, at(3));
    expect(now).toEqual([slice(2, 1, 1), slice(3, 3, 1)]);
    expect(exceeds(now, budget, at(3))).toEqual({ name: "b", retryTime: at(64) });
    expect(settled(now, budget, at(3))).toBe(now);
  });

  test("are exceeded early when next to nothing comes of them", () => {
    const watched: Budget = { ...budget, limit: 100, fruitful: { after: 10, share: 0.2 } };
    expect(exceeds([slice(1, 9, 0)], watched, at(2))).toBeUndefined();
    expect(exceeds([slice(1, 10, 1)], watched, at(2))).toBeDefined();
    expect(exceeds([slice(1, 10, 2)], watched, at(2))).toBeUndefined();
  });
});

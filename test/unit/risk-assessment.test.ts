import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assess, type RiskFacts } from "../../src/risk/assessment.ts";
import { isFull } from "../support/engine/races.ts";

const rounds = { numRuns: isFull ? 100_000 : 10_000 };
const LEVELS = ["LOW", "MEDIUM", "HIGH"];

/** A log-in with nothing against it. */
const calm: RiskFacts = {
  device: "known",
  network: "known",
  country: "known",
  countryCode: "DE",
  travelKmh: 0,
  failures: 0,
  dayFailures: 0,
  inactiveDays: 0,
  listed: false,
  trusted: false,
  reported: false,
  caller: [],
  broken: [],
};

const sightings = ["known", "first", "new"] as const;
const numbers = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.double({ min: 0, max: 1e9, noNaN: true }));
const part = fc.oneof(fc.constantFrom(0, 0.25, 0.5, 0.75, 1), fc.double({ min: 0, max: 1, noNaN: true }));
const signals = fc.array(fc.record({ name: fc.constantFrom("reputation", "bot"), value: part }), { maxLength: 20 });

const anyFacts: fc.Arbitrary<RiskFacts> = fc.record({
  device: fc.constantFrom(...sightings),
  network: fc.constantFrom(...sightings),
  country: fc.constantFrom(...sightings, "absent" as const),
  countryCode: fc.constantFrom("", "DE", "FR"),
  travelKmh: fc.option(fc.oneof(numbers, fc.constantFrom(999.9, 1000, 1000.1)), { nil: null }),
  failures: numbers,
  dayFailures: numbers,
  inactiveDays: fc.oneof(numbers, fc.integer({ min: 80, max: 400 })),
  listed: fc.boolean(),
  trusted: fc.boolean(),
  reported: fc.boolean(),
  caller: signals,
  broken: fc.oneof(
    { weight: 4, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: fc.array(fc.string()) },
  ),
});

const later = <T>(order: readonly T[], a: T, b: T) => order[Math.max(order.indexOf(a), order.indexOf(b))] as T;

/** Two facts put together so that each of the result is as bad as in either: worse than both. */
function worse(a: RiskFacts, b: RiskFacts): RiskFacts {
  const known = <T extends string>(x: T, y: T) => later(["absent", ...sightings] as unknown as T[], x, y);
  return {
    device: known(a.device, b.device),
    network: known(a.network, b.network),
    country: known(a.country, b.country),
    countryCode: a.countryCode,
    travelKmh: a.travelKmh === null ? b.travelKmh : Math.max(a.travelKmh, b.travelKmh ?? 0),
    failures: Math.max(a.failures, b.failures),
    dayFailures: Math.max(a.dayFailures, b.dayFailures),
    inactiveDays: Math.max(a.inactiveDays, b.inactiveDays),
    listed: a.listed && b.listed,
    trusted: a.trusted && b.trusted,
    reported: a.reported || b.reported,
    caller: [
      ...a.caller.map(({ name, value }, n) => ({ name, value: Math.max(value, b.caller[n]?.value ?? 0) })),
      ...b.caller.slice(a.caller.length),
    ],
    broken: [...a.broken, ...b.broken],
  };
}

describe("risk", () => {
  test("is judged of whatever comes, and what cannot be read is of high risk", () => {
    const wrong = fc.oneof(
      fc.anything(),
      anyFacts.chain((facts) =>
        fc
          .constantFrom(...Object.keys(facts))
          .chain((key) => fc.anything().map((value) => ({ ...facts, [key]: value }))),
      ),
      anyFacts.map((facts) => ({ ...facts, more: 1 })),
    );
    let unreadable = 0;
    fc.assert(
      fc.property(wrong, (given) => {
        const { level, reasons } = assess(given);
        expect(LEVELS).toContain(level);
        if (reasons[0]?.signal !== "INVALID_INPUT") return;
        unreadable += 1;
        expect(level).toBe("HIGH");
      }),
      rounds,
    );
    const hostile = new Proxy(
      { ...calm },
      {
        get() {
          throw new Error("not to be looked at");
        },
      },
    );
    for (const given of [hostile, { ...calm, caller: [hostile] }]) expect(assess(given).level).toBe("HIGH");
    expect(unreadable).toBeGreaterThan(rounds.numRuns / 2);
  });

  test("is never lower with a worse fact in the place of another", () => {
    const moved = new Set<string>();
    fc.assert(
      fc.property(anyFacts, anyFacts, fc.constantFrom(...Object.keys(calm)), (a, b, only) => {
        // One fact worse, and all of them.
        const all = worse(a, b);
        for (const facts of [{ ...a, [only]: all[only as keyof RiskFacts] }, all]) {
          const [before, after] = [assess(a), assess(facts)];
          expect(LEVELS.indexOf(after.level)).toBeGreaterThanOrEqual(LEVELS.indexOf(before.level));
          if (before.level !== after.level) moved.add(`${before.level} ${after.level}`);
        }
      }),
      rounds,
    );
    expect(moved).toEqual(new Set(["LOW MEDIUM", "LOW HIGH", "MEDIUM HIGH"]));
  });

  test.each<[string, Partial<RiskFacts>, string]>([
    ["nothing unusual", {}, "LOW"],
    ["nothing seen before", { device: "first", network: "first", country: "first" }, "LOW"],
    ["a new network", { network: "new" }, "LOW"],
    ["a new device", { device: "new" }, "MEDIUM"],
    ["a new device in a listed network", { device: "new", network: "new", listed: true }, "LOW"],
    ["a new device in a new country", { device: "new", network: "new", country: "new" }, "HIGH"],
    ["two failures", { failures: 2 }, "LOW"],
    ["five failures", { failures: 5 }, "MEDIUM"],
    ["ten failures in a day", { dayFailures: 10 }, "HIGH"],
    ["half a year away", { inactiveDays: 180 }, "LOW"],
    ["a year away", { inactiveDays: 365 }, "MEDIUM"],
    ["impossible travel", { travelKmh: 1000 }, "HIGH"],
    [
      "impossible travel of a trusted device in a listed network",
      { travelKmh: 9000, trusted: true, listed: true },
      "MEDIUM",
    ],
    ["what the user reported, wherever it comes from", { reported: true, trusted: true, listed: true }, "HIGH"],
    ["the caller's worst", { caller: [{ name: "bot", value: 1 }] }, "HIGH"],
    ["the caller's doubt", { caller: [{ name: "bot", value: 0.5 }] }, "MEDIUM"],
    ["a number that is none", { failures: Number.NaN }, "HIGH"],
    ["a number below zero", { inactiveDays: -1 }, "HIGH"],
    ["a number without end", { travelKmh: Number.POSITIVE_INFINITY }, "HIGH"],
    ["what could not be read", { broken: ["client.ip"], trusted: true, listed: true }, "HIGH"],
  ])("takes %s for what it is", (_, facts, level) => expect(assess({ ...calm, ...facts }).level).toBe(level));

  test("says what weighed how much, and which signals there were none of", () => {
    const { reasons, points } = assess({ ...calm, device: "new", country: "absent", travelKmh: null, listed: true });
    expect(reasons.map(({ signal, points, rule }) => [signal, points, rule])).toEqual([
      ["NEW_DEVICE", 30, "new-device"],
      ["NEW_COUNTRY", 0, "absent"],
      ["IMPOSSIBLE_TRAVEL", 0, "absent"],
      ["IP_WHITELIST", -20, "listed-network"],
    ]);
    expect(points).toBe(10);
  });
});

import * as v from "valibot";
import type { RiskSignalType } from "../../gen/mfa/v1/risk_pb.js";
import { LEVELS, type Level } from "./requirement.ts";

/** A signal, by the contract's names. */
export type Signal = Exclude<keyof typeof RiskSignalType, "UNSPECIFIED">;

/** Whether something was seen with the user before. "first": nothing was, so there is nothing to compare it with. */
const sighting = v.picklist(["known", "first", "new"]);
const count = v.pipe(v.number(), v.finite(), v.minValue(0));

const factsSchema = v.strictObject({
  device: sighting,
  network: sighting,
  /** "absent" where nothing is known of places. */
  country: v.union([sighting, v.literal("absent")]),
  countryCode: v.string(),
  /** How fast the user would have come here from the last place; null where a place is not known. */
  travelKmh: v.nullable(count),
  /** Failed proofs in a row, and in the last day. */
  failures: count,
  dayFailures: count,
  /** Since the last log-in; 0 where there was none. */
  inactiveDays: count,
  listed: v.boolean(),
  trusted: v.boolean(),
  /** Whether the user denied a push with "not me" in the last day. */
  reported: v.boolean(),
  /** What the caller knows: how bad, from 0 to 1. */
  caller: v.array(
    v.strictObject({
      name: v.string(),
      detail: v.optional(v.string(), ""),
      value: v.pipe(v.number(), v.finite(), v.minValue(0), v.maxValue(1)),
    }),
  ),
  /** What could not be read. */
  broken: v.array(v.string()),
});

/** What is known of a log-in, as far as risk goes. */
export type RiskFacts = v.InferInput<typeof factsSchema>;

/** One signal's share. */
export interface RiskContribution {
  readonly signal: Signal;
  /** The caller's name for it; empty for the service's own. */
  readonly name: string;
  readonly value: string;
  /** In points; 100 are the contract's 1. */
  readonly points: number;
  readonly rule: string;
  /** What the caller saw it by; absent for the service's own signals, and where the caller does not say. */
  readonly detail?: string;
}

/** How risky a log-in is, and why. */
export interface Assessment {
  readonly level: Level;
  readonly points: number;
  readonly reasons: readonly RiskContribution[];
}

/** From how many points on a log-in is of medium and of high risk. */
const MEDIUM_POINTS = 30;
const HIGH_POINTS = 60;
/** What one of the caller's signals weighs at most: enough for the high level. */
const CALLER_POINTS = 60;
/** Faster than airliners. */
const IMPOSSIBLE_KMH = 1000;

const strictest = (value: string): Assessment => ({
  level: "HIGH",
  points: 100,
  reasons: [{ signal: "INVALID_INPUT", name: "", value, points: 100, rule: "strictest" }],
});

/** The points of the highest step that is reached. */
const step = (value: number, steps: readonly (readonly [from: number, points: number])[]) =>
  steps.reduce((points, [from, worth]) => (value >= from ? Math.max(points, worth) : points), 0);

type Weighed = Omit<RiskContribution, "name"> & { readonly name?: string; readonly atLeast?: Level };

/** Each fact by itself, so that no fact can make another count for less. */
function weigh(facts: v.InferOutput<typeof factsSchema>): Weighed[] {
  const { travelKmh } = facts;
  const failures = Math.max(
    step(facts.failures, [
      [3, 15],
      [5, 30],
    ]),
    step(facts.dayFailures, [[10, 60]]),
  );
  return [
    { signal: "NEW_DEVICE", value: "new", points: facts.device === "new" ? 30 : 0, rule: "new-device" },
    { signal: "NEW_NETWORK", value: "new", points: facts.network === "new" ? 10 : 0, rule: "new-network" },
    {
      signal: "NEW_COUNTRY",
      value: facts.country === "absent" ? "not known" : `country ${facts.countryCode || "unknown"}`,
      points: facts.country === "new" ? 30 : 0,
      rule: facts.country === "absent" ? "absent" : "new-country",
    },
    {
      signal: "IMPOSSIBLE_TRAVEL",
      value: travelKmh === null ? "not known" : `${Math.round(travelKmh)} km/h`,
      points: travelKmh !== null && travelKmh >= IMPOSSIBLE_KMH ? 60 : 0,
      rule: travelKmh === null ? "absent" : "impossible-travel",
      // Neither a listed network nor a trusted device makes anybody faster.
      ...(travelKmh !== null && travelKmh >= IMPOSSIBLE_KMH && { atLeast: "MEDIUM" as const }),
    },
    {
      signal: "FAILED_ATTEMPTS",
      value: `${facts.failures} in a row, ${facts.dayFailures} in a day`,
      points: failures,
      rule: "failed-attempts",
    },
    {
      signal: "INACTIVITY",
      value: `${Math.floor(facts.inactiveDays)} days`,
      points: step(facts.inactiveDays, [
        [90, 15],
        [365, 30],
      ]),
      rule: "inactivity",
    },
    {
      signal: "REPORTED",
      value: "not me",
      points: facts.reported ? 60 : 0,
      rule: "reported",
      ...(facts.reported && { atLeast: "HIGH" as const }),
    },
    ...facts.caller.map(({ name, value, detail }) => ({
      ...({ signal: "CALLER", name, value: String(value), rule: "caller" } as const),
      ...(detail !== "" && { detail }),
      points: Math.round(value * CALLER_POINTS),
    })),
    { signal: "IP_WHITELIST", value: "listed", points: facts.listed ? -20 : 0, rule: "listed-network" },
    { signal: "TRUSTED_DEVICE", value: "trusted", points: facts.trusted ? -30 : 0, rule: "trusted-device" },
  ];
}

function read(given: unknown): v.InferOutput<typeof factsSchema> | undefined {
  try {
    const parsed = v.safeParse(factsSchema, given);
    return parsed.success ? parsed.output : undefined;
  } catch {
    // Even what fails when it is looked at.
    return undefined;
  }
}

const levelOf = (points: number): Level => {
  if (points >= HIGH_POINTS) return "HIGH";
  return points >= MEDIUM_POINTS ? "MEDIUM" : "LOW";
};

const higher = (a: Level, b: Level): Level => (LEVELS.indexOf(a) > LEVELS.indexOf(b) ? a : b);

/**
 * How risky a log-in is. Total: whatever it is given, it answers, and what it cannot read is of high risk. Monotone:
 * with a worse fact in the place of another the level is never lower.
 */
export function assess(given: unknown): Assessment {
  const facts = read(given);
  if (!facts) return strictest("unreadable");
  if (facts.broken.length > 0) return strictest(facts.broken.join(", "));
  const weighed = weigh(facts);
  const points = weighed.reduce((sum, reason) => sum + reason.points, 0);
  const level = weighed.reduce((most, { atLeast = "LOW" }) => higher(most, atLeast), levelOf(points));
  const reasons = weighed
    .filter((reason) => reason.points !== 0 || reason.rule === "absent" || reason.detail !== undefined)
    .map(({ atLeast: _, name = "", ...reason }) => ({ name, ...reason }));
  return { level, points, reasons };
}

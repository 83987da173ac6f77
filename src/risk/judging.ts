import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import type { Tx } from "../db/store.ts";
import { eventRepository } from "../events/events.repository.ts";
import { recordEvent } from "../events/events.ts";
import type { Factor } from "../factors/factor.ts";
import type { Held } from "../factors/index.ts";
import { isOn } from "../factors/strength.ts";
import { failuresOf } from "../protection/lockouts.ts";
import type { Settings } from "../tenants/settings.ts";
import { type Assessment, assess, type Facts } from "./assessment.ts";
import { type Decided, decide, type Standing } from "./decision.ts";
import type { Histories, Look, Origin } from "./history.ts";
import type { Requirement, Requirements } from "./requirement.ts";
import { type RiskDecisionRow, riskDecisionRepository } from "./risk-decisions.repository.ts";
import { policyInForce } from "./risk-policies.ts";

/** What judging needs of the process. */
export interface JudgingOptions {
  readonly factors: readonly Factor[];
  readonly histories: Histories;
}

/** A log-in to be judged. */
export interface LogInSeen extends Origin {
  readonly client: Call["client"];
  /** What the caller knows that bears on risk. */
  readonly signals: Facts["caller"];
  /** Whether the tenant has listed the client's network. */
  readonly listed: boolean;
  readonly trusted: boolean;
}

/** What was judged. */
export interface Judgement {
  readonly assessment: Assessment;
  readonly requirement: Requirement;
  readonly decided: Decided;
  readonly standing: Standing;
  readonly look: Look;
  readonly newDevice: boolean;
  readonly policyVersion: number;
}

const DAY_MS = 24 * 3600 * 1000;

/** What of a user's factors could be proved at present. */
export const standingOf = (held: readonly Held[], settings: Settings): Pick<Standing, "held" | "enrolled"> => {
  const active = held.filter(({ state, remainingUses }) => state === "ACTIVE" && remainingUses !== 0);
  return {
    held: active
      .filter(({ factor }) => isOn(factor, settings))
      .map(({ factor: { type }, deviceBound = false }) => ({ type, deviceBound })),
    enrolled: active.some(({ factor }) => factor.counts),
  };
};

/** Judges log-ins: what is known of one, how risky that is, and what it needs by the policy of its level. */
export function createJudging({ factors, histories }: JudgingOptions) {
  const gather = async (tx: Tx, owner: Owner, logIn: LogInSeen, now: Date) => {
    const { client, fingerprint, signals, listed, trusted } = logIn;
    const seen = await histories.compare(tx, owner, { client, fingerprint }, now);
    const failures = await failuresOf(tx, owner, now);
    const reported = await eventRepository(tx).happened(owner, "PUSH_REPORTED", new Date(now.getTime() - DAY_MS));
    const facts: Facts = {
      ...seen.facts,
      ...(trusted && { device: "known" as const }),
      failures: failures.inRow,
      dayFailures: failures.inDay,
      ...{ listed, trusted },
      reported,
      caller: signals,
      // Nobody said where the user is, or what said so could not be read.
      broken: client.trusted && client.ip !== "" ? [] : ["client.ip"],
    };
    return { facts, look: seen.look, newDevice: facts.device !== "known" };
  };

  return {
    /** Judges by the tenant's policy or another one. The same statements for users that are not known. */
    async judge(
      tx: Tx,
      owner: Owner,
      seen: LogInSeen,
      { standing, candidate, now }: { standing: Standing; candidate?: Requirements | undefined; now: Date },
    ): Promise<Judgement> {
      const { facts, look, newDevice } = await gather(tx, owner, seen, now);
      const inForce = await policyInForce(tx, owner.tenantId);
      const assessment = assess(facts);
      const requirement = (candidate ?? inForce.levels)[assessment.level];
      const decided = decide(factors, { level: assessment.level, requirement }, standing);
      const policyVersion = candidate ? 0 : inForce.version;
      return { assessment, requirement, decided, standing, look, newDevice, policyVersion };
    },

    /** Records a judgement in its unit: `look` is kept where a log-in is under way, and then medium and high risk is told. */
    async record(
      tx: Tx,
      call: Call,
      owner: Owner,
      { judgement, client, underWay }: { judgement: Judgement; client: Call["client"]; underWay: boolean },
    ): Promise<RiskDecisionRow> {
      const row = rowOf(call, owner, { judgement, client, underWay });
      await riskDecisionRepository(tx).insert(row);
      if (underWay && row.level !== "LOW") await recordEvent(tx, call, { owner, type: "RISK_ASSESSED" });
      return row;
    },

    /** A past decision by another policy: the facts stay as they were. */
    rejudge: ({ level, standing }: RiskDecisionRow, levels: Requirements): Decided =>
      decide(factors, { level, requirement: levels[level] }, standing),
  };
}

/** A judgement as it is recorded. */
export function rowOf(
  call: Call,
  owner: Owner,
  { judgement, client, underWay }: { judgement: Judgement; client: Call["client"]; underWay: boolean },
): RiskDecisionRow {
  const { assessment, requirement, decided, standing, look, newDevice, policyVersion } = judgement;
  return {
    ...owner,
    ...{ decisionId: newId(), requirement, standing, newDevice, policyVersion, createTime: call.now },
    level: assessment.level,
    decision: decided.decision,
    reasons: assessment.reasons,
    look: underWay ? look : null,
    ip: client.ip,
    application: client.application,
  };
}

/** Judges log-ins. */
export type Judging = ReturnType<typeof createJudging>;

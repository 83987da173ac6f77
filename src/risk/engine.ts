import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import type { Owner, Tx } from "../db/store.ts";
import { eventRepository } from "../events/events.repository.ts";
import { recordEvent } from "../events/events.ts";
import type { Factor } from "../factors/factor.ts";
import { enrollableBy, factors, type Held } from "../factors/index.ts";
import { isUsable } from "../factors/strength.ts";
import { failuresOf } from "../protection/lockouts.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { type Assessment, assess, type RiskFacts } from "./assessment.ts";
import { type Decided, decide, type Posture } from "./decision.ts";
import type { Histories, LogInOrigin, Look } from "./history.ts";
import { policyInForce } from "./policy-in-force.ts";
import type { Requirement, Requirements } from "./requirement.ts";
import { type RiskDecisionRow, riskDecisionRepository } from "./risk-decisions.repository.ts";

/** Dependencies of judging. */
export interface RiskEngineOptions {
  readonly factors: readonly Factor[];
  readonly histories: Histories;
}

/** A log-in to be judged. */
export interface LogInSeen extends LogInOrigin {
  readonly client: Call["client"];
  /** What the caller knows that bears on risk. */
  readonly signals: RiskFacts["caller"];
  /** Whether the tenant has listed the client's network. */
  readonly listed: boolean;
  readonly trusted: boolean;
}

/** What was judged. */
export interface RiskJudgement {
  readonly assessment: Assessment;
  readonly requirement: Requirement;
  readonly decided: Decided;
  readonly standing: Posture;
  readonly look: Look;
  readonly newDevice: boolean;
  readonly policyVersion: number;
}

/** A judgement to be recorded. */
export interface Recorded {
  readonly judgement: RiskJudgement;
  readonly client: Call["client"];
  /** Of a log-in that is under way: for which session, and what was stated of the user; false where none is. */
  readonly underWay: Pick<RiskDecisionRow, "sessionDigest" | "stated"> | false;
}

const DAY_MS = 24 * 3600 * 1000;

/** What of a user's factors could be proved at present. */
export const postureOf = (
  held: readonly Held[],
  settings: EffectiveSettings,
): Omit<Posture, "trusted" | "asked" | "enforced"> => {
  const usable = held.filter((one) => isUsable(one, settings));
  return {
    held: usable.map(({ factor: { type }, deviceBound = false }) => ({ type, deviceBound })),
    // Also by what the tenant no longer admits: nobody enrolls beside it by a password alone.
    enrolled: held.some(({ factor, state }) => factor.counts && state === "ACTIVE"),
    on: factors.filter((factor) => factor.isOn(settings)).map(({ type }) => type),
    enrollable: enrollableBy(held, settings).map(({ type }) => type),
  };
};

/** Judges log-ins: what is known of one, how risky that is, and what it needs by the policy of its level. */
export function createRiskEngine({ factors: known, histories }: RiskEngineOptions) {
  const gather = async (tx: Tx, owner: Owner, logIn: LogInSeen, now: Date) => {
    const { client, fingerprint, signals, listed, trusted } = logIn;
    const seen = await histories.compare(tx, owner, { client, fingerprint }, now);
    const failures = await failuresOf(tx, owner, now);
    const reported = await eventRepository(tx).happened(owner, "PUSH_REPORTED", new Date(now.getTime() - DAY_MS));
    const facts: RiskFacts = {
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
      { standing, candidate, now }: { standing: Posture; candidate?: Requirements | undefined; now: Date },
    ): Promise<RiskJudgement> {
      const { facts, look, newDevice } = await gather(tx, owner, seen, now);
      const inForce = await policyInForce(tx, owner.tenantId);
      const assessment = assess(facts);
      const requirement = (candidate ?? inForce.levels)[assessment.level];
      const decided = decide(known, { level: assessment.level, requirement }, standing);
      const policyVersion = candidate ? 0 : inForce.version;
      return { assessment, requirement, decided, standing, look, newDevice, policyVersion };
    },

    /** Records a judgement in its unit: `look` is kept where a log-in is under way, and then medium and high risk is told. */
    async record(tx: Tx, call: Call, owner: Owner, recorded: Recorded): Promise<RiskDecisionRow> {
      const row = rowOf(call, owner, recorded);
      await riskDecisionRepository(tx).insert(row);
      if (recorded.underWay && row.level !== "LOW") await recordEvent(tx, call, { owner, type: "RISK_ASSESSED" });
      return row;
    },

    /** A past decision by another policy: the facts stay as they were. */
    rejudge: ({ level, standing }: RiskDecisionRow, levels: Requirements): Decided =>
      decide(known, { level, requirement: levels[level] }, standing),
  };
}

/** A judgement as it is recorded. */
export function rowOf(call: Call, owner: Owner, { judgement, client, underWay }: Recorded): RiskDecisionRow {
  const { assessment, requirement, decided, standing, look, newDevice, policyVersion } = judgement;
  return {
    ...owner,
    ...{ decisionId: newId(), requirement, standing, newDevice, policyVersion, createTime: call.now },
    level: assessment.level,
    decision: decided.decision,
    reasons: assessment.reasons,
    look: underWay ? look : null,
    requestedBy: call.caller.subject,
    sessionDigest: underWay ? underWay.sessionDigest : null,
    stated: underWay ? underWay.stated : null,
    ip: client.ip,
    application: client.application,
  };
}

/** Judges log-ins. */
export type RiskEngine = ReturnType<typeof createRiskEngine>;

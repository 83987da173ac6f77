import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import {
  MfaDecision,
  type MfaRiskPolicy,
  RiskLevel,
  type RiskRequirement,
  RiskSignalType,
} from "../../gen/mfa/v1/risk_pb.js";
import type { Factor } from "../factors/factor.ts";
import type { Strength } from "../factors/strength.ts";
import type { RiskContribution } from "./assessment.ts";
import type { Level, Requirement, Requirements } from "./requirement.ts";
import type { RiskDecisionRow } from "./risk-decisions.repository.ts";
import type { Replay } from "./risk-decisions.ts";
import type { LevelPolicy } from "./risk-policies.ts";

const typeNames = (types: readonly FactorType[]) => types.map((type) => FactorType[type] as Factor["type"]); // rules on the field admit no other

/** Reads what a level is to ask for. */
export const readRequirement = ({ anyOf, strength, block, allowTrusted }: RiskRequirement): Requirement => ({
  anyOf: anyOf.map(({ allOf }) => typeNames(allOf)),
  strength: AuthenticationStrength[strength] as Strength,
  ...{ block, allowTrusted },
});

/** What levels ask for that a request leaves out: nobody gets in. */
const nothing: Requirement = { anyOf: [], strength: "UNSPECIFIED", block: true, allowTrusted: false };

/** Reads what all levels are to ask for. */
export const readRequirements = (policy: MfaRiskPolicy | undefined): Requirements => ({
  LOW: policy?.lowRisk ? readRequirement(policy.lowRisk) : nothing,
  MEDIUM: policy?.mediumRisk ? readRequirement(policy.mediumRisk) : nothing,
  HIGH: policy?.highRisk ? readRequirement(policy.highRisk) : nothing,
});

/** The level of a request; its rule admits none but the three. */
export const readLevel = (level: RiskLevel): Level => RiskLevel[level] as Level;

/** What a level asks for, as the contract has it. */
const requirementMessage = ({ anyOf, strength, block, allowTrusted }: Requirement) => ({
  anyOf: anyOf.map((group) => ({ allOf: group.map((type) => FactorType[type]) })),
  strength: AuthenticationStrength[strength],
  ...{ block, allowTrusted },
});

/** What all levels ask for, as the contract has it. */
export const requirementsMessage = ({ LOW, MEDIUM, HIGH }: Requirements) => ({
  lowRisk: requirementMessage(LOW),
  mediumRisk: requirementMessage(MEDIUM),
  highRisk: requirementMessage(HIGH),
});

/** One level, as the contract has it. */
export const policyMessage = ({ level, requirement, row }: LevelPolicy) => ({
  level: RiskLevel[level],
  requirement: requirementMessage(requirement),
  policyId: row?.policyId ?? "",
  description: row?.description ?? "",
  enabled: row?.enabled ?? true,
  defaultPolicy: row === undefined,
  version: BigInt(row?.version ?? 0),
  ...(row && { createTime: timestampFromDate(row.createTime), updateTime: timestampFromDate(row.updateTime) }),
});

/** Why a log-in was judged as it was, as the contract has it. */
export const reasonMessage = ({ signal, points, ...rest }: RiskContribution) => ({
  ...rest,
  signal: RiskSignalType[signal],
  weight: points / 100,
});

/** A decision, as the contract has it. */
export const decisionMessage = (row: RiskDecisionRow) => ({
  decisionId: row.decisionId,
  userId: row.userId,
  level: RiskLevel[row.level],
  decision: MfaDecision[row.decision],
  reasons: row.reasons.map(reasonMessage),
  requirement: requirementMessage(row.requirement),
  newDevice: row.newDevice,
  policyVersion: BigInt(row.policyVersion),
  ip: row.ip,
  application: row.application,
  createTime: timestampFromDate(row.createTime),
});

/** The name of an enum's value that filters; empty where none is asked for. */
export const filterName = (value: RiskLevel | MfaDecision, names: Record<number, string>): string =>
  value === 0 ? "" : (names[value] ?? "");

/** How many decisions went from one outcome to another, as the contract has it. */
export const transitionMessage = ({ before, after, count }: Replay["transitions"][number]) => ({
  before: MfaDecision[before],
  after: MfaDecision[after],
  count: BigInt(count),
});

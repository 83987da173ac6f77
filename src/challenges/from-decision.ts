import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { isSameDigest } from "../core/session-digest.ts";
import type { Owner, Tx } from "../db/store.ts";
import { demandedAt } from "../enforcement/enforcement.ts";
import type { Factor } from "../factors/factor.ts";
import { strongest } from "../factors/strength.ts";
import type { Histories } from "../risk/history.ts";
import { policyInForce } from "../risk/policy-in-force.ts";
import type { Requirement } from "../risk/requirement.ts";
import { type RiskDecisionRow, riskDecisionRepository } from "../risk/risk-decisions.repository.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import { canProve, proofMeets } from "./proof-strength.ts";
import { notAllowed } from "./refusals.ts";
import type { TermColumns } from "./terms.ts";

/** How long after a decision a challenge may follow it. */
const FOLLOWED_MS = 10 * 60_000;

/**
 * The decision that a challenge is to follow from; one about another user, about no log-in or of another backend is none.
 * One about another session, or about none where one is stated, is refused: what was asked for one log-in lets in no other.
 */
export async function findDecision(
  tx: Tx,
  call: Call,
  owner: Owner,
  { decisionId, session }: { readonly decisionId: string; readonly session: Buffer | null },
): Promise<RiskDecisionRow | Refusal> {
  const row = await riskDecisionRepository(tx).find(owner, decisionId);
  if (!row?.look || !["", call.caller.subject].includes(row.requestedBy)) return new Refusal("NOT_FOUND");
  if (!isSameDigest(row.sessionDigest, session)) {
    return new Refusal("INVALID_FIELD", { metadata: { field: "terms.session_id" } });
  }
  if (row.createTime.getTime() + FOLLOWED_MS <= call.now.getTime()) return new Refusal("CHALLENGE_EXPIRED");
  return row.decision === "DENY" ? new Refusal("POLICY_FORBIDS", { metadata: { policy: "risk" } }) : row;
}

/** Returns what the rules now in force require of the decision's user. */
const enforcedNow = (tx: Tx, { tenantId, userId, stated }: RiskDecisionRow, now: Date) =>
  demandedAt(tx, { tenantId, userId }, stated, now);

/**
 * Returns the terms of a challenge that follows a decision: what the requester asks for, and at least what the decision
 * and the rules now in force require.
 */
export async function termsFromDecision(
  tx: Tx,
  terms: TermColumns,
  decision: RiskDecisionRow,
  now: Date,
): Promise<TermColumns | Refusal> {
  const { decisionId, requirement, standing } = decision;
  const { asked, enforced } = standing;
  const demanded = await enforcedNow(tx, decision, now);
  const strength = strongest(terms.strength, requirement.strength, asked, enforced, ...demanded);
  if (requirement.anyOf.length === 0) return { ...terms, decisionId, strength };
  const { allowedTypes } = terms;
  const isAllowed = (type: Factor["type"]) => allowedTypes.length === 0 || allowedTypes.includes(type);
  const groups = requirement.anyOf.filter(
    (group) => group.every(isAllowed) && group.some((type) => canProve(type, strength)),
  );
  const types = [...new Set(groups.flat())];
  if (types.length === 0) return notAllowed(requirement.anyOf.flat().map((type) => ({ type })));
  return { ...terms, decisionId, strength, groups, allowedTypes: types };
}

const isMet = ({ anyOf, strength, block }: Requirement, { proofs, provenType, facts }: ChallengeRow) => {
  const types = proofs?.map(({ type }) => type) ?? [provenType];
  const isComplete = anyOf.length === 0 || anyOf.some((group) => group.every((type) => types.includes(type)));
  return !block && isComplete && types.some((type) => proofMeets(type, facts, strength));
};

/**
 * Runs in the redeeming unit. Refuses where the level's policy or a rule now requires more than was proved; else
 * completes the log-in, and its device and network are known from now on. Returns the policy version of the challenge's
 * terms; 0 for none.
 */
export async function goThrough(tx: Tx, call: Call, row: ChallengeRow, histories: Histories): Promise<number> {
  const { tenantId, userId, decisionId } = row;
  if (decisionId === "") return 0;
  const owner = { tenantId, userId };
  const decision = await riskDecisionRepository(tx).find(owner, decisionId);
  // Retention has deleted the decision.
  if (!decision) throw new Refusal("CHALLENGE_EXPIRED");
  const { levels } = await policyInForce(tx, tenantId);
  const level = levels[decision.level];
  const strength = strongest(level.strength, ...(await enforcedNow(tx, decision, call.now)));
  if (!isMet({ ...level, strength }, row)) throw notAllowed([]);
  if (decision.look) await histories.remember(tx, owner, decision.look, call.now);
  return decision.policyVersion;
}

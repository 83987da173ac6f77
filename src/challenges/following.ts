import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import type { Factor } from "../factors/factor.ts";
import { strongest } from "../factors/strength.ts";
import type { Histories } from "../risk/history.ts";
import type { Requirement } from "../risk/requirement.ts";
import { type RiskDecisionRow, riskDecisionRepository } from "../risk/risk-decisions.repository.ts";
import { policyInForce } from "../risk/risk-policies.ts";
import type { ChallengeRow } from "./challenges.repository.ts";
import { notAllowed } from "./refusals.ts";
import type { Terms } from "./terms.ts";
import { canProve, isWorth } from "./worth.ts";

/** How long after a decision a challenge may follow from it. */
const FOLLOWED_MS = 10 * 60_000;

/** The decision that a challenge is to follow from; one about another user, or about no log-in, is none. */
export async function findDecision(
  tx: Tx,
  call: Call,
  owner: Owner,
  decisionId: string,
): Promise<RiskDecisionRow | Refusal> {
  const row = await riskDecisionRepository(tx).find(owner, decisionId);
  if (!row?.look) return new Refusal("NOT_FOUND");
  if (row.createTime.getTime() + FOLLOWED_MS <= call.now.getTime()) return new Refusal("CHALLENGE_EXPIRED");
  return row.decision === "DENY" ? new Refusal("POLICY_FORBIDS", { metadata: { policy: "risk" } }) : row;
}

/** What a challenge is to prove that follows from a decision: what its requester asks for, and no less than the decision. */
export function following(terms: Terms, { decisionId, requirement, standing }: RiskDecisionRow): Terms | Refusal {
  const { asked, enforced } = standing;
  const strength = strongest(terms.strength, requirement.strength, asked, enforced);
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
  return !block && isComplete && types.some((type) => isWorth(type, facts, strength));
};

/**
 * In the unit that redeems: refuses where the policy of the log-in's level has tightened beyond what was proved since;
 * else the log-in goes through, and its device and network are known from now on. Answers which version of the policy the
 * challenge's terms came from; 0 for none.
 */
export async function goThrough(tx: Tx, call: Call, row: ChallengeRow, histories: Histories): Promise<number> {
  const { tenantId, userId, decisionId } = row;
  if (decisionId === "") return 0;
  const owner = { tenantId, userId };
  const decision = await riskDecisionRepository(tx).find(owner, decisionId);
  // Forgotten meanwhile, with whatever it said.
  if (!decision) throw new Refusal("CHALLENGE_EXPIRED");
  const { levels } = await policyInForce(tx, tenantId);
  if (!isMet(levels[decision.level], row)) throw notAllowed([]);
  if (decision.look) await histories.remember(tx, owner, decision.look, call.now);
  return decision.policyVersion;
}

import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import type { AcceptedProof, ChallengeOutcomes } from "../factors/factor.ts";
import { factorOf, factors } from "../factors/index.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { PartialProof, TypeName } from "./challenges.table.ts";
import { factsOf, proofMeets } from "./proof-strength.ts";
import { type CurrentChallenge, findCurrentChallenge } from "./state.ts";

const rankOf = (type: TypeName) => factors.findIndex((factor) => factor.type === type);

/** How long a proven challenge can be redeemed. */
const PROVEN_MS = 5 * 60_000;

/** The proof of a challenge, and the epoch that the unit read when it locked the user's row. */
type Outcome = AcceptedProof & { readonly type: TypeName; readonly epoch: number };

/** Returns the strongest proof once the proofs complete a group and one of them meets the strength; else undefined. */
function completing(row: ChallengeRow, proofs: readonly PartialProof[]): PartialProof | undefined {
  const done = (row.groups ?? []).filter((group) => group.every((type) => proofs.some((proof) => proof.type === type)));
  const ranked = proofs
    .filter(({ type }) => done.some((group) => group.includes(type)))
    .toSorted((a, b) => rankOf(a.type) - rankOf(b.type));
  return ranked.find(({ type, facts }) => proofMeets(type, facts, row.strength));
}

/**
 * Pending to proven, in the unit that spent the proof. Throws, and so rolls back the spending, where the challenge is
 * no longer pending or the proof lacks the strength. With several required proofs it stays pending until the last.
 */
export async function provenIn(tx: Tx, call: Call, row: ChallengeRow, outcome: Outcome): Promise<CurrentChallenge> {
  const { tenantId, userId } = row;
  const { type, epoch, factorId } = outcome;
  const facts = factsOf(outcome);
  const isUnbound = row.requiresBinding && row.actionDigest !== null && !facts.signedAction;
  // What one of several proofs is to be worth is asked of all together; only, a key that is not bound to its device would
  // take the place of one that is.
  const isSole = row.groups === null || (row.strength === "DEVICE_BOUND" && factorOf(type).canBeDeviceBound);
  const isWeak = isSole && !proofMeets(type, facts, row.strength);
  const isRepeated = row.proofs?.some((proof) => proof.type === type) ?? false;
  if (isWeak || isUnbound || isRepeated) throw new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
  // Spending may itself have changed the user's factors.
  const user = await userRepository(tx).find({ tenantId, userId });
  const proofs = row.groups && [...(row.proofs ?? []), { type, factorId, facts }];
  const stated = proofs ? completing(row, proofs) : { type, factorId, facts };
  // The whole row, read and verified in this unit, since the MAC covers all of it.
  const next = { ...row, epoch, mfaEpoch: user?.mfaEpoch ?? epoch, now: call.now };
  const written =
    stated === undefined
      ? await challengeRepository(tx).addProof({ ...next, proofs: proofs ?? [] })
      : await challengeRepository(tx).prove({
          ...{ ...next, proofs, facts: stated.facts, proveTime: call.now },
          provenType: stated.type,
          provenFactorId: stated.factorId,
          expireTime: new Date(call.now.getTime() + PROVEN_MS),
        });
  if (!written) throw new Refusal("CHALLENGE_EXPIRED");
  tx.announce(topicOf(row));
  return { row: written, state: stated === undefined ? "PENDING" : "PROVEN" };
}

/** Challenge transitions made by out-of-band factors (push). */
export const challengeOutcomes: ChallengeOutcomes = {
  async prove(tx, call, owner, { challengeId, ...outcome }) {
    const epoch = await userRepository(tx).epoch(owner);
    const standing = await findCurrentChallenge(tx, { ...owner, challengeId }, call.now);
    if (standing?.state !== "PENDING") throw new Refusal("CHALLENGE_EXPIRED");
    await provenIn(tx, call, standing.row, { ...outcome, epoch });
  },
  async deny(tx: Tx, call: Call, owner: Owner, challengeId: string) {
    await challengeRepository(tx).deny({ ...owner, challengeId }, call.now);
    tx.announce(topicOf(owner));
  },
  async fail(tx, owner, { challengeId, type, now }) {
    const key = { ...owner, challengeId };
    const row = await challengeRepository(tx).find(key);
    if (!row?.offers.every((offer) => offer.type === type)) return;
    await challengeRepository(tx).cancel(key, now);
    tx.announce(topicOf(owner));
  },
  stateOf: async (tx, owner, challengeId, now) =>
    (await findCurrentChallenge(tx, { ...owner, challengeId }, now))?.state,
  async spend(tx, owner, { challengeId, audience, purpose, now }) {
    const key = { ...owner, challengeId };
    const standing = await findCurrentChallenge(tx, key, now);
    if (standing?.state !== "PROVEN" || standing.row.purpose !== purpose) return false;
    // What was proved in a hosted prompt is redeemed by its code only.
    if (standing.row.promptId !== "") return false;
    if (!["", audience].includes(standing.row.audience)) return false;
    tx.announce(topicOf(owner));
    return (await challengeRepository(tx).redeem(key, standing.row.mfaEpoch, now)) !== undefined;
  },
};

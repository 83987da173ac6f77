import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import type { ChallengeOutcomes, Proven } from "../factors/factor.ts";
import { factors } from "../factors/index.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { PartialProof, TypeName } from "./challenges.table.ts";
import { findStanding, type Standing } from "./standing.ts";
import { factsOf, isWorth } from "./worth.ts";

const rankOf = (type: TypeName) => factors.findIndex((factor) => factor.type === type);

/** How long a proof waits to be redeemed. */
const PROVEN_MS = 5 * 60_000;

/** What proved a challenge, and the epoch that the unit found when it serialised the user. */
type Outcome = Proven & { readonly type: TypeName; readonly epoch: number };

/** The strongest of the proofs, once they are all of one group and one of them is worth what is asked; else undefined. */
function completing(row: ChallengeRow, proofs: readonly PartialProof[]): PartialProof | undefined {
  const done = (row.groups ?? []).filter((group) => group.every((type) => proofs.some((proof) => proof.type === type)));
  const ranked = proofs
    .filter(({ type }) => done.some((group) => group.includes(type)))
    .toSorted((a, b) => rankOf(a.type) - rankOf(b.type));
  return ranked.find(({ type, facts }) => isWorth(type, facts, row.strength));
}

/**
 * Pending to proven, in the unit that spent the proof: throws, and so undoes the spending, where it is pending no more or
 * the proof is not worth what was asked. Where several are asked for it stays pending until the last of them.
 */
export async function provenIn(tx: Tx, call: Call, row: ChallengeRow, outcome: Outcome): Promise<Standing> {
  const { tenantId, userId, challengeId } = row;
  const { type, epoch, factorId } = outcome;
  const facts = factsOf(outcome);
  const isUnbound = row.requiresBinding && row.actionDigest !== null && !facts.signedAction;
  // What one of several proofs is to be worth is asked of all together; only, a key that is not bound to its device would
  // take the place of one that is.
  const isSole = row.groups === null || (row.strength === "DEVICE_BOUND" && type === "WEBAUTHN");
  const isWeak = isSole && !isWorth(type, facts, row.strength);
  const isRepeated = row.proofs?.some((proof) => proof.type === type) ?? false;
  if (isWeak || isUnbound || isRepeated) throw new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
  // Spending may itself have been a change of the user's factors.
  const user = await userRepository(tx).find({ tenantId, userId });
  const proofs = row.groups && [...(row.proofs ?? []), { type, factorId, facts }];
  const stated = proofs ? completing(row, proofs) : { type, factorId, facts };
  const key = { tenantId, userId, challengeId, epoch, mfaEpoch: user?.mfaEpoch ?? epoch, now: call.now };
  const written =
    stated === undefined
      ? await challengeRepository(tx).addProof({ ...key, proofs: proofs ?? [] })
      : await challengeRepository(tx).prove({
          ...{ ...key, proofs, facts: stated.facts },
          provenType: stated.type,
          provenFactorId: stated.factorId,
          expireTime: new Date(call.now.getTime() + PROVEN_MS),
        });
  if (!written) throw new Refusal("CHALLENGE_EXPIRED");
  tx.announce(topicOf(row));
  return { row: written, state: stated === undefined ? "PENDING" : "PROVEN" };
}

/** What factors that are answered elsewhere do to challenges. */
export const challengeOutcomes: ChallengeOutcomes = {
  async prove(tx, call, owner, { challengeId, ...outcome }) {
    const epoch = await userRepository(tx).epoch(owner);
    const standing = await findStanding(tx, { ...owner, challengeId }, call.now);
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
  stateOf: async (tx, owner, challengeId, now) => (await findStanding(tx, { ...owner, challengeId }, now))?.state,
  async spend(tx, owner, { challengeId, audience, now }) {
    const key = { ...owner, challengeId };
    const standing = await findStanding(tx, key, now);
    if (standing?.state !== "PROVEN" || !["", audience].includes(standing.row.audience)) return false;
    tx.announce(topicOf(owner));
    return (await challengeRepository(tx).redeem(key, standing.row.mfaEpoch, now)) !== undefined;
  },
};

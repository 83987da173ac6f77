import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import type { ChallengeOutcomes, Proven } from "../factors/factor.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { TypeName } from "./challenges.table.ts";
import { findStanding, type Standing } from "./standing.ts";

/** How long a proof waits to be redeemed. */
const PROVEN_MS = 5 * 60_000;

/** What proved a challenge, and the epoch that the unit found when it serialised the user. */
type Outcome = Proven & { readonly type: TypeName; readonly epoch: number };

/**
 * Pending to proven, in the unit that spent the proof: throws, and so undoes the spending, where it is pending no more or
 * the proof is not worth what was asked.
 */
export async function provenIn(tx: Tx, call: Call, row: ChallengeRow, outcome: Outcome): Promise<Standing> {
  const { tenantId, userId, challengeId } = row;
  const { type, epoch, factorId, deviceBound = false, userVerified = false, alone = false } = outcome;
  const { signedAction = false } = outcome;
  const facts = { deviceBound, userVerified, alone, signedAction };
  const isWeak = row.strength === "DEVICE_BOUND" && !(deviceBound && userVerified);
  const isUnbound = row.requiresBinding && row.actionDigest !== null && !signedAction;
  if (isWeak || isUnbound) throw new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
  // Spending may itself have been a change of the user's factors.
  const user = await userRepository(tx).find({ tenantId, userId });
  const proven = await challengeRepository(tx).prove({
    ...{ tenantId, userId, challengeId, epoch, facts },
    provenType: type,
    provenFactorId: factorId,
    mfaEpoch: user?.mfaEpoch ?? epoch,
    now: call.now,
    expireTime: new Date(call.now.getTime() + PROVEN_MS),
  });
  if (!proven) throw new Refusal("CHALLENGE_EXPIRED");
  tx.announce(topicOf(row));
  return { row: proven, state: "PROVEN" };
}

/** What factors that are answered elsewhere do to challenges. */
export const challengeOutcomes: ChallengeOutcomes = {
  async prove(tx, call, owner, { challengeId, ...outcome }) {
    const epoch = (await userRepository(tx).find(owner))?.mfaEpoch ?? 0;
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
  async spend(tx, owner, challengeId, now) {
    const key = { ...owner, challengeId };
    const standing = await findStanding(tx, key, now);
    if (standing?.state !== "PROVEN") return false;
    tx.announce(topicOf(owner));
    return (await challengeRepository(tx).redeem(key, standing.row.mfaEpoch, now)) !== undefined;
  },
};

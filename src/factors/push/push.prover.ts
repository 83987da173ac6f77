import type { Caller } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import { isSameDigest } from "../../core/session-digest.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { ChallengeOutcomes, Prover } from "../factor.ts";
import { type PushChallengeRow, pushChallengeRepository } from "./push-challenges.repository.ts";
import type { createRequests } from "./push-requests.ts";
import { askingSession, requesterOf } from "./push-session.ts";
import { pushStateOf, undecidable } from "./push-standing.ts";

/** What a backend asked for is its own: no page and no other backend turns it to another purpose. */
const mayUse = (caller: Caller, { createdBy }: PushChallengeRow): boolean =>
  createdBy === "" ? caller.promptId === undefined : requesterOf(caller) === createdBy;

/**
 * How phones answer challenges. One that a phone was asked for is proven by the approval itself; an approval that was
 * asked for by itself answers another challenge of the same session, once, if it was for the same purpose and action,
 * and for the same audience or for none.
 */
export const pushProver = (
  { prepare }: Pick<ReturnType<typeof createRequests>, "prepare">,
  { challenges, settingsOf }: { readonly challenges: ChallengeOutcomes; readonly settingsOf: SettingsOf },
): Prover<"push"> => ({
  answers: "push",
  type: "PUSH",
  counter: "typed-code",
  signsAction: true,
  prepare,
  proofOf: async (call, owner, pushId, { session, audience, purpose, actionDigest }) => {
    const { push } = await settingsOf(owner.tenantId);
    return {
      factorType: "PUSH",
      counter: "typed-code",
      load: async (tx) => {
        const row = await pushChallengeRepository(tx).find({ ...owner, pushId });
        const own = askingSession(session, call.caller);
        if (!row || !isSameDigest(row.sessionDigest, own) || !mayUse(call.caller, row)) return new Refusal("NOT_FOUND");
        const state = await pushStateOf(tx, row, challenges, call.now);
        if (state !== "approved") return state === "redeemed" ? new Refusal("CHALLENGE_EXPIRED") : undecidable(state);
        // Approved when fewer digits would do.
        if (row.numberLength < push.numberDigits) return undecidable("expired");
        return isSameDigest(row.actionDigest, actionDigest) ? row : new Refusal("SIGNATURE_REJECTED");
      },
      judge: async (row) => row,
      spend: async (tx, matched) => {
        const row = matched as PushChallengeRow;
        const { challengeId, decidedDeviceId, numberLength } = row;
        await userRepository(tx).serialise(owner, call.now);
        const spent = await challenges.spend(tx, owner, { challengeId, audience, purpose, now: call.now });
        if (!spent) return new Refusal("CHALLENGE_EXPIRED");
        await pushChallengeRepository(tx).redeem(owner, challengeId, call.now);
        return { factorId: decidedDeviceId, signedAction: row.actionDigest !== null, numberLength };
      },
    };
  },
  redeemed: async (tx, owner, challengeId, now) => {
    await pushChallengeRepository(tx).redeem(owner, challengeId, now);
  },
  cancelled: async (tx, owner, challengeId, now) => {
    await pushChallengeRepository(tx).cancel(owner, challengeId, now);
  },
});

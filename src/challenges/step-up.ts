import type { Assertions, Issued } from "../assertions/assertions.ts";
import type { ActionContent } from "../client/action-digest.ts";
import type { Call } from "../core/call.ts";
import { ownerOf } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import { sessionDigest } from "../core/session-digest.ts";
import type { AcceptedProof, Answer } from "../factors/factor.ts";
import { prove } from "../protection/proof.ts";
import { userRepository } from "../users/users.repository.ts";
import { keptOf, needsBinding } from "./actions.ts";
import type { createChallenges } from "./challenges.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { factsOf } from "./proof-strength.ts";
import type { createRedemption } from "./redemption.ts";
import { notAllowed } from "./refusals.ts";
import { refuseAction } from "./users-actions.ts";

/** What a user confirms, and for whom. */
export interface SteppingUp {
  readonly audience: string;
  readonly nonce: string;
  readonly action: ActionContent | undefined;
}

/** Dependencies of step-up. */
export interface StepUpOptions extends Registry {
  readonly challenges: ReturnType<typeof createChallenges>;
  readonly redemption: ReturnType<typeof createRedemption>;
  readonly assertions: Assertions;
}

/** A proof and its assertion in one call, with a challenge or without. */
export function createStepUp({ challenges, redemption, assertions, ...registry }: StepUpOptions) {
  return {
    /** Answers a challenge and redeems it in the same unit; its terms count. */
    async answer(call: Call, challengeId: string, answer: Answer): Promise<Issued | Refusal> {
      const key = { ...ownerOf(call.caller), challengeId };
      const { row } = await call.read((tx) => challenges.findOwn(tx, call, key));
      // What completes a log-in is redeemed by who logs the user in, and confirms nothing.
      if (row.purpose !== "STEP_UP") return new Refusal("INVALID_FIELD", { metadata: { field: "challenge_id" } });
      const ready = await redemption.ready(key.tenantId);
      return challenges.verify(
        call,
        key,
        answer,
        async (tx) => (await redemption.redeemIn(tx, call, key, ready)).issued,
      );
    },

    /** Proves a factor now, for one audience, session and action. */
    async prove(call: Call, answer: Answer, { audience, nonce, action }: SteppingUp): Promise<Issued | Refusal> {
      const owner = ownerOf(call.caller);
      const { settings, note } = await redemption.ready(owner.tenantId);
      if (audience === "") return new Refusal("INVALID_FIELD", { metadata: { field: "audience" } });
      const refused = refuseAction(call.caller, action, settings);
      if (refused) return refused;
      const requiresBinding = action !== undefined && needsBinding(action, settings);
      const kinds = eligible(registry, { allowedTypes: [], strength: "UNSPECIFIED", requiresBinding }, settings);
      const prover = registry.provers.find(({ answers }) => answers === answer.case);
      if (!prover || !kinds.some(({ type }) => type === prover.type)) return notAllowed(kinds);
      const { actionType, actionDigest, renderedAction } = keptOf(action, settings);
      const session = sessionDigest(call.caller.sessionId);
      const proof = await prover.proofOf(call, owner, answer.value as never, {
        challengeId: "",
        purpose: "STEP_UP",
        session: session?.toString("base64url") ?? "",
        audience,
        actionDigest,
        renderedAction,
        userVerification: false,
        hideUnenrolled: false,
      });
      if (proof instanceof Refusal) return proof;
      const stated = (proven: AcceptedProof, mfaEpoch: number) => ({
        ...{ owner, audience, nonce, mfaEpoch, challengeId: "", policyVersion: 0, purpose: "STEP_UP" as const },
        methods: [{ type: prover.type, ...factsOf(proven) }],
        signedAction: proven.signedAction ?? false,
        sessionDigest: session,
        action: actionDigest ? { type: actionType, digest: actionDigest } : undefined,
        proveTime: call.now,
      });
      return prove(call, owner, {
        ...proof,
        spend: async (tx, match) => {
          await userRepository(tx).serialise(owner, call.now);
          const spent = await proof.spend(tx, match);
          if (!spent || spent instanceof Refusal) return spent;
          // Policy asks for the signature of what was shown, and this one does not cover it.
          if (requiresBinding && !spent.signedAction) throw notAllowed(kinds);
          return note(tx, stated(spent, await userRepository(tx).epoch(owner)), call.now);
        },
      });
    },
  };
}

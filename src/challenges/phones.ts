import type { ChallengePreparation } from "../../gen/mfa/v1/challenge_pb.js";
import type { CreatePushChallengeRequest } from "../../gen/mfa/v1/push_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import { sessionDigest } from "../core/session-digest.ts";
import type { Settings, SettingsOf } from "../tenants/settings.ts";
import { keptOf } from "./actions.ts";
import type { createChallenges } from "./challenges.ts";
import type { Terms } from "./terms.ts";

/** As long as a phone has to answer. */
const LIFETIME_MS = 2 * 60_000;

const termsOf = (call: Call, { action, audience }: CreatePushChallengeRequest, settings: Settings): Terms => ({
  purpose: action ? "STEP_UP" : "LOG_IN",
  createdBy: "",
  sessionDigest: sessionDigest(call.caller.sessionId),
  audience,
  nonce: "",
  ...keptOf(action, settings),
  allowedTypes: ["PUSH"],
  strength: "UNSPECIFIED",
  requiresBinding: action !== undefined,
  ...{ decisionId: "", groups: null },
  lifetimeMs: LIFETIME_MS,
});

/** Asks a user's phones: for a challenge of the session's that is named, else for one made for it. */
export const createAskPhones =
  (challenges: Pick<ReturnType<typeof createChallenges>, "create" | "resend">, settingsOf: SettingsOf) =>
  async (
    call: Call,
    owner: Owner,
    asked: CreatePushChallengeRequest,
  ): Promise<ChallengePreparation["kind"] | Refusal> => {
    const { challengeId, deviceId: factorId, action, audience } = asked;
    const choice = { type: "PUSH", factorId } as const;
    if (challengeId !== "" && (action || audience !== "")) {
      return new Refusal("INVALID_FIELD", { metadata: { field: action ? "action" : "audience" } });
    }
    const shown =
      challengeId === ""
        ? await challenges.create(call, owner, termsOf(call, asked, await settingsOf(owner.tenantId)), choice)
        : await challenges.resend(call, { ...owner, challengeId }, choice);
    return shown instanceof Refusal ? shown : (shown.preparation ?? { case: undefined });
  };

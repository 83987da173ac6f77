import type { ChallengePreparation } from "../../gen/mfa/v1/challenge_pb.js";
import type { CreatePushChallengeRequest } from "../../gen/mfa/v1/push_pb.js";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { sessionDigest } from "../core/session-digest.ts";
import type { Owner } from "../db/store.ts";
import type { EffectiveSettings, SettingsOf } from "../tenant-settings/settings.ts";
import { keptOf } from "./actions.ts";
import type { TypeName } from "./challenges.table.ts";
import type { createChallenges } from "./challenges.ts";
import type { TermColumns } from "./terms.ts";
import { refuseAction } from "./users-actions.ts";

/** The lifetime of a request to phones. */
const LIFETIME_MS = 2 * 60_000;

const termsOf = (
  call: Call,
  type: TypeName,
  { action, audience }: CreatePushChallengeRequest,
  settings: EffectiveSettings,
): TermColumns => ({
  purpose: action ? "STEP_UP" : "LOG_IN",
  createdBy: "",
  sessionDigest: sessionDigest(call.caller.sessionId),
  audience,
  nonce: "",
  ...keptOf(action, settings),
  allowedTypes: [type],
  strength: "UNSPECIFIED",
  requiresBinding: action !== undefined,
  ...{ decisionId: "", promptId: "", groups: null },
  lifetimeMs: LIFETIME_MS,
});

/** Asks a user's devices of one kind: for a challenge of the session's that is named, else for one made for it. */
export const createAskPhones =
  (challenges: Pick<ReturnType<typeof createChallenges>, "create" | "resend">, settingsOf: SettingsOf) =>
  async (
    call: Call,
    owner: Owner,
    type: TypeName,
    asked: CreatePushChallengeRequest,
  ): Promise<ChallengePreparation["kind"] | Refusal> => {
    const { challengeId, deviceId: factorId, action, audience } = asked;
    const choice = { type, factorId };
    if (challengeId !== "" && (action || audience !== "")) {
      return new Refusal("INVALID_FIELD", { metadata: { field: action ? "action" : "audience" } });
    }
    const settings = await settingsOf(owner.tenantId);
    const refused = refuseAction(call.caller, action, settings);
    if (refused) return refused;
    const shown =
      challengeId === ""
        ? await challenges.create(call, owner, termsOf(call, type, asked, settings), choice)
        : await challenges.resend(call, { ...owner, challengeId }, choice);
    return shown instanceof Refusal ? shown : (shown.preparation ?? { case: undefined });
  };

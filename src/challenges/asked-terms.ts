import type { ChallengeTerms } from "../../gen/mfa/v1/challenge_pb.js";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner } from "../db/store.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { findDecision, termsFromDecision } from "./from-decision.ts";
import { readTerms, type TermColumns } from "./terms.ts";
import { refuseAction } from "./users-actions.ts";

/** The terms of a request, and the decision that they follow from; only backends name one. */
export interface AskedTerms {
  readonly terms?: ChallengeTerms | undefined;
  readonly decisionId?: string;
}

/** Reads the terms of a new challenge from a request, or returns the refusal. */
export type TermsReader = (call: Call, owner: Owner, asked: AskedTerms) => Promise<TermColumns | Refusal>;

/** Creates the reader of terms. */
export const createTermsReader =
  (settingsOf: SettingsOf): TermsReader =>
  async (call, owner, { terms, decisionId = "" }) => {
    if (!terms) return new Refusal("INVALID_FIELD");
    const settings = await settingsOf(owner.tenantId);
    const refused = refuseAction(call.caller, terms.action, settings);
    if (refused) return refused;
    const read = readTerms(call, terms, settings);
    if (read instanceof Refusal || decisionId === "") return read;
    // Decisions concern log-ins, and completing one makes the client known.
    if (read.purpose !== "LOG_IN") return new Refusal("INVALID_FIELD", { metadata: { field: "terms.purpose" } });
    return call.read(async (tx) => {
      const decision = await findDecision(tx, call, owner, { decisionId, session: read.sessionDigest });
      return decision instanceof Refusal ? decision : termsFromDecision(tx, read, decision, call.now);
    });
  };

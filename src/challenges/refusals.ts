import { Refusal } from "../core/refusal.ts";
import type { TypeName } from "./challenges.table.ts";
import { hasChallengeEnded, type State } from "./state.ts";

/** The refusal of a kind that will not do, with those that would. */
export const notAllowed = (allowed: readonly { readonly type: TypeName }[]): Refusal =>
  new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: allowed.map(({ type }) => type).join(",") } });

/** Why a challenge in a state cannot be answered or redeemed. */
export const ended = (state: State): Refusal =>
  hasChallengeEnded(state) ? new Refusal("CHALLENGE_EXPIRED") : new Refusal("WRONG_STATE", { metadata: { state } });

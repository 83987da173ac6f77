import { durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { OtpDelivery } from "../../gen/mfa/v1/otp_pb.js";
import type { Offer, TypeName } from "./challenges.table.ts";
import { type CurrentChallenge, hasChallengeEnded } from "./state.ts";

/** The polling interval for pages that do not watch. */
const RETRY_MS = 2_000;

const typeOf = (name: TypeName | "") => (name === "" ? FactorType.UNSPECIFIED : FactorType[name]);

/** Makes the contract's messages of offers. */
export const factorsOf = (offers: readonly Offer[]) =>
  offers.map(({ type, ...offer }) => ({ ...offer, type: FactorType[type] }));

/** Makes the contract's message of a challenge. */
export const challengeMessage = ({ row, state }: CurrentChallenge, delivery?: OtpDelivery) => ({
  challengeId: row.challengeId,
  state: ChallengeState[state],
  purpose: ChallengePurpose[row.purpose],
  factors: factorsOf(row.offers.filter(({ type }) => !row.proofs?.some((proof) => proof.type === type))),
  provenFactorType: typeOf(row.provenType),
  renderedAction: row.renderedAction,
  ...(row.actionDigest && { actionDigest: row.actionDigest }),
  ...(delivery && { delivery }),
  createTime: timestampFromDate(row.createTime),
  expireTime: timestampFromDate(row.expireTime),
  ...(row.proveTime && { proveTime: timestampFromDate(row.proveTime) }),
  ...(!hasChallengeEnded(state) && { retryAfter: durationFromMs(RETRY_MS) }),
});

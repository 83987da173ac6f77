import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengePurpose } from "../../gen/mfa/v1/challenge_pb.js";
import type { AssertionPayload } from "../client/assertion.ts";
import type { Issued } from "./assertions.ts";

const at = (seconds: number) => timestampFromDate(new Date(seconds * 1000));

const bindings = { authenticator: ActionBinding.AUTHENTICATOR, server: ActionBinding.SERVER } as const;

const purposes = { log_in: ChallengePurpose.LOG_IN, step_up: ChallengePurpose.STEP_UP } as const;

const bindingOf = ({ bnd }: AssertionPayload) => (bnd ? bindings[bnd] : ActionBinding.NONE);

/** An assertion as it is given out. */
export const assertionMessage = ({ token, claims }: Issued) => ({
  token,
  acr: claims.acr,
  amr: [...claims.amr],
  actionBinding: bindingOf(claims),
  authTime: at(claims.auth_time),
  expireTime: at(claims.exp),
});

/** What an assertion states. */
export const claimsMessage = (claims: AssertionPayload) => ({
  issuer: claims.iss,
  audience: claims.aud,
  userId: claims.sub,
  tenantId: claims.tid,
  ...(claims.sid !== undefined && { sessionDigest: Buffer.from(claims.sid, "base64url") }),
  acr: claims.acr,
  amr: [...claims.amr],
  assertionId: claims.jti,
  nonce: claims.nonce ?? "",
  actionType: claims.act?.type ?? "",
  ...(claims.act && { actionDigest: Buffer.from(claims.act.digest, "base64url") }),
  actionBinding: bindingOf(claims),
  purpose: purposes[claims.pur],
  policyVersion: BigInt(claims.pol),
  challengeId: claims.cid ?? "",
  authTime: at(claims.auth_time),
  issueTime: at(claims.iat),
  expireTime: at(claims.exp),
});

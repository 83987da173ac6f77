import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import type { VerifyAssertionRequest } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { Expectation } from "../client/assertion.ts";
import { Refusal } from "../core/refusal.ts";
import type { Handlers } from "../rpc/service.ts";
import { KEY_SET_MAX_AGE_MS, type KeySet } from "./assertion-keys.ts";
import { claimsMessage } from "./assertion-messages.ts";
import type { Assertions } from "./assertions.ts";
import { isWorth } from "./methods.ts";

const expectationOf = (request: VerifyAssertionRequest, tenantId: string): Expectation => ({
  tenantId,
  userId: request.userId,
  sessionId: request.sessionId,
  nonce: request.nonce,
  acr: "aal1", // what it must be worth is asked by strength
  ...(request.action && { action: request.action }),
  ...(request.actionBinding === ActionBinding.AUTHENTICATOR && { binding: "authenticator" as const }),
  ...(request.maxAge && { maxAgeSeconds: durationMs(request.maxAge) / 1000 }),
});

const isBoundAs = (asked: ActionBinding, bnd: string | undefined) =>
  asked === ActionBinding.NONE ? bnd === undefined : asked !== ActionBinding.SERVER || bnd !== undefined;

/** The keys for verifiers, and verification for backends without one. */
export function createAssertionHandlers(assertions: Assertions, keySet: () => Promise<KeySet>) {
  const internal = {
    verifyAssertion: async (request, call) => {
      const { tenantId, subject } = call.caller;
      const claims = await assertions.read(request.token, subject, expectationOf(request, tenantId));
      const strength = AuthenticationStrength[request.strength] as keyof typeof AuthenticationStrength;
      const fits = isWorth(claims, strength) && isBoundAs(request.actionBinding, claims.bnd);
      if (!fits) return new Refusal("ASSERTION_REJECTED");
      const owner = { tenantId, userId: request.userId };
      await call.unit(async (tx) => {
        await assertions.confirm(tx, owner, claims, call.now);
        if (request.consume) await assertions.consume(tx, owner, claims, call.now);
      });
      return { claims: claimsMessage(claims) };
    },

    getJwks: async () => {
      const { keys: published } = await keySet();
      const set = { keys: published.map((key) => ({ ...key })) };
      return { jwks: set, maxAge: durationFromMs(KEY_SET_MAX_AGE_MS) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}

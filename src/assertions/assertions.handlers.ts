import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { ChallengePurpose, type VerifyAssertionRequest } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { AssertionPurpose, Expectation } from "../client/assertion.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import { factorOf } from "../factors/index.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { KEY_SET_MAX_AGE_MS, type KeySet } from "./assertion-keys.ts";
import { claimsMessage } from "./assertion-messages.ts";
import type { Assertions } from "./assertions.ts";
import { assertionMeets, kindsOf } from "./methods.ts";

const purposes: Readonly<Partial<Record<ChallengePurpose, AssertionPurpose>>> = {
  [ChallengePurpose.LOG_IN]: "log_in",
  [ChallengePurpose.STEP_UP]: "step_up",
};

const expectationOf = (request: VerifyAssertionRequest, tenantId: string): Expectation => {
  const purpose = purposes[request.purpose];
  return {
    tenantId,
    userId: request.userId,
    sessionId: request.sessionId,
    nonce: request.nonce,
    acr: "aal1", // what it must be worth is asked by strength
    ...(request.action && { action: request.action }),
    ...(request.actionBinding === ActionBinding.AUTHENTICATOR && { binding: "authenticator" as const }),
    ...(request.maxAge && { maxAgeSeconds: durationMs(request.maxAge) / 1000 }),
    ...(purpose && { purpose }),
  };
};

const isBoundAs = (asked: ActionBinding, bnd: string | undefined) =>
  asked === ActionBinding.NONE ? bnd === undefined : asked !== ActionBinding.SERVER || bnd !== undefined;

/** The keys for verifiers, and verification for backends without one. */
export function createAssertionHandlers(assertions: Assertions, keySet: () => Promise<KeySet>, settingsOf: SettingsOf) {
  const internal = {
    verifyAssertion: async (request, call) => {
      const { tenantId, subject } = call.caller;
      const claims = await assertions.read(request.token, subject, expectationOf(request, tenantId));
      const strength = AuthenticationStrength[request.strength] as keyof typeof AuthenticationStrength;
      const fits = assertionMeets(claims, strength) && isBoundAs(request.actionBinding, claims.bnd);
      const settings = await settingsOf(tenantId);
      const isStillOn = kindsOf(claims.amr).every((type) => factorOf(type).isOn(settings));
      if (!fits || !isStillOn) return new Refusal("ASSERTION_REJECTED");
      const owner = { tenantId, userId: request.userId };
      const standingIn = (tx: Tx) => assertions.standingOf(tx, owner, claims, call.now);
      // Read first: one that ended with an erasure a moment ago is rejected, where a write would have to wait.
      const found = await call.read(standingIn);
      if (found === "ended") return new Refusal("ASSERTION_REJECTED");
      if (found === "open" && !request.consume) return { claims: claimsMessage(claims) };
      return call.unit(async (tx) => {
        const standing = await standingIn(tx);
        if (standing === "consumed") await assertions.noteReplay(tx, call, owner, claims);
        if (standing !== "open") return new Refusal("ASSERTION_REJECTED");
        await assertions.consume(tx, owner, claims, call.now);
        return { claims: claimsMessage(claims) };
      });
    },

    getJwks: async () => {
      const { keys: published } = await keySet();
      const set = { keys: published.map((key) => ({ ...key })) };
      return { jwks: set, maxAge: durationFromMs(KEY_SET_MAX_AGE_MS) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}

import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import type { ChallengeFactor, ChallengeTerms, EvaluateMfaRequestSchema } from "../../../gen/mfa/v1/challenge_pb.js";
import type { AuthenticationStrength, FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { AssertionPayload, Expectation } from "../../../src/client/assertion.ts";

/** The name of a kind of factor: TOTP, WEBAUTHN, PUSH and so on. */
export type FactorKind = Exclude<keyof typeof FactorType, "UNSPECIFIED">;

/** Who logs in, and from where. */
export interface LogInRequest {
  /** The subject of the user's tokens, exactly. */
  readonly userId: string;
  /** The user's address and browser, not this backend's. */
  readonly client: { readonly ip: string; readonly userAgent?: string; readonly application?: string };
  /** What this application asks for at least. Default: what the tenant's policy does. */
  readonly strength?: keyof typeof AuthenticationStrength;
  /** When the password was right. Default: now. */
  readonly firstFactorTime?: Date;
  /** Whatever else EvaluateMfa takes: roles and groups, signals, the secret of a trusted device. */
  readonly evaluation?: Omit<MessageInitShape<typeof EvaluateMfaRequestSchema>, "userId" | "client">;
}

/** A log-in that waits for its proof. Keep it with the browser's session; it holds no secret of the user's. */
export interface PendingLogIn {
  readonly userId: string;
  readonly client: LogInRequest["client"];
  readonly challengeId: string;
  readonly sessionId: string;
  readonly nonce: string;
}

/** What a session is worth. */
export interface LoggedIn {
  readonly sessionId: string;
  readonly userId: string;
  readonly acr: "aal1" | "aal2";
  readonly amr: readonly string[];
  /** Seconds since 1970; absent where no factor was proved. */
  readonly authTime?: number;
  /** Whether the session may only enroll and replace factors, as after a backup code. */
  readonly restricted: boolean;
  /** An event with a greater one says that the user's factors have changed. */
  readonly mfaEpoch: bigint;
}

/** What a log-in needs where nothing is to be proved. */
export type Unchallenged =
  | { readonly next: "done"; readonly session: LoggedIn }
  | { readonly next: "enroll"; readonly ticket: string; readonly kinds: readonly FactorKind[] }
  | { readonly next: "denied" };

/** What a log-in still needs. */
export type Begun =
  | Unchallenged
  | { readonly next: "prove"; readonly logIn: PendingLogIn; readonly factors: readonly ChallengeFactor[] };

/** What was decided of a log-in; of a challenge, what it is created with. */
export type Evaluated =
  | Unchallenged
  | {
      readonly next: "challenge";
      readonly decisionId: string;
      readonly terms: Pick<ChallengeTerms, "purpose" | "sessionId" | "nonce" | "strength" | "allowedFactorTypes">;
    };

/** A user's answer: a typed code by the kind that it is of, or what `navigator.credentials.get` answered. */
export type Answer =
  | { readonly kind: "TOTP" | "SMS" | "EMAIL" | "BACKUP_CODE" | "TEMPORARY_PASS"; readonly code: string }
  | { readonly kind: "WEBAUTHN"; readonly response: JsonObject };

/** Verifies an assertion: what `createAssertionVerifier` of `mfa-service-client/assertion` returns. */
export type Verify = (token: string, expected: Expectation) => Promise<AssertionPayload>;

/** How an assertion is verified, and whose it must be. */
export interface Verifying {
  readonly verify: Verify;
  readonly tenantId: string;
}

/** What a factor needs before it can be answered: a code on its way, the options of a passkey, a number to show. */
export type Prepared =
  | { readonly kind: "code" }
  | { readonly kind: "passkey"; readonly options: JsonObject }
  | { readonly kind: "phone"; readonly number: string };

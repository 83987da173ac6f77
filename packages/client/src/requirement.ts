import type { ActionContent, AssertionPayload } from "../../../src/client/assertion.ts";
import type { Verify } from "./log-in-types.ts";

/** What a session is worth, as the application keeps it; `LoggedIn` and the tenant is one. */
export interface MfaSession {
  readonly tenantId: string;
  readonly userId: string;
  readonly sessionId: string;
  readonly acr: string;
  readonly amr: readonly string[];
  /** Seconds since 1970. */
  readonly authTime?: number;
}

/** What a proof has to be worth. */
export type Strength = "any_factor" | "unrestricted" | "phishing_resistant" | "device_bound";

/** What a route demands of the request's session. */
export interface Requirement<Request> {
  /** Returns the session of the request; undefined where nobody is logged in. */
  readonly session: (request: Request) => MfaSession | undefined | Promise<MfaSession | undefined>;
  /** How many seconds ago a factor may have been proved at most. Default: as long as the session lives. */
  readonly maxAge?: number;
  /** Default `any_factor`. */
  readonly strength?: Strength;
  /** The action that the request is about to run: then a proof of the session will not do, only one of this action. */
  readonly action?: (request: Request) => ActionContent | Promise<ActionContent>;
  /** Verifies the assertion in the header `mfa-assertion`; without it none is looked at. */
  readonly verify?: Verify;
  readonly clock?: () => Date;
}

/** Whether a request may go on, and what to answer where not. */
export type Verdict =
  | { readonly allowed: true; readonly assertion?: AssertionPayload }
  | {
      readonly allowed: false;
      readonly status: 401 | 503;
      readonly headers: Readonly<Record<string, string>>;
      readonly body: Readonly<Record<string, unknown>>;
    };

const WEBAUTHN = "urn:mfa:amr:webauthn";
const UNRESTRICTED = ["otp", "mca", WEBAUTHN, "urn:mfa:amr:backup-code", "urn:mfa:amr:temporary-pass"];
const demands: Record<Strength, (amr: readonly string[]) => boolean> = {
  any_factor: () => true,
  unrestricted: (amr) => UNRESTRICTED.some((name) => amr.includes(name)),
  phishing_resistant: (amr) => amr.includes(WEBAUTHN),
  device_bound: (amr) => [WEBAUTHN, "hwk", "urn:mfa:amr:user-verified"].every((name) => amr.includes(name)),
};

/** Whether what was proved is worth what is asked. */
export const isWorth = (
  proof: { readonly acr: string; readonly amr: readonly string[] },
  strength: Strength,
): boolean => proof.acr === "aal2" && demands[strength](proof.amr);

const ERROR = "insufficient_user_authentication";
const NO_STORE = { "cache-control": "no-store" };

/** RFC 9470 §3: what has to be proved, for the client to have its user prove it and come again. */
function challenge<R>({ maxAge, strength = "any_factor" }: Requirement<R>, action?: ActionContent): Verdict {
  const parameters = [`error="${ERROR}"`, `error_description="a second factor is required"`, `acr_values="aal2"`];
  if (maxAge !== undefined) parameters.push(`max_age="${maxAge}"`);
  return {
    allowed: false,
    status: 401,
    headers: { ...NO_STORE, "www-authenticate": `Bearer ${parameters.join(", ")}` },
    body: { error: ERROR, acr_values: "aal2", max_age: maxAge, strength, action },
  };
}

/** Verifies the assertion that came along; undefined where it does not hold, a verdict where that is not known. */
async function proofOf<R>(
  session: MfaSession,
  { verify, maxAge }: Requirement<R>,
  token: string | undefined,
  action: ActionContent | undefined,
): Promise<AssertionPayload | Verdict | undefined> {
  if (!verify || !token) return undefined;
  const { tenantId, userId, sessionId } = session;
  const expected = { tenantId, userId, sessionId, purpose: "step_up" } as const;
  try {
    return await verify(token, {
      ...expected,
      ...(action && { action }),
      ...(maxAge !== undefined && { maxAgeSeconds: maxAge }),
    });
  } catch (error) {
    const { retry, retryAfterMs = 1000 } = error as { retry?: boolean; retryAfterMs?: number };
    if (retry === undefined) throw error;
    const headers = { ...NO_STORE, "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
    return retry ? { allowed: false, status: 503, headers, body: { error: "temporarily_unavailable" } } : undefined;
  }
}

/** Judges a request: by its session, or by the assertion of a proof for this very request. */
export async function judge<R>(
  request: R,
  assertion: string | undefined,
  requirement: Requirement<R>,
): Promise<Verdict> {
  const { maxAge, strength = "any_factor", clock = () => new Date() } = requirement;
  const session = await requirement.session(request);
  if (!session)
    return {
      allowed: false,
      status: 401,
      headers: { ...NO_STORE, "www-authenticate": "Bearer" },
      body: { error: "unauthenticated" },
    };
  const action = await requirement.action?.(request);
  const oldest = maxAge === undefined ? 0 : clock().getTime() / 1000 - maxAge;
  if (!action && isWorth(session, strength) && (session.authTime ?? 0) >= oldest) return { allowed: true };
  const proof = await proofOf(session, requirement, assertion, action);
  if (proof && "allowed" in proof) return proof;
  return proof && isWorth(proof, strength) ? { allowed: true, assertion: proof } : challenge(requirement, action);
}

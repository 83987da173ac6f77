import { createHash, randomBytes } from "node:crypto";
import { LogInRefused } from "./complete-log-in.ts";
import type { Mfa } from "./connection.ts";
import { evaluateLogIn, sessionOf } from "./log-in.ts";
import type { LoggedIn, LogInRequest, PendingLogIn, Unchallenged, Verifying } from "./log-in-types.ts";

/** A log-in whose second factor is proved on the service's own page. */
export interface PromptRequest extends LogInRequest {
  /** Where the browser comes back to, exactly as the tenant lists it. */
  readonly returnUrl: string;
  /** The language of the page (BCP 47). Default: the browser's. */
  readonly locale?: string;
}

/** Where to send the browser, and the cookie to send with it. */
export interface SentToPrompt {
  readonly next: "prompt";
  /** Redirect there with status 303, within a minute. */
  readonly url: string;
  /** The value of the header `set-cookie`. It keeps what only this browser may have. */
  readonly cookie: string;
}

/** A request of a browser that came back, as far as it is looked at. */
export interface Returning {
  /** The path with its query, or the whole address. */
  readonly url?: string | undefined;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** What the browser keeps meanwhile: who it is by is decided by what only it has, the state and the verifier. */
interface Kept extends Pick<PendingLogIn, "userId" | "sessionId" | "nonce"> {
  readonly state: string;
  readonly codeVerifier: string;
  readonly returnUrl: string;
}

/** Only over TLS (or to this machine), to this host alone, and unreadable for scripts. */
const NAME = "__Host-mfa_log_in";
const ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax";
const MAX_AGE_S = 900;

const secret = (bytes: number) => randomBytes(bytes).toString("base64url");

/** Removes the cookie, once the log-in has ended: a value of the header `set-cookie`. */
export const endedPromptCookie = `${NAME}=; Max-Age=0; ${ATTRIBUTES}`;

/** Asks, after the password, what the log-in needs; where it is a proof, returns the way to the service's page. */
export async function beginPromptLogIn(mfa: Mfa, request: PromptRequest): Promise<Unchallenged | SentToPrompt> {
  const { userId, client, returnUrl, locale = "" } = request;
  const evaluated = await evaluateLogIn(mfa, request);
  if (evaluated.next !== "challenge") return evaluated;
  const { decisionId, terms } = evaluated;
  const [state, codeVerifier] = [secret(24), secret(32)];
  const codeChallenge = createHash("sha256").update(codeVerifier).digest("base64url");
  const asked = { userId, client, returnUrl, locale, state, codeChallenge, decisionId, terms };
  const { promptUrl } = await mfa.internal.createPrompt(asked);
  const kept: Kept = { ...{ userId, state, codeVerifier, returnUrl }, sessionId: terms.sessionId, nonce: terms.nonce };
  const value = Buffer.from(JSON.stringify(kept)).toString("base64url");
  return { next: "prompt", url: promptUrl, cookie: `${NAME}=${value}; Max-Age=${MAX_AGE_S}; ${ATTRIBUTES}` };
}

/** What the browser that comes back has kept; undefined where it has begun no log-in here. */
function keptBy({ headers }: Returning): Kept | undefined {
  const [, value] = new RegExp(`(?:^|;\\s*)${NAME}=([\\w-]+)`).exec(String(headers.cookie ?? "")) ?? [];
  try {
    return value && JSON.parse(Buffer.from(value, "base64url").toString());
  } catch {
    return undefined;
  }
}

/**
 * Ends the log-in of a browser that came back: redeems what it proved and returns the session that it is good for.
 * Throws `LogInRefused` where another browser than the one that began it comes back, or nothing was proved; send
 * `endedPromptCookie` in either case.
 */
export async function finishPromptLogIn(
  mfa: Mfa,
  request: Returning,
  { client, ...verifying }: Verifying & Pick<LogInRequest, "client">,
): Promise<LoggedIn> {
  const kept = keptBy(request);
  const query = new URL(request.url ?? "", "http://localhost").searchParams;
  // Who was sent a prompt that somebody else began comes back here with a good code, and without that cookie.
  if (!kept || query.get("state") !== kept.state) throw new LogInRefused("OTHER_BROWSER");
  const code = query.get("code");
  if (code === null) throw new LogInRefused("DENIED");
  const { userId, codeVerifier, returnUrl, sessionId, nonce } = kept;
  const asked = { userId, client, code, codeVerifier, returnUrl, sessionId, nonce };
  const { redeemed } = await mfa.internal.redeemPrompt(asked);
  return sessionOf(redeemed, kept, verifying);
}

import { createPrivateKey, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import { outcomeOfStatus, retryAfterMs } from "./carrier.ts";
import { type PushCarrier, payloadOf, secondsLeft } from "./push-provider.ts";

/** A service account of Google's, as its key file has it. */
export interface ServiceAccount {
  readonly project_id: string;
  readonly client_email: string;
  readonly private_key: string;
  readonly private_key_id?: string | undefined;
  readonly token_uri: string;
}

/** A project at Firebase Cloud Messaging. */
export interface FcmOptions {
  readonly account: ServiceAccount;
  readonly baseUrl: string;
  readonly clock: () => Date;
}

const SCOPE = "https://www.googleapis.com/auth/firebase.messaging";
const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const HOUR_S = 3600;
/** The token is no longer registered. */
const GONE = "UNREGISTERED";
/** The token is another project's. It is not removed: a wrong project in our settings must not remove all addresses. */
const FOREIGN = "SENDER_ID_MISMATCH";
/** A shared fetch is not aborted by one of its waiters. */
const TOKEN_LIMIT_MS = 10_000;
const NAME = /^[A-Z][A-Z_]{0,30}$/;

interface AccessToken {
  readonly token: string;
  readonly sinceTime: number;
  readonly expireTime: number;
}

/** Access tokens by a signed grant (RFC 7523): one shared fetch, each token used until a minute before its expiry. */
function accessTokens({ account, clock }: FcmOptions, key: KeyObject) {
  let current: AccessToken | undefined;
  let coming: Promise<AccessToken | number> | undefined;
  const fetchToken = async (): Promise<AccessToken | number> => {
    const issued = Math.floor(clock().getTime() / 1000);
    const { private_key_id: kid } = account;
    const assertion = await new SignJWT({ scope: SCOPE })
      .setProtectedHeader({ alg: "RS256", typ: "JWT", ...(kid && { kid }) })
      .setIssuer(account.client_email)
      .setAudience(account.token_uri)
      .setIssuedAt(issued)
      .setExpirationTime(issued + HOUR_S)
      .sign(key);
    const body = new URLSearchParams({ grant_type: GRANT, assertion });
    const signal = AbortSignal.timeout(TOKEN_LIMIT_MS);
    const response = await fetch(account.token_uri, { method: "POST", redirect: "manual", signal, body });
    const reply: unknown = await response.json().catch(() => undefined);
    if (!response.ok || typeof reply !== "object" || reply === null || !("access_token" in reply)) {
      return response.ok ? 502 : response.status;
    }
    const stated = "expires_in" in reply ? Number(reply.expires_in) : HOUR_S;
    const lifetime = Number.isFinite(stated) ? Math.min(stated, HOUR_S) : HOUR_S;
    const expireTime = (issued + lifetime - 60) * 1000;
    return { token: String(reply.access_token), sinceTime: issued * 1000, expireTime };
  };
  return {
    /** Drops a refused token, unless it has been replaced already. */
    drop: (token: string) => {
      if (current?.token === token) current = undefined;
    },
    /** A token, or the issuer's error status. */
    async get(): Promise<string | number> {
      const now = clock().getTime();
      // A clock that is set back does not lengthen a token's use.
      if (current && current.sinceTime <= now && current.expireTime > now) return current.token;
      coming ??= fetchToken().finally(() => {
        coming = undefined;
      });
      const fetched = await coming;
      if (typeof fetched === "number") return fetched;
      current = fetched;
      return fetched.token;
    },
  };
}

interface FcmError {
  readonly error?: {
    readonly status?: string;
    readonly details?: readonly { readonly errorCode?: string }[];
  };
}

/** FCM's own error code where given, else the status name. */
async function codeOf(response: Response): Promise<string> {
  const { error } = ((await response.json().catch(() => undefined)) ?? {}) as FcmError;
  const code = error?.details?.find(({ errorCode }) => errorCode)?.errorCode ?? error?.status ?? "";
  return NAME.test(code) ? code : "";
}

/** Firebase Cloud Messaging, HTTP v1: a data message, which the app displays. */
export function fcmCarrier(options: FcmOptions): PushCarrier {
  const { account, baseUrl, clock } = options;
  const tokens = accessTokens(options, createPrivateKey(account.private_key));
  return {
    name: "fcm",
    channel: "fcm",
    async carry(note, message, signal) {
      const access = await tokens.get();
      if (typeof access === "number") {
        // The grant was refused, so the account is at fault.
        const later = outcomeOfStatus(access).outcome === "retry";
        return { outcome: later ? "retry" : "denied", error: `FCM_TOKEN_${access}` };
      }
      const response = await fetch(`${baseUrl}/v1/projects/${account.project_id}/messages:send`, {
        method: "POST",
        redirect: "manual",
        signal,
        headers: { authorization: `Bearer ${access}`, "content-type": "application/json" },
        body: JSON.stringify({
          message: {
            token: note.address.token,
            data: payloadOf(note),
            android: { priority: "HIGH", ttl: `${secondsLeft(message, clock())}s` },
          },
        }),
      });
      if (response.ok) {
        await response.body?.cancel();
        return { outcome: "delivered" };
      }
      const code = await codeOf(response);
      if (code === GONE) return { outcome: "gone", error: `FCM_${code}` };
      if (code === FOREIGN) return { outcome: "refused", error: `FCM_${code}` };
      if (response.status === 401) tokens.drop(access);
      const outcome = outcomeOfStatus(
        response.status,
        "FCM",
        retryAfterMs(response.headers.get("retry-after"), clock()),
      );
      return outcome.outcome === "delivered" || code === "" ? outcome : { ...outcome, error: `FCM_${code}` };
    },
  };
}

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import jwt from "jsonwebtoken";
import { portOf } from "../engine/port.ts";
import { arrivals, type No } from "./arrivals.ts";

/** A message as FCM's `messages:send` takes it. */
interface FcmMessage {
  readonly token: string;
  readonly data: Record<string, string>;
  readonly android: { readonly priority: string; readonly ttl: string };
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly retryAfter?: string | undefined;
}

const TOKEN_S = 3599;
const STATUS_NAMES: Record<number, string> = { 400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND" };

/** A refusal in the form of Google's APIs, with FCM's own code among the details. */
const refusal = ({ status, reason, retryAfter }: No): Reply => ({
  ...{ status, retryAfter },
  body: {
    error: {
      code: status,
      message: "in words that may name the token",
      status: STATUS_NAMES[status] ?? reason,
      ...(reason && {
        details: [{ "@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", errorCode: reason }],
      }),
    },
  },
});

/** Whether a message is one that FCM would take: no field that it does not know, values of `data` texts. */
function isMessage(body: unknown): body is { message: FcmMessage } {
  const { message, ...rest } = body as { message?: Partial<FcmMessage> };
  if (!message || Object.keys(rest).length > 0) return false;
  const { token, data, android, ...unknown } = message;
  const { priority, ttl, ...strange } = android ?? { priority: "", ttl: "" };
  return (
    Object.keys({ ...unknown, ...strange }).length === 0 &&
    typeof token === "string" &&
    Object.values(data ?? {}).every((value) => typeof value === "string") &&
    ["NORMAL", "HIGH"].includes(priority) &&
    /^\d+(\.\d+)?s$/.test(ttl)
  );
}

/** What a fake of FCM answers otherwise. */
interface Otherwise {
  /** To a message. */
  readonly send?: (message: FcmMessage) => No | undefined;
  /** To who asks for an access token. */
  readonly token?: () => No | undefined;
}

/**
 * A fake of Firebase Cloud Messaging HTTP v1 and of Google's token endpoint: a server on loopback that judges the
 * signed grant (RFC 7523) by jsonwebtoken, hands out access tokens for an hour of the test's clock, and takes messages
 * of the form that Google's reference gives.
 */
export async function fakeFcm(clock: () => Date, { send, token }: Otherwise = {}) {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const sent = arrivals<FcmMessage>();
  const granted: string[] = [];
  const tokens = new Map<string, number>();
  const seconds = () => Math.floor(clock().getTime() / 1000);
  let base = "";
  const client = "push@shop-1.iam.gserviceaccount.com";

  const grant = async (request: IncomingMessage): Promise<Reply> => {
    const no = token?.();
    if (no) return { status: no.status, body: { error: no.reason } };
    const form = new URLSearchParams(await text(request));
    try {
      const isGrant = form.get("grant_type") === "urn:ietf:params:oauth:grant-type:jwt-bearer";
      const judged = { algorithms: ["RS256"], audience: `${base}/token`, issuer: client, clockTimestamp: seconds() };
      const claims = jwt.verify(form.get("assertion") ?? "", publicKey, judged as jwt.VerifyOptions) as jwt.JwtPayload;
      const isScoped = claims.scope === "https://www.googleapis.com/auth/firebase.messaging";
      const isShort = (claims.exp ?? 0) - (claims.iat ?? 0) <= 3600;
      if (!isGrant || !isScoped || !isShort) throw new Error("not a grant");
    } catch {
      return { status: 400, body: { error: "invalid_grant" } };
    }
    const access_token = randomBytes(16).toString("base64url");
    tokens.set(access_token, seconds() + TOKEN_S);
    granted.push(access_token);
    return { status: 200, body: { access_token, expires_in: TOKEN_S, token_type: "Bearer" } };
  };

  const take = async (request: IncomingMessage): Promise<Reply> => {
    const [, bearer = ""] = /^Bearer (.+)$/.exec(request.headers.authorization ?? "") ?? [];
    if ((tokens.get(bearer) ?? 0) <= seconds()) return refusal({ status: 401 });
    const body: unknown = JSON.parse(await text(request));
    if (!isMessage(body)) return refusal({ status: 400, reason: "INVALID_ARGUMENT" });
    sent.add(body.message);
    const no = send?.(body.message);
    return no ? refusal(no) : { status: 200, body: { name: `projects/shop-1/messages/${sent.arrived.length}` } };
  };

  const routes: Record<string, (request: IncomingMessage) => Promise<Reply>> = {
    "POST /token": grant,
    "POST /v1/projects/shop-1/messages:send": take,
  };
  const server = createServer(async (request, response) => {
    const route = routes[`${request.method} ${request.url}`];
    const { status, body, retryAfter } = route ? await route(request) : refusal({ status: 404 });
    if (retryAfter !== undefined) response.setHeader("retry-after", retryAfter);
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  base = `http://127.0.0.1:${await portOf(server)}`;
  return {
    sent,
    granted,
    /** Forgets the tokens that were handed out, as an issuer may. */
    revoke: () => tokens.clear(),
    settings: {
      kind: "fcm",
      baseUrl: base,
      serviceAccount: JSON.stringify({
        type: "service_account",
        project_id: "shop-1",
        private_key_id: "k1",
        private_key: privateKey.export({ format: "pem", type: "pkcs8" }),
        client_email: client,
        token_uri: `${base}/token`,
      }),
    } as const,
  };
}

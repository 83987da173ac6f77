import { createPrivateKey } from "node:crypto";
import { type ClientHttp2Session, connect } from "node:http2";
import { SignJWT } from "jose";
import { outcomeOfStatus } from "./carrier.ts";
import type { DeliveryOutcome } from "./provider.ts";
import { type PushCarrier, payloadOf } from "./push-provider.ts";

/** An app at Apple's push service, and a signing key of its team. */
export interface ApnsOptions {
  readonly teamId: string;
  readonly keyId: string;
  /** PKCS #8, PEM: the .p8 file. */
  readonly privateKey: string;
  /** The app's bundle id. */
  readonly topic: string;
  readonly baseUrl: string;
  readonly clock: () => Date;
  readonly ca?: string | undefined;
}

/** Apple accepts a token for an hour and refuses a new one within 20 minutes. */
const TOKEN_MS = 50 * 60_000;
/**
 * Without "BadDeviceToken" and "DeviceTokenNotForTopic": a wrong environment or topic in our settings causes them for
 * every phone, and must not remove all addresses.
 */
const GONE = new Set(["Unregistered", "ExpiredToken"]);

interface Answer {
  readonly status: number;
  readonly body: string;
}

function ask(session: ClientHttp2Session, headers: Record<string, string>, body: string, signal: AbortSignal) {
  return new Promise<Answer>((resolve, reject) => {
    const stream = session.request({ ":method": "POST", ...headers }, { signal });
    let status = 0;
    const chunks: Buffer[] = [];
    stream.on("response", (answer) => {
      status = Number(answer[":status"]);
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    // A closed connection ends the stream without a response; the outcome is unknown then.
    stream.on("end", () => {
      if (status === 0) reject(new Error("the connection was cut"));
      else resolve({ status, body: Buffer.concat(chunks).toString() });
    });
    stream.on("close", () => reject(new Error("the stream was closed")));
    stream.end(body);
  });
}

function reasonIn(body: string): string {
  try {
    const { reason } = JSON.parse(body) as { reason?: unknown };
    return typeof reason === "string" && /^[A-Za-z]{1,30}$/.test(reason) ? reason : "";
  } catch {
    return "";
  }
}

/** "TooManyRequests" as "APNS_TOO_MANY_REQUESTS". */
const nameOf = (reason: string) => `APNS_${reason.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase()}`;

/** Apple Push Notification service by HTTP/2: one connection for all messages, made anew when it is gone or went silent. */
export function apnsCarrier({ teamId, keyId, privateKey, topic, baseUrl, clock, ca }: ApnsOptions): PushCarrier {
  const key = createPrivateKey(privateKey);
  let token: { readonly text: Promise<string>; readonly time: number } | undefined;
  let session: ClientHttp2Session | undefined;

  /** One token for all who ask at the same time. */
  const bearer = () => {
    const time = clock().getTime();
    if (!token || Math.abs(time - token.time) > TOKEN_MS) {
      const unsigned = new SignJWT({ iss: teamId, iat: Math.floor(time / 1000) });
      const made = { text: unsigned.setProtectedHeader({ alg: "ES256", kid: keyId }).sign(key), time };
      token = made;
      made.text.catch(() => {
        if (token === made) token = undefined;
      });
    }
    return token;
  };

  const open = () => {
    if (session && !session.closed && !session.destroyed) return session;
    const opened = connect(baseUrl, { ...(ca && { ca }) });
    // Heard by each stream; and an idle connection must not keep the process.
    opened.on("error", () => opened.destroy());
    opened.on("goaway", () => opened.close());
    opened.unref();
    session = opened;
    return opened;
  };

  const outcomeOf = ({ status, body }: Answer, shown: typeof token): DeliveryOutcome => {
    if (status === 200) return { outcome: "delivered" };
    const reason = reasonIn(body);
    if (status === 410 || GONE.has(reason)) return { outcome: "gone", error: nameOf(reason || "Unregistered") };
    if (reason === "ExpiredProviderToken") {
      // Unless another has taken its place already.
      if (token === shown) token = undefined;
      return { outcome: "retry", error: nameOf(reason) };
    }
    const outcome = outcomeOfStatus(status, "APNS");
    return outcome.outcome === "delivered" || reason === "" ? outcome : { ...outcome, error: nameOf(reason) };
  };

  return {
    name: "apns",
    channel: "apns",
    async carry(note, message, signal) {
      const shown = bearer();
      const headers = {
        ":path": `/3/device/${note.address.token ?? ""}`,
        authorization: `bearer ${await shown.text}`,
        "apns-id": message.messageId,
        "apns-topic": topic,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": String(Math.floor(message.expireTime.getTime() / 1000)),
      };
      // Shown on a locked screen: says only that there is something. The app asks for the rest.
      const aps = { alert: { "loc-key": "MFA_APPROVAL_REQUEST" }, sound: "default", "mutable-content": 1 };
      const used = open();
      try {
        return outcomeOf(await ask(used, headers, JSON.stringify({ aps, ...payloadOf(note) }), signal), shown);
      } catch (thrown) {
        // It may have gone silent, which nobody tells us: what others wait for on it may end, the next take another.
        if (session === used) session = undefined;
        used.close();
        throw thrown;
      }
    },
  };
}

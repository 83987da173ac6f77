import { createPrivateKey } from "node:crypto";
import { type ClientHttp2Session, connect } from "node:http2";
import { SignJWT } from "jose";
import { outcomeOfStatus } from "./carrier.ts";
import type { Outcome } from "./provider.ts";
import { type PushCarrier, payloadOf } from "./push-provider.ts";

/** An app at Apple's, and a key of its team. */
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

/** Apple takes a token for an hour and frowns on new ones within 20 minutes. */
const TOKEN_MS = 50 * 60_000;
/**
 * Not "BadDeviceToken" nor "DeviceTokenNotForTopic": a wrong environment or topic of ours brings them for every phone,
 * and must not cost all of them their addresses.
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
    // A connection that is cut ends the stream too, without an answer: nothing is known then, least of all a no.
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
  let token: { readonly text: string; readonly time: number } | undefined;
  let session: ClientHttp2Session | undefined;

  const bearer = async () => {
    const time = clock().getTime();
    if (!token || Math.abs(time - token.time) > TOKEN_MS) {
      const text = await new SignJWT({ iss: teamId, iat: Math.floor(time / 1000) })
        .setProtectedHeader({ alg: "ES256", kid: keyId })
        .sign(key);
      token = { text, time };
    }
    return token.text;
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

  const outcomeOf = ({ status, body }: Answer): Outcome => {
    if (status === 200) return { outcome: "delivered" };
    const reason = reasonIn(body);
    if (status === 410 || GONE.has(reason)) return { outcome: "gone", error: nameOf(reason || "Unregistered") };
    if (reason === "ExpiredProviderToken") {
      token = undefined;
      return { outcome: "retry", error: nameOf(reason) };
    }
    const outcome = outcomeOfStatus(status, "APNS");
    return outcome.outcome === "delivered" || reason === "" ? outcome : { ...outcome, error: nameOf(reason) };
  };

  return {
    name: "apns",
    channel: "apns",
    async carry(note, message, signal) {
      const headers = {
        ":path": `/3/device/${note.address.token ?? ""}`,
        authorization: `bearer ${await bearer()}`,
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
        return outcomeOf(await ask(used, headers, JSON.stringify({ aps, ...payloadOf(note) }), signal));
      } catch (thrown) {
        // It may have gone silent, which nobody tells us: what others wait for on it may end, the next take another.
        if (session === used) session = undefined;
        used.close();
        throw thrown;
      }
    },
  };
}

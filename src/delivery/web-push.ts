import { createCipheriv, createECDH, hkdfSync, type KeyObject, randomBytes } from "node:crypto";
import { SignJWT } from "jose";
import { outcomeOfStatus, retryAfterMs } from "./carrier.ts";
import { post } from "./post.ts";
import { type PushCarrier, payloadOf, secondsLeft } from "./push-provider.ts";

/** A tenant's key for Web Push: its public half as the uncompressed point, base64url. */
export interface EncodedVapidKey {
  readonly privateKey: KeyObject;
  readonly publicKey: string;
}

/** The settings of Web Push. */
export interface WebPushOptions {
  /** The operator's contact for push services: "mailto:ops@example.com" or a page (RFC 8292 §2.1). */
  readonly subject: string;
  readonly vapidKeyOf: (tenantId: string) => Promise<EncodedVapidKey>;
  readonly clock: () => Date;
  readonly ca?: string | undefined;
}

const RECORD_BYTES = 4096;
const TOKEN_S = 12 * 3600;

const derive = (secret: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number) =>
  Buffer.from(hkdfSync("sha256", secret, salt, info, length));

const label = (text: string) => Buffer.from(`${text}\0`, "latin1");

/**
 * Encrypts a short message to a browser (RFC 8291): aes128gcm (RFC 8188) in one record, under a key that its own key,
 * a fresh one of ours and its secret give.
 */
export function encryptFor(receiver: { p256dh: Uint8Array; auth: Uint8Array }, plain: Uint8Array): Buffer {
  const sender = createECDH("prime256v1");
  const ours = sender.generateKeys();
  const info = Buffer.concat([label("WebPush: info"), receiver.p256dh, ours]);
  const shared = derive(sender.computeSecret(receiver.p256dh), receiver.auth, info, 32);
  const salt = randomBytes(16);
  const key = derive(shared, salt, label("Content-Encoding: aes128gcm"), 16);
  const nonce = derive(shared, salt, label("Content-Encoding: nonce"), 12);
  const cipher = createCipheriv("aes-128-gcm", key, nonce);
  // 2 ends the last record.
  const sealed = Buffer.concat([cipher.update(plain), cipher.update(Uint8Array.of(2)), cipher.final()]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(RECORD_BYTES);
  return Buffer.concat([salt, size, Uint8Array.of(ours.length), ours, sealed, cipher.getAuthTag()]);
}

/** Says who sends, to one push service, for half a day (RFC 8292). */
async function vapid(endpoint: string, { privateKey, publicKey }: EncodedVapidKey, subject: string, now: Date) {
  const issued = Math.floor(now.getTime() / 1000);
  const token = await new SignJWT({ aud: new URL(endpoint).origin, exp: issued + TOKEN_S, sub: subject })
    .setProtectedHeader({ typ: "JWT", alg: "ES256" })
    .sign(privateKey);
  return `vapid t=${token}, k=${publicKey}`;
}

/** Of which push services say that the subscription is another sender's (RFC 8292 §4.2): no fault of ours. */
const FOREIGN = 403;

/** Web Push (RFC 8030): 404 and 410 say that the subscription is gone. Topic lets a newer request replace an older one. */
export const webPushCarrier = ({ subject, vapidKeyOf, clock, ca }: WebPushOptions): PushCarrier => ({
  name: "web-push",
  channel: "web-push",
  async carry(note, message, signal) {
    const { endpoint = "", p256dh = "", auth = "" } = note.address;
    const receiver = { p256dh: Buffer.from(p256dh, "base64url"), auth: Buffer.from(auth, "base64url") };
    const now = clock();
    const { status, retryAfter } = await post({
      url: endpoint,
      signal,
      ca,
      body: encryptFor(receiver, Buffer.from(JSON.stringify(payloadOf(note)))),
      headers: {
        authorization: await vapid(endpoint, await vapidKeyOf(message.owner.tenantId), subject, now),
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
        ttl: String(secondsLeft(message, now)),
        urgency: "high",
        topic: "mfa",
      },
    });
    const gone = status === 404 || status === 410;
    if (status === FOREIGN) return { outcome: "refused", error: `WEB_PUSH_${status}` };
    return gone
      ? { outcome: "gone", error: `WEB_PUSH_${status}` }
      : outcomeOfStatus(status, "WEB_PUSH", retryAfterMs(retryAfter, now));
  },
});

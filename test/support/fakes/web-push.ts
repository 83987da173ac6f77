import { createECDH, createPublicKey, randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingHttpHeaders } from "node:http";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { decrypt } from "http_ece";
import jwt from "jsonwebtoken";
import { onTestFinished } from "vitest";
import { portOf } from "../engine/port.ts";
import { arrivals, type No } from "./arrivals.ts";
import { authority } from "./certificates.ts";

interface Posted {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** The public key of an uncompressed point on P-256. */
function keyOf(point: Buffer) {
  const [x, y] = [point.toString("base64url", 1, 33), point.toString("base64url", 33)];
  return createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
}

/** What a sender says of itself (RFC 8292), as jsonwebtoken judges it; throws where it is not good. */
function senderOf(authorization: string, audience: string, now: Date) {
  const [, token = "", key = ""] = /^vapid t=([\w.-]+), ?k=([\w-]+)$/.exec(authorization) ?? [];
  const clockTimestamp = Math.floor(now.getTime() / 1000);
  const point = Buffer.from(key, "base64url");
  const claims = jwt.verify(token, keyOf(point), { algorithms: ["ES256"], audience, clockTimestamp });
  if (typeof claims === "string" || claims.exp === undefined) throw new Error("no expiry");
  if (claims.exp - clockTimestamp > 24 * 3600) throw new Error("good for more than a day");
  return { key, subject: claims.sub };
}

/**
 * A fake push service: an HTTPS server on loopback that asks of a sender what RFC 8030 and RFC 8292 do (TTL, a signature
 * for this service by the key of the subscription) and keeps what it takes. Nobody's browser is behind it.
 */
export async function fakeWebPush(
  clock: () => Date,
  answer: (posted: Posted) => No | undefined | Promise<No | undefined> = () => undefined,
) {
  const { ca, issue } = authority();
  const folder = await mkdtemp(join(tmpdir(), "mfa-web-push-"));
  const caFile = join(folder, "ca.pem");
  await writeFile(caFile, ca);
  const taken = arrivals<Posted & { readonly subject: string | undefined }>();
  const asked = arrivals<Posted>();
  /** The keys of senders, by path: a subscription takes messages of nobody else. */
  const senders = new Map<string, string>();
  let origin = "";
  const answerTo = async (posted: Posted): Promise<No> => {
    const no = await answer(posted);
    return no ?? { status: statusOf(posted) };
  };
  const statusOf = (posted: Posted): number => {
    const { ttl = "", authorization = "", "content-encoding": encoding } = posted.headers;
    if (!/^\d+$/.test(String(ttl)) || encoding !== "aes128gcm") return 400;
    try {
      const { key, subject } = senderOf(authorization, origin, clock());
      if (senders.get(posted.path) !== key) return 403;
      taken.add({ ...posted, subject });
      return 201;
    } catch {
      return 401;
    }
  };
  const server = createServer(issue({ usage: "serverAuth" }), async (request, response) => {
    const posted = { path: request.url ?? "", headers: request.headers, body: await buffer(request) };
    const { status, retryAfter } = await answerTo(posted);
    const later = retryAfter === undefined ? {} : { "retry-after": retryAfter };
    response.writeHead(status, { location: `${origin}/m/1`, ...later }).end();
    asked.add(posted);
  });
  origin = `https://localhost:${await portOf(server, "localhost")}`;
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return {
    asked,
    taken,
    settings: {
      kind: "web-push" as const,
      subject: "mailto:ops@example.com",
      hosts: [origin.slice("https://".length)],
      caFile,
    },
    /** What a browser's `PushManager.subscribe` answers, for a sender's key; and how that browser reads messages. */
    subscribe: (applicationServerKey: string) => {
      const key = createECDH("prime256v1");
      const p256dh = key.generateKeys();
      const auth = randomBytes(16);
      const path = `/push/${randomBytes(12).toString("hex")}`;
      senders.set(path, applicationServerKey);
      return {
        path,
        subscription: { endpoint: `${origin}${path}`, p256dh, auth },
        read: ({ body }: Posted): unknown => {
          const options = { version: "aes128gcm", privateKey: key, authSecret: auth.toString("base64url") } as const;
          return JSON.parse(decrypt(body, options).toString());
        },
      };
    },
  };
}

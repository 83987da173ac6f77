import { generateKeyPairSync, randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createSecureServer, type Http2Session, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import jwt from "jsonwebtoken";
import { onTestFinished } from "vitest";
import { arrivals, type No } from "./arrivals.ts";
import { authority } from "./certificates.ts";

interface Notified {
  readonly headers: IncomingHttpHeaders;
  readonly payload: unknown;
  /** Which connection it came by, from 1 on. */
  readonly connection: number;
}

const HOUR_S = 3600;
const LARGEST = 4096;

/**
 * A fake of Apple's push service: an HTTP/2 server on loopback that asks for what Apple's reference does (path, topic,
 * push type, a provider token of the team's key that is younger than an hour, judged by jsonwebtoken) and answers
 * refusals by Apple's reasons.
 */
export async function fakeApns(
  clock: () => Date,
  answer: (notified: Notified) => No | "silence" | undefined = () => undefined,
) {
  const { ca, issue } = authority();
  const folder = await mkdtemp(join(tmpdir(), "mfa-apns-"));
  const caFile = join(folder, "ca.pem");
  await writeFile(caFile, ca);
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const sent = arrivals<Notified>();
  const sessions: Http2Session[] = [];

  const judge = (headers: IncomingHttpHeaders, body: string): No | undefined => {
    const [, token = ""] = /^bearer (.+)$/.exec(headers.authorization ?? "") ?? [];
    if (token === "") return { status: 403, reason: "MissingProviderToken" };
    const clockTimestamp = Math.floor(clock().getTime() / 1000);
    try {
      const { header, payload } = jwt.verify(token, publicKey, {
        ...{ algorithms: ["ES256"], issuer: "TEAM123456", clockTimestamp },
        complete: true,
      });
      if (header.kid !== "KEY1234567") throw new Error("another key");
      const age = clockTimestamp - ((payload as jwt.JwtPayload).iat ?? 0);
      if (age < 0 || age > HOUR_S) return { status: 403, reason: "ExpiredProviderToken" };
    } catch {
      return { status: 403, reason: "InvalidProviderToken" };
    }
    if (headers[":method"] !== "POST") return { status: 405, reason: "MethodNotAllowed" };
    if (!/^\/3\/device\/[0-9a-f]{64,200}$/.test(headers[":path"] ?? "")) {
      return { status: 400, reason: "BadDeviceToken" };
    }
    if (headers["apns-topic"] !== "com.example.shop") return { status: 400, reason: "BadTopic" };
    if (headers["apns-push-type"] !== "alert") return { status: 400, reason: "InvalidPushType" };
    if (!["1", "5", "10"].includes(String(headers["apns-priority"]))) return { status: 400, reason: "BadPriority" };
    return Buffer.byteLength(body) > LARGEST ? { status: 413, reason: "PayloadTooLarge" } : undefined;
  };

  const server = createSecureServer(issue({ usage: "serverAuth" }));
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => {});
  });
  server.on("stream", async (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    const body = await text(stream).catch(() => undefined);
    if (body === undefined || stream.destroyed) return;
    const connection = (stream.session ? sessions.indexOf(stream.session) : -1) + 1;
    const notified = { headers, payload: JSON.parse(body), connection };
    const no = judge(headers, body) ?? answer(notified);
    if (no === "silence") return sent.add(notified);
    if (!stream.destroyed) {
      stream.respond({ ":status": no?.status ?? 200, "apns-id": String(headers["apns-id"] ?? randomUUID()) });
      stream.end(no?.reason === undefined ? "" : JSON.stringify({ reason: no.reason }));
    }
    sent.add(notified);
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  onTestFinished(async () => {
    for (const session of sessions) session.destroy();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true, force: true });
  });
  return {
    sent,
    sessions,
    settings: {
      kind: "apns",
      teamId: "TEAM123456",
      keyId: "KEY1234567",
      privateKey: privateKey.export({ format: "pem", type: "pkcs8" }).toString(),
      topic: "com.example.shop",
      baseUrl: `https://localhost:${(server.address() as AddressInfo).port}`,
      caFile,
    } as const,
  };
}

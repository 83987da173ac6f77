import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { isLoopbackOrigin } from "../../src/rpc/gateway/origins.ts";
import { createKey } from "../support/actors/service-keys.ts";
import { engines } from "../support/engine/engines.ts";
import { authority } from "../support/fakes/certificates.ts";
import { beside, files, pair } from "../support/worlds/listeners.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const STATUS = "mfa.status.read";
const PATH = `/${InternalMfaService.typeName}/GetUserMfaStatus`;
const page = readFileSync(join(import.meta.dirname, "../../docs/integrate/http-json.md"), "utf8");

/** A body as node's fetch takes it. */
type Sent = string | Uint8Array<ArrayBuffer>;

async function start() {
  const service = await serviceForTest(sqlite);
  const { secret } = await createKey(service, [STATUS]);
  const authorization = `Bearer ${secret}`;
  const post = (headers: Record<string, string>, body: Sent, port = service.internalPort) =>
    fetch(`http://127.0.0.1:${port}${PATH}`, { method: "POST", headers: { authorization, ...headers }, body });
  return { service, authorization, post };
}

/** What a peer answers to bytes, until it closes. */
async function answerTo(port: number, ...parts: (string | Buffer)[]): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  let heard = "";
  socket.on("data", (chunk) => {
    heard += chunk;
  });
  const closed = once(socket, "close");
  await once(socket, "connect");
  for (const part of parts) {
    socket.write(part);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await closed;
  return heard;
}

describe("a backend without gRPC", () => {
  test("enrolls a user and logs them in by the calls of its page, with curl", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(sqlite);
    // The codes are of this moment, so the clock has to go on, past the end of a time step too.
    Object.defineProperty(service.clock, "now", { get: () => new Date() });
    const blocks = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block ?? "");
    expect(blocks).toHaveLength(9);
    const script = blocks.map((block) => `${block}\necho; echo "=== $?"\n`).join("");
    const scope = "mfa.keys.write mfa.verify mfa.challenge mfa.tokens";
    const env = {
      PATH: process.env.PATH,
      URL: `http://127.0.0.1:${service.internalPort}`,
      ADMIN_URL: `http://127.0.0.1:${service.adminPort}`,
      GATEWAY_URL: `http://127.0.0.1:${service.gatewayPort}`,
      ADMIN_TOKEN: await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope }),
    };
    const { stdout } = await promisify(execFile)("sh", ["-c", script], {
      env,
      cwd: join(import.meta.dirname, "../.."),
    });
    const [, , , enrolled = "", evaluated = "", , verified = "", , status = ""] = stdout.split(/=== 0\n/);
    expect(JSON.parse(enrolled), stdout).toMatchObject({ device: { state: "TOTP_DEVICE_STATE_ACTIVE" } });
    expect(JSON.parse(evaluated), stdout).toMatchObject({ decision: "MFA_DECISION_CHALLENGE" });
    expect(JSON.parse(verified), stdout).toMatchObject({ challenge: { state: "CHALLENGE_STATE_PROVEN" } });
    expect(JSON.parse(status), stdout).toMatchObject({ status: { enrolled: true } });
  });

  test("stops by the script of its page where a call is refused, and shows what it answered", async () => {
    const { service } = await start();
    const blocks = [...page.matchAll(/^```sh\n(.*?)^```/gms)].map(([, block]) => block ?? "");
    const env = { PATH: process.env.PATH, ADMIN_URL: `http://127.0.0.1:${service.adminPort}`, ADMIN_TOKEN: "none" };
    const stopped = promisify(execFile)("sh", ["-c", blocks.slice(0, 3).join("")], { env });
    await expect(stopped).rejects.toMatchObject({ stderr: expect.stringMatching(/no key: .*INVALID_CREDENTIAL/) });
  });

  test("is refused with the reason decoded, as its page shows it", async () => {
    const { post } = await start();
    const response = await post({ "content-type": "application/json", authorization: "Bearer mfa_sk_x" }, "{}");
    expect(response.status).toBe(401);
    expect(await response.json()).toMatchObject({
      code: "unauthenticated",
      details: [{ type: "google.rpc.ErrorInfo", debug: { reason: "INVALID_CREDENTIAL" } }],
    });
  });

  test("calls over HTTP/1.1 as PHP's streams do: one connection a call, a body that comes in pieces", async () => {
    const { service, authorization } = await start();
    const body = JSON.stringify({ userId: "ann" });
    const head = [
      ...[`POST ${PATH} HTTP/1.1`, "Host: mfa.internal", "Connection: close", "User-Agent: PHP/8.4"],
      ...[`Authorization: ${authorization}`, 'Content-Type: application/json; charset="UTF-8"'],
      ...[`Content-Length: ${body.length}`, "", ""],
    ].join("\r\n");
    const answer = await answerTo(service.internalPort, "P", "O", head.slice(2), body.slice(0, 3), body.slice(3));
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(JSON.parse(answer.split("\r\n\r\n")[1] ?? "")).toMatchObject({ status: {} });
  });

  test("calls over HTTP/2 without TLS, which begins with its preface, in pieces too", async () => {
    const { service, authorization } = await start();
    const session = connectHttp2(`http://127.0.0.1:${service.internalPort}`);
    onTestFinished(() => session.destroy());
    const call = session.request({
      ...{ ":method": "POST", ":path": PATH, authorization, "content-type": "application/json" },
    });
    call.end(JSON.stringify({ userId: "ann" }));
    const [headers] = (await once(call, "response")) as [Record<string, unknown>];
    expect(headers[":status"]).toBe(200);
    const socket = connect(service.internalPort, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    for (const part of ["PR", "I * HTTP/2.0\r\n\r\nSM\r\n\r\n"]) {
      socket.write(part);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    const [settings] = (await once(socket, "data")) as [Buffer];
    expect(settings[3]).toBe(4);
  });

  test("finds no other service on its listener, no page and no report of carriers", async () => {
    const { service, authorization } = await start();
    const url = `http://127.0.0.1:${service.internalPort}`;
    const headers = { authorization, "content-type": "application/json" };
    for (const path of [`/${MfaService.typeName}/GetMfaStatus`, "/mfa.v1.AdminMfaService/ListServiceKeys"]) {
      expect((await fetch(`${url}${path}`, { method: "POST", headers, body: "{}" })).status).toBe(404);
    }
    for (const path of ["/console/", "/metrics", "/livez", "/.well-known/jwks.json", "/delivery/receipts/webhook"]) {
      expect((await fetch(`${url}${path}`)).status).toBe(404);
    }
    const origin = "http://localhost:5173";
    const preflight = await fetch(`${url}${PATH}`, { method: "OPTIONS", headers: { origin } });
    expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("is known by its certificate, and only one of the CA gets in", async () => {
    const { service } = await start();
    const ours = authority();
    const { path } = files({ ...pair(ours.issue({ usage: "serverAuth" })), "ca.crt": ours.ca });
    const identities = [{ san: "DNS:shop.internal", name: "shop", tenant: "dev", scopes: [STATUS] }];
    const mtls = { certFile: path("tls.crt"), keyFile: path("tls.key"), caFile: path("ca.crt"), identities };
    const { port } = await beside(service, { kind: "internal", mtls });
    const call = (client: { key?: Buffer; cert?: Buffer }) =>
      new Promise<number>((resolve, reject) => {
        const request = httpsRequest(
          { port, host: "127.0.0.1", servername: "localhost", ca: ours.ca, path: PATH, method: "POST", ...client },
          (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          },
        );
        request.on("error", reject);
        request.setHeader("content-type", "application/json");
        request.end(JSON.stringify({ userId: "ann" }));
      });
    expect(await call(ours.issue({ san: "DNS:shop.internal" }))).toBe(200);
    expect(await call(ours.issue({ san: "DNS:other.internal" }))).toBe(401);
    await expect(call(authority().issue({ san: "DNS:shop.internal" }))).rejects.toThrow();
    await expect(call({})).rejects.toThrow();
  });
});

describe("a body", () => {
  const envelope = (message: Buffer, flags: number) => {
    const head = Buffer.alloc(5);
    head[0] = flags;
    head.writeUInt32BE(message.length, 1);
    return Uint8Array.from(Buffer.concat([head, message]));
  };
  const json = JSON.stringify({ userId: "ann" });

  test("may be gzip, as JSON and inside an envelope", async () => {
    const { post } = await start();
    const plain = await post({ "content-type": "application/json", "content-encoding": "gzip" }, gzipSync(json));
    expect([plain.status, await plain.json()]).toMatchObject([200, { status: {} }]);
    for (const flags of [0, 1]) {
      const message = flags === 1 ? gzipSync(json) : Buffer.from(json);
      const headers = { "content-type": "application/grpc-web+json", "grpc-encoding": "gzip" };
      const web = await post(headers, envelope(message, flags));
      expect(await web.text()).toContain("grpc-status: 0");
    }
  });

  test.each([
    ["swells to more than a message may have", gzipSync(Buffer.alloc(64 * 1024 + 1, " ")), "TOO_LARGE"],
    ["is a bomb of a hundred megabytes", gzipSync(Buffer.alloc(100 * 1024 * 1024)), "TOO_LARGE"],
    ["is no gzip", Buffer.from(json), "MALFORMED_MESSAGE"],
    ["ends before its end", gzipSync(json).subarray(0, 20), "MALFORMED_MESSAGE"],
    ["is no message inside", gzipSync("{"), "MALFORMED_MESSAGE"],
  ])("that %s is refused with a reason", async (_, body, reason) => {
    const { post } = await start();
    const headers = { "content-type": "application/json", "content-encoding": "gzip" };
    const response = await post(headers, Uint8Array.from(body));
    expect(JSON.stringify(await response.json())).toContain(`"reason":"${reason}"`);
  });

  test("that nobody may send is not decompressed", async () => {
    const { post } = await start();
    const headers = { "content-type": "application/json", "content-encoding": "gzip", authorization: "Bearer none" };
    expect((await post(headers, "no gzip at all")).status).toBe(401);
  });

  test.each([
    'application/json; charset="utf-8"',
    "application/json;charset=UTF-8",
    "application/json ; Charset=utf8",
    "application/JSON",
  ])("of %s is taken", async (type) => {
    const { post } = await start();
    expect((await post({ "content-type": type }, json)).status).toBe(200);
  });

  test("in another charset is refused with what is taken", async () => {
    const { post } = await start();
    const response = await post({ "content-type": "application/json; charset=utf-16" }, json);
    expect(response.status).toBe(415);
    expect(JSON.stringify(await response.json())).toContain('"reason":"ENCODING_REFUSED"');
  });
});

test("metadata beyond the limit is refused with a reason, in JSON and to gRPC-Web", async () => {
  const { post } = await start();
  const large = { "x-large": "a".repeat(17 * 1024) };
  const response = await post({ "content-type": "application/json", ...large }, "{}");
  expect(response.status).toBe(431);
  expect(await response.json()).toMatchObject({
    code: "resource_exhausted",
    details: [{ debug: { reason: "TOO_LARGE", metadata: { what: "metadata" } } }],
  });
  const web = await post({ "content-type": "application/grpc-web+proto", ...large }, "");
  expect([web.headers.get("grpc-status"), web.headers.get("grpc-status-details-bin")]).toEqual([
    "8",
    expect.any(String),
  ]);
});

test.each([
  [
    "a path that is no RPC",
    "POST",
    "/mfa.v1.MfaService/GetMfaStatus",
    404,
    /no RPC of this listener has this path: it takes POST \/mfa\.v1\.InternalMfaService\/<Name>/,
  ],
  ["the root", "GET", "/", 404, /no RPC of this listener/],
  ["an RPC that is asked for by GET", "GET", `${PATH}?message={}`, 405, /called by POST/],
  ["an RPC whose method is overridden", "PUT", PATH, 405, /called by POST/],
])("%s is refused in words", async (_, method, path, expected, text) => {
  const { service, authorization } = await start();
  const headers = { authorization, "content-type": "application/json", "x-http-method-override": "POST" };
  const response = await fetch(`http://127.0.0.1:${service.internalPort}${path}`, { method, headers });
  expect(response.status).toBe(expected);
  expect(await response.json()).toMatchObject({ code: "unimplemented", message: expect.stringMatching(text) });
});

test("headers beyond what is read at all are refused in words, too, and the connection ends", async () => {
  const { service, authorization } = await start();
  const head = [`POST ${PATH} HTTP/1.1`, "Host: mfa.internal", `Authorization: ${authorization}`];
  const answer = await answerTo(
    service.internalPort,
    [...head, `X-Large: ${"a".repeat(70 * 1024)}`, "", ""].join("\r\n"),
  );
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  expect(JSON.parse(answer.split("\r\n\r\n")[1] ?? "")).toMatchObject({
    code: "resource_exhausted",
    details: [{ debug: { reason: "TOO_LARGE", metadata: { what: "metadata" } } }],
  });
  const unreadable = await answerTo(service.internalPort, "POST / HTTP/1.1\r\nbad header\r\n\r\n");
  expect(unreadable).toMatch(/^HTTP\/1\.1 400 .*"code":"invalid_argument"/s);
});

describe("the gRPC port says which port to use", () => {
  const hintFor = ({ gatewayPort, adminPort, internalPort }: Awaited<ReturnType<typeof start>>["service"]) =>
    `this port speaks gRPC over HTTP/2 only; Connect, gRPC-Web and JSON: MfaService on port ${gatewayPort}, ` +
    `AdminMfaService on port ${adminPort}, InternalMfaService on port ${internalPort}`;

  test("to HTTP/1.1", async () => {
    const { service, post } = await start();
    const response = await post({ "content-type": "application/json" }, "{}", service.port);
    expect(response.status).toBe(415);
    const text = await response.text();
    expect(text).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(text)).toEqual({ code: "unimplemented", message: hintFor(service) });
    expect(await answerTo(service.port, "GET / HTTP/1.0\r\n\r\n")).toContain(hintFor(service));
  });

  test("to Connect and gRPC-Web over HTTP/2", async () => {
    const { service, authorization } = await start();
    const session = connectHttp2(`http://127.0.0.1:${service.port}`);
    onTestFinished(() => session.destroy());
    const answer = async (type: string) => {
      const call = session.request({ ":method": "POST", ":path": PATH, authorization, "content-type": type });
      call.end("{}");
      const [headers] = (await once(call, "response")) as [Record<string, string>];
      let body = "";
      for await (const chunk of call) body += chunk;
      return { headers, body };
    };
    const json = await answer("application/json");
    expect([json.headers[":status"], JSON.parse(json.body).message]).toEqual([415, hintFor(service)]);
    const web = await answer("application/grpc-web+proto");
    expect(decodeURI(web.headers["grpc-message"] ?? "")).toBe(hintFor(service));
  });

  test("with TLS to a client that has no HTTP/2, and without a certificate to nobody", async () => {
    const { service } = await start();
    const ours = authority();
    const { path } = files(pair(ours.issue({ usage: "serverAuth" })));
    const tls = { certFile: path("tls.crt"), keyFile: path("tls.key") };
    const { port } = await beside(service, { kind: "grpc", tls });
    const options = { port, host: "127.0.0.1", ca: ours.ca, servername: "localhost", ALPNProtocols: ["http/1.1"] };
    const socket = connectTls(options);
    onTestFinished(() => void socket.destroy());
    await once(socket, "secureConnect");
    socket.write("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    const [said] = (await once(socket, "data")) as [Buffer];
    expect(String(said)).toContain("this port speaks gRPC over HTTP/2 only");
  });

  test("and closes the connection on what is neither", async () => {
    const { service } = await start();
    expect(await answerTo(service.port, Buffer.from([0x16, 0x03, 0x01, 0, 1]))).toBe("");
  });
});

describe("in dev mode pages of this machine may call", () => {
  test("from any port, beside those that are listed, and no other", async () => {
    const service = await serviceForTest(sqlite, { origins: ["https://app.example"] });
    const allowed = async (origin: string) => {
      const url = `http://127.0.0.1:${service.gatewayPort}/${MfaService.typeName}/GetMfaStatus`;
      const { headers } = await fetch(url, { method: "OPTIONS", headers: { origin } });
      return headers.get("access-control-allow-origin");
    };
    for (const origin of ["http://localhost:5173", "http://127.0.0.1:3000", "https://app.example"]) {
      expect(await allowed(origin)).toBe(origin);
    }
    for (const origin of ["https://app.example:1", "http://localhost.evil.example", "null"]) {
      expect(await allowed(origin)).toBeNull();
    }
  });

  test.each([
    ...[
      "http://localhost",
      "https://localhost:1",
      "http://a.localhost:5173",
      "http://[::1]:80",
      "http://127.9.9.9:1",
    ].map((origin) => [origin, origin !== "http://[::1]:80"] as const),
    ...["http://localhost@evil.example", "http://127.0.0.1.evil.example", "ftp://localhost", "http://localhost/x"].map(
      (origin) => [origin, false] as const,
    ),
    ...["http://evil-localhost", "http://0.0.0.0", "file://localhost", "http://localhost:0x50", ""].map(
      (origin) => [origin, false] as const,
    ),
  ])("%s: %s", (origin, expected) => {
    expect(isLoopbackOrigin(origin)).toBe(expected);
  });
});

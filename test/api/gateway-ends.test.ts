import { once } from "node:events";
import { connect } from "node:net";
import { brotliCompressSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ChallengePurpose, WatchChallengeRequestSchema } from "../../gen/mfa/v1/challenge_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { inSession } from "../support/actors/backend.ts";
import { engines } from "../support/engine/engines.ts";
import { type Started, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

function envelope(body: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

async function start(options: Started = {}) {
  const service = await serviceForTest(sqlite, options);
  const authorization = `Bearer ${await service.user("ann")}`;
  const post = (rpc: string, headers: Record<string, string>, body: string | Buffer) =>
    fetch(`http://127.0.0.1:${service.gatewayPort}/mfa.v1.MfaService/${rpc}`, {
      method: "POST",
      headers: { authorization, ...headers },
      body: typeof body === "string" ? body : new Uint8Array(body),
    });
  return { service, post, authorization };
}

describe.each([
  ["Connect", "application/connect+proto", "connect-timeout-ms", "300", /"code":"(\w+)"/],
  ["gRPC-Web", "application/grpc-web+proto", "grpc-timeout", "300m", /grpc-status: (\d+)/],
])("a stream over %s", (_, type, timeout, span, ended) => {
  const codes = (text: string) => ended.exec(text)?.[1];
  const watch = async (options: Started, headers: Record<string, string>) => {
    const { service, post } = await start(options);
    await enrollApp(service, "ann");
    const authorization = `Bearer ${await inSession(service, "ann", "one")}`;
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const { challenge } = await service.mfa.createChallenge({ terms }, authorization.slice("Bearer ".length));
    const challengeId = challenge?.challengeId ?? "";
    const request = toBinary(WatchChallengeRequestSchema, create(WatchChallengeRequestSchema, { challengeId }));
    return {
      service,
      response: await post("WatchChallenge", { "content-type": type, authorization, ...headers }, envelope(request)),
    };
  };

  test("ends with DEADLINE_EXCEEDED when its client's deadline passes", async () => {
    const { response } = await watch({}, { [timeout]: span });
    expect(codes(await response.text())).toMatch(/^(deadline_exceeded|4)$/);
  });

  test("ends with DEADLINE_EXCEEDED when it has lasted as long as any may", async () => {
    const { response } = await watch({ limits: { maxStreamMs: 300 } }, {});
    expect(codes(await response.text())).toMatch(/^(deadline_exceeded|4)$/);
  });

  test("ends with UNAVAILABLE when the service stops", async () => {
    const { service, response } = await watch({}, {});
    const [text] = await Promise.all([response.text(), service.server.stop()]);
    expect(codes(text)).toMatch(/^(unavailable|14)$/);
    const line = service.log
      .map((one) => JSON.parse(one))
      .find(({ rpc }) => rpc === "mfa.v1.MfaService/WatchChallenge");
    expect(line).toMatchObject({ code: "Unavailable", reason: "STOPPING" });
  });
});

describe("a deadline that no timer holds is as good as none", () => {
  test.each([
    ["connect-timeout-ms", "2147483647"],
    ["connect-timeout-ms", "2147483648"],
    ["connect-timeout-ms", "4294967297"],
    ["connect-timeout-ms", "9999999999"],
    ["grpc-timeout", "2147484S"],
    ["grpc-timeout", "99999999H"],
  ])("%s: %s", async (name, value) => {
    const { post } = await start();
    const web = name === "grpc-timeout";
    const type = web ? "application/grpc-web+proto" : "application/json";
    const response = await post(
      "ListTotpDevices",
      { "content-type": type, [name]: value },
      web ? envelope(Buffer.alloc(0)) : "{}",
    );
    const text = await response.text();
    expect(web ? /grpc-status: (\d+)/.exec(text)?.[1] : response.status).toEqual(web ? "0" : 200);
  });
});

describe("a body of a form that is not taken is refused with what is taken", () => {
  test("brotli", async () => {
    const { post } = await start();
    const headers = { "content-type": "application/json", "content-encoding": "br" };
    const response = await post("ListTotpDevices", headers, brotliCompressSync("{}"));
    expect(response.status).toBe(501);
    const body = (await response.json()) as { code: string; details: { debug?: unknown }[] };
    expect(body).toMatchObject({ code: "unimplemented", message: "compressed messages are not accepted" });
    expect(JSON.stringify(body.details)).toContain("ErrorInfo");
  });

  test("gRPC-Web's text mode", async () => {
    const { post } = await start();
    const body = envelope(Buffer.alloc(0)).toString("base64");
    const response = await post("ListTotpDevices", { "content-type": "application/grpc-web-text" }, body);
    expect([response.status, response.headers.get("grpc-status")]).toEqual([200, "12"]);
    expect(decodeURI(response.headers.get("grpc-message") ?? "")).toContain("application/grpc-web+proto");
    expect(response.headers.get("grpc-status-details-bin")).toBeTruthy();
  });

  test("XML", async () => {
    const { post } = await start();
    const response = await post("ListTotpDevices", { "content-type": "text/xml" }, "<a/>");
    expect(response.status).toBe(415);
    expect(response.headers.get("accept-post")).toContain("application/json");
    expect(await response.json()).toMatchObject({ code: "unimplemented" });
  });
});

test("a client that hangs up in the middle of its message is no error of the service's", async () => {
  const { service, authorization } = await start();
  const socket = connect(service.gatewayPort, "127.0.0.1");
  await once(socket, "connect");
  const head = ["POST /mfa.v1.MfaService/ListTotpDevices HTTP/1.1", "host: x", "content-type: application/json"];
  socket.write([...head, `authorization: ${authorization}`, "content-length: 100", "", "{"].join("\r\n"));
  // Until the gate has opened and the body is waited for.
  await expect.poll(async () => (await fetch(`http://127.0.0.1:${service.adminPort}/livez`)).status).toBe(200);
  socket.destroy();
  await expect.poll(() => service.log.some((line) => line.includes('"code":"Canceled"'))).toBe(true);
  expect(service.log.map((line) => JSON.parse(line)).filter(({ level }) => level >= 40)).toEqual([]);
});

import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { inSession } from "../support/actors/backend.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const ORIGIN = "https://app.example";

type MakeTransport = (options: { baseUrl: string; httpVersion: "1.1" }) => Transport;
const protocols: [string, MakeTransport, string, (body: Buffer) => Buffer][] = [
  ["Connect", createConnectTransport, "application/proto", (body) => body],
  [
    "gRPC-Web",
    createGrpcWebTransport,
    "application/grpc-web+proto",
    (body) => {
      const envelope = Buffer.alloc(5 + body.length);
      envelope.writeUInt32BE(body.length, 1);
      body.copy(envelope, 5);
      return envelope;
    },
  ],
];

async function refusal(call: Promise<unknown>) {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConnectError)) throw new Error("the call was expected to fail", { cause: error });
  return { code: error.code, reason: error.findDetails(ErrorInfoSchema)[0]?.reason };
}

describe.each(protocols)("the gateway over %s", (_, makeTransport, contentType, frame) => {
  const start = async () => {
    const service = await serviceForTest(sqlite, { origins: [ORIGIN] });
    const url = `http://127.0.0.1:${service.gatewayPort}`;
    const transport = makeTransport({ baseUrl: url, httpVersion: "1.1" });
    const post = (body: Buffer, token: string, path = "/mfa.v1.MfaService/VerifyTotpCode") =>
      fetch(url + path, {
        method: "POST",
        headers: { "content-type": contentType, authorization: `Bearer ${token}` },
        body: new Uint8Array(body),
      });
    return { service, url, transport, post, mfa: createClient(MfaService, transport) };
  };
  /** The status that either protocol reports. */
  const codeOf = async (response: Response) => {
    const text = response.headers.get("grpc-status") ?? (await response.text());
    if (/^\d+$/.test(text)) return Number(text);
    const trailer = /grpc-status: (\d+)/.exec(text)?.[1];
    return trailer ? Number(trailer) : (JSON.parse(text) as { code: string }).code;
  };

  test("a user logs in, and a refusal keeps its reason", async () => {
    const { service, mfa } = await start();
    const app = await enrollApp(service, "ann");
    const headers = { authorization: `Bearer ${app.token}` };
    const refused = await refusal(mfa.verifyTotpCode({ code: await wrongCode(app) }, { headers }));
    expect(refused).toEqual({ code: Code.PermissionDenied, reason: "CODE_REJECTED" });
    expect((await mfa.verifyTotpCode({ code: await app.code() }, { headers })).deviceId).toBe(app.deviceId);
    expect(await refusal(mfa.verifyTotpCode({ code: "12345x" }, { headers }))).toEqual({
      code: Code.InvalidArgument,
      reason: "INVALID_FIELD",
    });
    expect(await refusal(mfa.listTotpDevices({}))).toEqual({
      code: Code.Unauthenticated,
      reason: "INVALID_CREDENTIAL",
    });
  });

  test("a page follows a challenge, and a stream is refused like a call", async () => {
    const { service, mfa } = await start();
    await enrollApp(service, "ann");
    const headers = { authorization: `Bearer ${await inSession(service, "ann", "one")}` };
    const follow = async (challengeId: string, onState: (state?: ChallengeState) => unknown) => {
      for await (const { challenge } of mfa.watchChallenge({ challengeId }, { headers }))
        await onState(challenge?.state);
    };
    const unknown = follow("A".repeat(22), () => {});
    expect(await refusal(unknown)).toEqual({ code: Code.NotFound, reason: "NOT_FOUND" });
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const { challenge } = await mfa.createChallenge({ terms }, { headers });
    const challengeId = challenge?.challengeId ?? "";
    const states: (ChallengeState | undefined)[] = [];
    await follow(challengeId, async (state) => {
      if (states.push(state) === 1) await mfa.cancelChallenge({ challengeId }, { headers });
    });
    expect(states).toEqual([ChallengeState.PENDING, ChallengeState.CANCELLED]);
  });

  test("random bodies never end in INTERNAL", async () => {
    const { service, post } = await start();
    const token = await service.user("ann");
    let seed = 11;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed;
    };
    const bodies = Array.from({ length: 200 }, (_, n) => {
      const body = Buffer.from(Array.from({ length: random() % 60 }, () => random() % 256));
      return n % 2 === 0 ? frame(body) : body;
    });
    const codes = new Set(await Promise.all(bodies.map(async (body) => codeOf(await post(body, token)))));
    expect([...codes].filter((code) => code !== 3 && code !== "invalid_argument")).toEqual([]);
  });

  test("a message over 64 KiB is refused", async () => {
    const { service, post } = await start();
    const code = await codeOf(await post(frame(Buffer.alloc(70_000)), await service.user("ann")));
    expect([8, "resource_exhausted"]).toContain(code);
  });

  test("a compressed message is refused, however it would swell", async () => {
    const { service, url } = await start();
    const response = await fetch(`${url}/mfa.v1.MfaService/VerifyTotpCode`, {
      method: "POST",
      headers: {
        "content-type": contentType,
        "content-encoding": "gzip",
        "grpc-encoding": "gzip",
        authorization: `Bearer ${await service.user("ann")}`,
      },
      body: new Uint8Array(frame(Buffer.from("1f8b08", "hex"))),
    });
    expect([3, 12, "unimplemented", "invalid_argument"]).toContain(await codeOf(response));
  });

  test("administrators' and backends' services are not here", async () => {
    const { transport } = await start();
    const refused = await refusal(createClient(AdminMfaService, transport).listLockouts({}));
    expect(refused.code).toBe(Code.Unimplemented);
  });
});

test("a compressed envelope of JSON is refused like one of binary", async () => {
  const service = await serviceForTest(sqlite);
  const response = await fetch(`http://127.0.0.1:${service.gatewayPort}/mfa.v1.MfaService/VerifyTotpCode`, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+json", authorization: `Bearer ${await service.user("ann")}` },
    body: Buffer.from("01000000027b7d", "hex"),
  });
  expect(response.headers.get("grpc-status") ?? (await response.text())).toMatch(/(^|grpc-status: )3/);
});

describe("the gateway and browsers", () => {
  const start = async () => {
    const service = await serviceForTest(sqlite, { origins: [ORIGIN] });
    return { service, url: `http://127.0.0.1:${service.gatewayPort}/mfa.v1.MfaService/ListTotpDevices` };
  };

  test("pages of a listed origin may call, others may not", async () => {
    const { url } = await start();
    const preflight = async (origin: string) =>
      fetch(url, {
        method: "OPTIONS",
        headers: { origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization" },
      });
    const allowed = await preflight(ORIGIN);
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(allowed.headers.get("access-control-allow-headers")).toContain("authorization");
    for (const origin of ["https://evil.example", "https://app.example.evil", "http://app.example", "null"]) {
      expect((await preflight(origin)).headers.get("access-control-allow-origin")).toBeNull();
    }
    expect(allowed.headers.get("access-control-allow-credentials")).toBeNull();
  });

  test("a GET is refused, also for what only reads", async () => {
    const { service, url } = await start();
    const query = "?connect=v1&encoding=json&message=%7B%7D";
    const headers = { authorization: `Bearer ${await service.user("ann")}` };
    const response = await fetch(url + query, { headers });
    expect(response.status).toBe(405);
  });

  test("a stop ends idle connections and open calls", async () => {
    const { service, url } = await start();
    const agent = fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" });
    expect((await agent).status).toBe(401);
    await service.server.stop();
    await expect(fetch(url, { method: "POST" })).rejects.toThrow();
  });
});

import type { DescService } from "@bufbuild/protobuf";
import { expect, onTestFinished, test } from "vitest";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../../src/core/call.ts";
import type { ClientOrigin } from "../../src/core/client-origin.ts";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { createGate } from "../../src/rpc/access/gate.ts";
import { listenGateway } from "../../src/rpc/gateway/gateway.ts";
import { HealthState } from "../../src/rpc/grpc/health.ts";
import { listenGrpc } from "../../src/rpc/grpc/server.ts";
import { limitRates } from "../../src/rpc/limits/rates.ts";
import { serve } from "../../src/rpc/serve/service.ts";
import { failure, grpcClient } from "../support/actors/grpc-client.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { UNLIMITED } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

/** Both kinds of listener behind a proxy on loopback, with handlers that note where a call's client is. */
async function listeners() {
  const { store } = await openForTest(sqlite);
  const seen: ClientOrigin[] = [];
  const note = async (_: unknown, { client }: Call) => {
    seen.push(client);
    return {};
  };
  const keyring = await openKeyring(parseKeys(newKeys()), store);
  const serving = {
    store,
    keyring,
    clock: () => new Date(),
    hasFactor: async () => false,
    lockProfileOf: async () => "standard" as const,
    maxWorkMs: 30_000,
    onLimit: () => {},
    guess: () => () => {},
    tellRefused: async () => {},
  };
  const implement = (service: DescService, ...rpcs: string[]) => ({
    service,
    implementation: serve(service, Object.fromEntries(rpcs.map((rpc) => [rpc, note])) as never, serving),
  });
  const services = [
    implement(MfaService, "listTotpDevices", "verifyTotpCode"),
    implement(InternalMfaService, "verifyUserTotpCode"),
  ];
  const scopes = new Set(["mfa.verify"]);
  const rights = { tenantId: "dev", acr: "aal2", authTime: new Date(), sessionId: "", scopes } as const;
  const verify = async (authorization: string | null) =>
    authorization === "Bearer backend"
      ? { caller: { ...rights, principal: Principal.SERVICE, subject: "shop" } }
      : { caller: { ...rights, principal: Principal.USER, subject: "ann" } };
  const options = {
    services,
    gate: createGate(
      verify,
      limitRates(UNLIMITED, () => {}),
      async () => false,
      {
        clock: () => new Date(),
        raise: () => Promise.reject(new Error("nobody is raised here")),
        tellRefused: async () => {},
        tellsCaller: false,
      },
    ),
    host: "127.0.0.1",
    port: 0,
    proxies: { addresses: ["127.0.0.1"], header: "x-forwarded-for" } as const,
    onUnexpected: (thrown: unknown) => {
      throw thrown;
    },
  };
  const grpc = await listenGrpc({ ...options, reflection: false, health: new HealthState([]) });
  const gateway = await listenGateway({ ...options, origins: [] });
  const users = grpcClient(MfaService, grpc.port);
  const backends = grpcClient(InternalMfaService, grpc.port);
  onTestFinished(async () => {
    users.close();
    backends.close();
    await Promise.all([grpc.drain(0), gateway.drain(0)]);
  });
  return { seen, users: users.rpcs, backends: backends.rpcs, gatewayPort: gateway.port };
}

const browse = (port: number, headers: Record<string, string>, rpc = "ListTotpDevices", request: object = {}) =>
  fetch(`http://127.0.0.1:${port}/mfa.v1.MfaService/${rpc}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer ann", ...headers },
    body: JSON.stringify(request),
  });

test("a user's call comes from where the trusted proxy saw it come from", async () => {
  const { seen, gatewayPort } = await listeners();
  const agent = "Mozilla/5.0 (X11)";
  await browse(gatewayPort, { "x-forwarded-for": "6.6.6.6, 2001:DB8::0:1", "user-agent": agent });
  await browse(gatewayPort, { "x-forwarded-for": "junk", "user-agent": `${agent}${"x".repeat(600)}` });
  expect(seen).toEqual([
    { ip: "2001:db8::1", trusted: true, userAgent: agent, application: "" },
    { ip: "127.0.0.1", trusted: false, userAgent: expect.stringMatching(/^Mozilla.{505}$/), application: "" },
  ]);
});

test("over gRPC alike", async () => {
  const { seen, users } = await listeners();
  await users.listTotpDevices({}, "ann", { "x-forwarded-for": "192.0.2.1" });
  await users.listTotpDevices({}, "ann");
  expect(seen).toEqual([
    { ip: "192.0.2.1", trusted: true, userAgent: expect.stringContaining("grpc-node-js"), application: "" },
    { ip: "127.0.0.1", trusted: false, userAgent: expect.stringContaining("grpc-node-js"), application: "" },
  ]);
});

test("a backend's call comes from where its request says, never from where the backend is", async () => {
  const { seen, backends } = await listeners();
  const verify = (client?: { ip?: string; userAgent?: string; application?: string }) =>
    backends.verifyUserTotpCode({ userId: "ann", code: "123456", ...(client && { client }) }, "backend", {
      "x-forwarded-for": "6.6.6.6",
    });
  await verify({ ip: "::ffff:192.0.2.1", userAgent: "Mozilla\u202e/5.0\n", application: "shop" });
  await verify({ userAgent: "Mozilla/5.0" });
  await verify();
  expect(seen).toEqual([
    { ip: "192.0.2.1", trusted: true, userAgent: "Mozilla/5.0", application: "shop" },
    { ip: "", trusted: false, userAgent: "Mozilla/5.0", application: "" },
    { ip: "", trusted: false, userAgent: "", application: "" },
  ]);
  for (const ip of ["fe80::1%eth0", "010.0.0.1", "192.0.2.1:80", "a"]) {
    expect((await failure(verify({ ip }))).reason, ip).toBe("INVALID_FIELD");
  }
});

test("a user's call comes from where the request says only if a proxy of the gRPC listener makes it and passes nobody on", async () => {
  const { seen, users, gatewayPort } = await listeners();
  const request = { code: "123456", client: { ip: "192.0.2.1", userAgent: "Mozilla/5.0" } };
  await users.verifyTotpCode(request, "ann");
  await users.verifyTotpCode(request, "ann", { "x-forwarded-for": "198.51.100.7" });
  await browse(gatewayPort, { "user-agent": "curl" }, "VerifyTotpCode", request);
  expect(seen).toEqual([
    { ip: "192.0.2.1", trusted: true, userAgent: "Mozilla/5.0", application: "" },
    { ip: "198.51.100.7", trusted: true, userAgent: expect.stringContaining("grpc-node-js"), application: "" },
    { ip: "127.0.0.1", trusted: false, userAgent: "curl", application: "" },
  ]);
});

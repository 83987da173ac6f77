import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

const linesOf = ({ log }: ServiceUnderTest) =>
  log.map((line) => JSON.parse(line) as Record<string, unknown>).filter(({ msg }) => msg === "call");

describe("the log of calls", () => {
  test("has one line a call: who of which tenant, how it ended and why, and nothing of what was said", async () => {
    const service = await serviceForTest(sqlite);
    const app = await enrollApp(service, "ann");
    const [code, wrong] = [await app.code(), await wrongCode(app)];
    const before = linesOf(service).length;
    await failure(service.mfa.verifyTotpCode({ code: wrong }, app.token));
    await failure(service.mfa.verifyTotpCode({ code }, "junk"));
    await service.internal.verifyUserTotpCode({ userId: "ann", code }, await service.backend("mfa.verify"));
    const lines = linesOf(service).slice(before);
    const verify = "mfa.v1.MfaService/VerifyTotpCode";
    expect(lines).toMatchObject([
      { rpc: verify, code: "PermissionDenied", reason: "CODE_REJECTED", tenant: "dev", principal: "USER" },
      { rpc: verify, code: "Unauthenticated", reason: "INVALID_CREDENTIAL" },
      { rpc: "mfa.v1.InternalMfaService/VerifyUserTotpCode", code: "OK", principal: "SERVICE", caller: "shop" },
    ]);
    const known = "level time pid hostname rpc code reason ms callId trace tenant principal caller msg".split(" ");
    for (const line of lines) expect(Object.keys(line).filter((key) => !known.includes(key))).toEqual([]);
    for (const secret of [code, wrong, app.token, app.secret, "ann"])
      expect(JSON.stringify(lines)).not.toContain(secret);
  });

  test("takes a client's request id and trace where they look like one, over the gateway too", async () => {
    const service = await serviceForTest(sqlite);
    const baseUrl = `http://127.0.0.1:${service.gatewayPort}`;
    const mfa = createClient(MfaService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const call = async (requestId: string) =>
      mfa.listTotpDevices(
        {},
        {
          headers: {
            authorization: `Bearer ${await service.user("ann")}`,
            "x-request-id": requestId,
            traceparent: `00-${trace}-00f067aa0ba902b7-01`,
          },
        },
      );
    await call("order-17");
    await call('x", "level": 60');
    const [first, second] = linesOf(service);
    expect(first).toMatchObject({ code: "OK", callId: "order-17", trace, principal: "USER" });
    expect(second?.callId).toMatch(/^[0-9a-f-]{36}$/);
  });
});

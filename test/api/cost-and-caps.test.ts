import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import { status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Store } from "../../src/db/store.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

/** A store whose writes wait until the test lets them go. */
function held() {
  let go = () => {};
  const gate = new Promise<void>((resolve) => {
    go = resolve;
  });
  let holding = false;
  const engine: EngineUnderTest = {
    ...sqlite,
    open: async () => {
      const opened = await sqlite.open();
      const write: Store["write"] = async (work) => {
        if (holding) await gate;
        return opened.store.write(work);
      };
      return { ...opened, store: { ...opened.store, write } };
    },
  };
  const hold = () => {
    holding = true;
  };
  return { engine, go: () => go(), hold };
}

describe("a unary call that works too long", () => {
  test("is answered with DEADLINE, whatever deadline its client asked for", async () => {
    const { engine, hold, go } = held();
    const service = await serviceForTest(engine, { limits: { maxWorkMs: 2_000 } });
    const app = await enrollApp(service, "ann");
    hold();
    onTestFinished(go);
    const late = await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token));
    expect(late).toMatchObject({ code: status.DEADLINE_EXCEEDED, reason: "DEADLINE" });
    const browsed = await fetch(`http://127.0.0.1:${service.gatewayPort}/mfa.v1.MfaService/VerifyTotpCode`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${app.token}` },
      body: JSON.stringify({ code: await app.code() }),
    });
    expect(await browsed.json()).toMatchObject({ code: "deadline_exceeded" });
    const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
    expect(metrics).toContain('mfa_limit_hits_total{limit="work"} 2');
  }, 20_000);
});

test("a code for a user without a device costs as many digests as one for a user with one", async () => {
  const service = await serviceForTest(sqlite);
  const app = await enrollApp(service, "ann");
  const code = await wrongCode(app);
  const backend = await service.backend("mfa.verify");
  const spy = vi.spyOn(crypto, "createHmac");
  syncBuiltinESMExports();
  onTestFinished(() => {
    spy.mockRestore();
    syncBuiltinESMExports();
  });
  const digests = async (userId: string) => {
    spy.mockClear();
    const refused = await failure(service.internal.verifyUserTotpCode({ userId, code }, backend));
    expect(refused.reason).toBe("CODE_REJECTED");
    return spy.mock.calls.length;
  };
  const known = await digests("ann");
  expect(known).toBeGreaterThan(0);
  expect(await digests("nobody")).toBe(known);
});

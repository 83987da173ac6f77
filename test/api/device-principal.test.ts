import { describe, expect, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../src/core/caller.ts";
import { ownerOf } from "../../src/core/caller.ts";
import { createDeviceAuthentication } from "../../src/rpc/access/device-authentication.ts";
import { CallFailed, tally } from "../support/actors/grpc-client.ts";
import { phones, type Said } from "../support/actors/phone-signatures.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const RPC = "mfa.v1.MfaService/ListPendingPushChallenges";
const ann = { tenantId: "dev", userId: "ann" };

/** "in", or the refusal of the door. */
const answerOf = (call: Promise<unknown>) =>
  call.then(
    () => "in",
    (error: unknown) => {
      if (!(error instanceof CallFailed)) throw error;
      return ["INVALID_CREDENTIAL", "ACCESS_DENIED"].includes(error.reason) ? error.reason : "in";
    },
  );

describe.each(engines)("a push device on $name", (engine) => {
  const start = async () => {
    const { devices, phone, pair } = phones();
    const service = await serviceForTest(engine, { devices });
    const list = (authorization: string) => service.mfa.listPendingPushChallenges({}, undefined, { authorization });
    return { service, phone, pair, list };
  };

  test.each(["ES256", "EdDSA"] as const)("is known by its %s signature", async (alg) => {
    const { service, phone, list } = await start();
    expect(await answerOf(list(await phone(ann, alg).sign(RPC, service.clock.now)))).toBe("in");
  });

  test.each<[string, Said]>([
    ["of another type", { header: { typ: "at+jwt" } }],
    ["without a type", { header: { typ: undefined } }],
    ["that names no device", { header: { kid: undefined } }],
    ["that names a device nobody knows", { header: { kid: "00000000-0000-4000-8000-000000000000" } }],
    ["that names a path", { header: { kid: "../../dev/null" } }],
    ["that asks for an extension", { header: { crit: ["x"], x: 1 } }],
    ["for another RPC", { payload: { aud: "mfa.v1.MfaService/ApprovePushChallenge" } }],
    ["for several RPCs", { payload: { aud: [RPC] } }],
    ["for no RPC", { payload: { aud: undefined } as never }],
    ["of another subject", { payload: { sub: "ann" } }],
    ["without a time", { payload: { iat: undefined } as never }],
    ["without an id", { payload: { jti: undefined } as never }],
    ["with a short id", { payload: { jti: "x" } }],
    ["with a long id", { payload: { jti: "x".repeat(65) } }],
    ["that has expired", { payload: { exp: 1 } }],
  ])("is not known by one %s", async (_, said) => {
    const { service, phone, list } = await start();
    expect(await answerOf(list(await phone(ann).sign(RPC, service.clock.now, said)))).toBe("INVALID_CREDENTIAL");
  });

  test("is not known by another device's key, nor by an altered signature", async () => {
    const { service, phone, list } = await start();
    const [one, other] = [phone(ann), phone({ tenantId: "dev", userId: "bob" })];
    const claims = { header: { kid: one.deviceId }, payload: { sub: one.deviceId } };
    expect(await answerOf(list(await other.sign(RPC, service.clock.now, claims)))).toBe("INVALID_CREDENTIAL");
    const header = await one.sign(RPC, service.clock.now);
    for (const altered of [header.replace(/.{8}$/, "AAAAAAAA"), header.replace("Device", "Bearer"), "Device a.b.c"]) {
      expect(await answerOf(list(altered))).toBe("INVALID_CREDENTIAL");
    }
    expect(await answerOf(list(header))).toBe("in");
  });

  test("signs for a minute, with clocks 30 seconds apart", async () => {
    const { service, phone, list } = await start();
    const at = async (seconds: number) =>
      answerOf(list(await phone(ann).sign(RPC, new Date(service.clock.now.getTime() + seconds * 1000))));
    for (const seconds of [0, -60, -90, 30]) expect(await at(seconds), String(seconds)).toBe("in");
    for (const seconds of [-91, 31]) expect(await at(seconds), String(seconds)).toBe("INVALID_CREDENTIAL");
  });

  test("signs once: of many calls with one signature one is let in, and none later", async () => {
    const { service, phone, list } = await start();
    const header = await phone(ann).sign(RPC, service.clock.now);
    const answers = await Promise.all(Array.from({ length: 50 }, () => answerOf(list(header))));
    expect(answers.filter((answer) => answer === "in")).toHaveLength(1);
    service.pass(89_000);
    expect(await answerOf(list(header))).toBe("INVALID_CREDENTIAL");
  });

  test("is not known any more once its key is gone", async () => {
    const { service, phone, list } = await start();
    const device = phone(ann);
    const header = await device.sign(RPC, service.clock.now);
    device.revoke();
    expect(await answerOf(list(header))).toBe("INVALID_CREDENTIAL");
  });

  test("may do what names devices and nothing else, and a refused call leaves its signature good", async () => {
    const { service, phone } = await start();
    const device = phone(ann);
    const signed = async (rpc: string) => ({ authorization: await device.sign(rpc, service.clock.now) });
    const codes = await signed("mfa.v1.MfaService/VerifyTotpCode");
    const verify = () => service.mfa.verifyTotpCode({ code: "123456" }, undefined, codes);
    expect(await tally([verify(), verify()])).toEqual({ ACCESS_DENIED: 2 });
    const key = service.mfa.getVapidPublicKey({}, undefined, await signed("mfa.v1.MfaService/GetVapidPublicKey"));
    expect(await answerOf(key)).toBe("in");
  });

  test("that is to be paired shows its pairing token, for that and nothing else", async () => {
    const { service, phone, pair, list } = await start();
    const token = pair(ann);
    const finish = (authorization: string) => service.mfa.finishPushDeviceEnrollment({}, undefined, { authorization });
    expect(await answerOf(finish(`Device ${token}`))).toBe("in");
    expect(await answerOf(list(`Device ${token}`))).toBe("ACCESS_DENIED");
    expect(await answerOf(finish(`Device ${"A".repeat(22)}`))).toBe("INVALID_CREDENTIAL");
    const signed = await phone(ann).sign("mfa.v1.MfaService/FinishPushDeviceEnrollment", service.clock.now);
    expect(await answerOf(finish(signed))).toBe("ACCESS_DENIED");
  });

  test("acts for the user that it is paired with, and says which device it is", async () => {
    const { store } = await openForTest(engine);
    const { devices, phone } = phones();
    const device = phone({ tenantId: "acme", userId: "ann" });
    const now = new Date();
    const header = await device.sign(RPC, now);
    const showing = { method: MfaService.method.listPendingPushChallenges, now, ip: "", beforeLook: () => {} };
    const verified = await createDeviceAuthentication(() => store, devices)(header.slice("Device ".length), showing);
    const caller = verified?.caller as Caller;
    expect(caller).toMatchObject({ principal: Principal.DEVICE, deviceId: device.deviceId, acr: "aal1" });
    expect(ownerOf(caller)).toEqual({ tenantId: "acme", userId: "ann" });
  });
});

test("where no push devices are known, every device is a stranger", async () => {
  const [sqlite] = engines as [(typeof engines)[number]];
  const service = await serviceForTest(sqlite);
  const { phone, pair } = phones();
  for (const authorization of [await phone(ann).sign(RPC, service.clock.now), `Device ${pair(ann)}`]) {
    const call = service.mfa.listPendingPushChallenges({}, undefined, { authorization });
    expect(await answerOf(call)).toBe("INVALID_CREDENTIAL");
  }
});

import { randomBytes } from "node:crypto";
import { ScureBase32Plugin } from "otplib";
import { describe, expect, test } from "vitest";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { appOf, enrollApp } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { bring, statuses, verify } from "../support/actors/importer.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const base32 = (secret: Uint8Array) => new ScureBase32Plugin().encode(secret);
const app = (userId: string, value: object, more: object = {}) => ({
  userId,
  kind: { case: "totp" as const, value },
  ...more,
});

describe.each(engines)("secrets of other systems on $name", (engine) => {
  test("a code is judged whatever the length of the imported secret, and a wrong one is a wrong one", async () => {
    const service = await serviceForTest(engine);
    for (const length of [10, 12, 15, 16, 20, 64, 65, 127, 128]) {
      const secret = randomBytes(length);
      expect(statuses(await bring(service, [app(`u${length}`, { secret })]))).toEqual(["IMPORTED"]);
      const code = await appOf(service, base32(secret))();
      const wrong = code === "111111" ? "222222" : "111111";
      expect(await failure(verify(service, `u${length}`, wrong))).toMatchObject({ reason: "CODE_REJECTED" });
      await verify(service, `u${length}`, code);
    }
  });

  test("a short secret beside a good app spoils neither, in every hash", async () => {
    const service = await serviceForTest(engine);
    const short = randomBytes(10);
    const long = randomBytes(100);
    await bring(service, [
      app("ann", { secret: short, algorithm: TotpAlgorithm.SHA256 }),
      app("ann", { secret: long, algorithm: TotpAlgorithm.SHA512 }),
    ]);
    const good = await enrollApp(service, "ann", "aal2");
    expect((await verify(service, "ann", await good.code())).deviceId).toBe(good.deviceId);
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    const [first, second] = [short, long].map((secret, n) => appOf(service, base32(secret), devices[n]));
    await verify(service, "ann", (await first?.()) ?? "");
    await verify(service, "ann", (await second?.()) ?? "");
  });

  test("an imported app with a short secret waits for its first code, and is proven by it", async () => {
    const service = await serviceForTest(engine);
    const secret = randomBytes(10);
    await bring(service, [app("bob", { secret }, { unverified: true })]);
    await service.mfa.finishTotpEnrollment({ code: await appOf(service, base32(secret))() }, await service.user("bob"));
    expect((await service.mfa.getMfaStatus({}, await service.user("bob"))).status?.enrolled).toBe(true);
  });

  test("a device whose secret cannot be opened does not spoil the codes of another, nor an import; wrong codes count", async () => {
    const service = await serviceForTest(engine);
    const broken = await enrollApp(service, "ann");
    const good = await enrollApp(service, "ann", "aal2");
    const bytes = engine.name === "sqlite" ? "X'0102'" : "'\\x0102'::bytea";
    await service.execute(`UPDATE totp_devices SET sealed_secret = ${bytes} WHERE device_id = '${broken.deviceId}'`);
    expect((await verify(service, "ann", await good.code())).deviceId).toBe(good.deviceId);
    for (let n = 0; n < 5; n++)
      expect((await failure(verify(service, "ann", await broken.code()))).reason).toBe("CODE_REJECTED");
    expect((await failure(verify(service, "ann", await good.code(30_000)))).reason).toBe("LOCKED");
    expect(statuses(await bring(service, [app("ann", { secret: randomBytes(20) })]))).toEqual(["IMPORTED"]);
  });

  test("a last step of the future is refused, as no code would ever be newer", async () => {
    const service = await serviceForTest(engine);
    const seconds = BigInt(Math.floor(service.clock.now.getTime() / 1000));
    const found = await bring(service, [
      app("ann", { secret: randomBytes(20), lastStep: seconds }),
      app("bob", { secret: randomBytes(20), lastStep: seconds / 30n }),
    ]);
    expect(statuses(found)).toEqual([
      expect.stringMatching(/^REFUSED: totp\.last_step: a step of the future/),
      "IMPORTED",
    ]);
  });
});

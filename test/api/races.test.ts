import { describe, expect, test } from "vitest";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { rounds, times } from "../support/engine/races.ts";
import { serviceForTest } from "../support/worlds/service.ts";

describe.each(engines)("races on $name", { repeats: rounds - 1 }, (engine) => {
  test("one of 1,000 concurrent uses of a code wins, spread over user and service RPCs", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await service.backend("mfa.verify");
    const code = await app.code();
    const counts = await tally(
      times(1000, (n) =>
        n % 2 === 0
          ? service.mfa.verifyTotpCode({ code }, app.token)
          : service.internal.verifyUserTotpCode({ userId: "ann", code }, backend),
      ),
    );
    const { CODE_REJECTED = 0, LOCKED = 0 } = counts;
    expect(counts).toMatchObject({ OK: 1 });
    expect(CODE_REJECTED + LOCKED).toBe(999);
  });

  test("of 10,000 parallel wrong guesses five are judged, then the right code is refused alike", {
    timeout: 120_000,
  }, async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const backend = await service.backend("mfa.verify");
    const wrong = await wrongCode(app);
    const counts = await tally(
      times(10_000, (n) =>
        n % 2 === 0
          ? service.mfa.verifyTotpCode({ code: wrong }, app.token)
          : service.internal.verifyUserTotpCode({ userId: "ann", code: wrong }, backend),
      ),
    );
    expect(counts).toEqual({ CODE_REJECTED: 5, LOCKED: 9995 });
    const right = await failure(service.mfa.verifyTotpCode({ code: await app.code() }, app.token));
    expect(right.reason).toBe("LOCKED");
  });

  test("of 50 concurrent finishes of one enrollment one wins, and one device exists", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
    const code = await showCode(provisioning?.secret ?? "", service.clock.now);
    const counts = await tally(times(50, () => service.mfa.finishTotpEnrollment({ code }, token)));
    expect(counts.OK).toBe(1);
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices).toHaveLength(1);
  });

  test("of 50 concurrent starts one pending device is left", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    expect(await tally(times(50, () => service.mfa.startTotpEnrollment({}, token)))).toEqual({ OK: 50 });
    const { devices } = await service.mfa.listTotpDevices({}, token);
    expect(devices).toHaveLength(1);
  });

  test("of 50 concurrent starts with one request_id one succeeds", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const requestId = "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11";
    const counts = await tally(times(50, () => service.mfa.startTotpEnrollment({ requestId }, token)));
    expect(counts).toEqual({ OK: 1, REQUEST_REPEATED: 49 });
  });
});

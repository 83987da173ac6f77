import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { backendOf, createFor, inSession } from "../support/actors/backend.ts";
import { enrollCodes, wrongSecret } from "../support/actors/backup-codes.ts";
import { failure, streamer } from "../support/actors/grpc-client.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { askPhone, pairPhone, reasonOf, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { watchedPool } from "../support/engine/kdf.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

const lockOf = async (service: ServiceUnderTest, userId = "ann") => {
  const { lockouts } = await service.admin.listLockouts({}, await adminOf(service));
  const lock = lockouts.find((one) => one.userId === userId);
  return lock?.unlockTime && Number(lock.unlockTime.seconds) * 1000 - service.clock.now.getTime();
};

describe.each(engines)("locks that come into force while a code is judged on $name", (engine) => {
  /** A user with codes and a phone that a request waits on, and a pool that holds what is judged. */
  const held = async () => {
    const kdf = watchedPool();
    const service = await serviceForTest(engine, { kdf });
    await switchPushOn(service, { lockWhenReported: true });
    const { codes } = await enrollCodes(service, "ann");
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    service.pass(1_000);
    await askPhone(service, "ann");
    const [waiting] = await phone.pending();
    if (!waiting) throw new Error("nothing waits");
    kdf.derived = 0;
    return { kdf, service, codes, phone, waiting };
  };

  test.each([
    [
      "VerifyBackupCode",
      ({ mfa }: ServiceUnderTest, code: string, token: string) => mfa.verifyBackupCode({ code }, token),
    ],
    [
      "StepUp",
      ({ mfa }: ServiceUnderTest, value: string, token: string) =>
        mfa.stepUp({ proof: { kind: { case: "backupCode", value } }, audience: "shop" }, token),
    ],
  ])("a right code on its way by %s does not lift the lock of a report", async (_, use) => {
    const { kdf, service, codes, phone, waiting } = await held();
    const release = kdf.hold();
    const using = use(service, codes[0] ?? "", await inSession(service, "ann", "thief"));
    await expect.poll(() => kdf.derived).toBe(1);
    expect(await reasonOf(phone.deny(waiting, "NOT_ME"))).toBe("OK");
    release();
    await reasonOf(using);
    expect(await lockOf(service)).toBe(60 * MINUTE);
    const late = service.mfa.verifyBackupCode({ code: codes[1] ?? "" }, await service.user("ann"));
    expect((await failure(late)).reason).toBe("LOCKED");
  });

  test("a right code that was the last before a lock takes its own lock back", async () => {
    const service = await serviceForTest(engine);
    const { codes } = await enrollCodes(service, "ann");
    const token = await service.user("ann");
    for (let n = 0; n < 4; n++) {
      await failure(service.mfa.verifyBackupCode({ code: wrongSecret(codes[n] ?? "") }, token));
    }
    expect(await reasonOf(service.mfa.verifyBackupCode({ code: codes[4] ?? "" }, token))).toBe("OK");
    expect(await lockOf(service)).toBeUndefined();
    for (let n = 0; n < 4; n++) {
      const wrong = await failure(service.mfa.verifyBackupCode({ code: wrongSecret(codes[n] ?? "") }, token));
      expect(wrong.reason).toBe("CODE_REJECTED");
    }
  });

  test("a report under a longer lock ends what is open, and shortens nothing", async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service, { lockWhenReported: true });
    const app = await enrollApp(service, "ann");
    await enrollPasskey(service, "ann");
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    service.pass(1_000);
    await askPhone(service, "ann");
    const [waiting] = await phone.pending();
    if (!waiting) throw new Error("nothing waits");
    const token = await service.user("ann");
    for (const minutes of [1, 5, 15, 0]) {
      const code = await wrongCode(app);
      for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, token));
      service.pass(minutes * MINUTE + 1_000);
    }
    const before = await lockOf(service);
    expect(before).toBeGreaterThan(60 * MINUTE);
    const shop = await backendOf(service);
    const challengeId = await createFor(service, "ann", shop);
    const state = async () =>
      (await service.internal.getUserChallenge({ userId: "ann", challengeId }, shop)).challenge?.state;
    const watch = { userId: "ann", challengeId };
    const stream = streamer(service.port)(InternalMfaService.method.watchUserChallenge, watch, shop);
    expect((await stream.next())?.challenge?.state).toBe(ChallengeState.PENDING);
    service.pass(1_000);
    await reasonOf(phone.deny(waiting, "NOT_ME"));
    expect((await stream.next())?.challenge?.state).toBe(ChallengeState.LOCKED);
    expect(await state()).toBe(ChallengeState.LOCKED);
    expect(await lockOf(service)).toBe((before ?? 0) - 1_000);
  });
});

import { status } from "@grpc/grpc-js";
import { describe, expect, test, vi } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { LockScope } from "../../gen/mfa/v1/lockout_pb.js";
import { LockProfile } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { attempts } from "../../src/protection/attempts.table.ts";
import { wasLockedSince } from "../../src/protection/attempts.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { backendOf, createFor } from "../support/actors/backend.ts";
import { enrollCodes, wrongSecret } from "../support/actors/backup-codes.ts";
import { type CallFailed, failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { cheapPool } from "../support/engine/kdf.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const admin = (service: ServiceUnderTest, subject = "root") =>
  service.mint({ audience: "mfa-admin", subject, acr: "aal2", scope: "mfa.read mfa.lockout.write mfa.settings.write" });

/** Somebody who knows the password and guesses at codes through a backend, as time goes by. */
async function guesser(service: ServiceUnderTest, userId = "ann") {
  const app = await enrollApp(service, userId);
  const attempt = async (code: string): Promise<CallFailed | undefined> => {
    const backend = await service.backend("mfa.verify");
    return service.internal.verifyUserTotpCode({ userId, code }, backend).then(
      () => undefined,
      (failed: CallFailed) => failed,
    );
  };
  return {
    app,
    guess: async () => attempt(await wrongCode(app)),
    logIn: async () => attempt(await app.code()),
    /** Wrong codes until one is not judged any more; how long from then on. */
    lock: async () => {
      for (let judged = 0; ; judged++) {
        const failed = await attempt(await wrongCode(app));
        if (failed?.reason !== "CODE_REJECTED") return { judged, retryAfterMs: failed?.retryAfterMs };
      }
    },
  };
}

/** The most instants that lie within one day of each other. */
const mostInADay = (instants: readonly number[]) =>
  Math.max(0, ...instants.map((from) => instants.filter((at) => at >= from && at < from + DAY).length));

describe.each(engines)("locks on $name", (engine) => {
  test("locks grow from one minute to five to fifteen, and a success starts over", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    for (const minutes of [1, 5, 15]) {
      expect(await ann.lock()).toEqual({ judged: 5, retryAfterMs: minutes * MINUTE });
      service.pass(minutes * MINUTE);
    }
    expect(await ann.logIn()).toBeUndefined();
    service.pass(DAY);
    expect(await ann.lock()).toEqual({ judged: 5, retryAfterMs: MINUTE });
  });

  test("later locks last an hour", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    for (const minutes of [1, 5, 15, 60, 60]) {
      expect(await ann.lock()).toEqual({ judged: 5, retryAfterMs: minutes * MINUTE });
      service.pass(DAY);
    }
  });

  test("twenty failures of a day lock until the oldest of them is a day old, whatever succeeded between them", {
    timeout: 60_000,
  }, async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    const began = service.clock.now.getTime();
    for (let row = 0; row < 5; row++) {
      for (let n = 0; n < 4; n++) expect(await ann.guess()).toMatchObject({ reason: "CODE_REJECTED" });
      service.pass(HOUR);
      const logIn = await ann.logIn();
      if (row < 4) expect(logIn).toBeUndefined();
      else expect(logIn).toMatchObject({ reason: "LOCKED", retryAfterMs: began + DAY - service.clock.now.getTime() });
    }
    service.clock.now = new Date(began + DAY);
    expect(await ann.logIn()).toBeUndefined();
  });

  test("who guesses without end gets a hundred guesses, and no more than twenty in any day", {
    timeout: 120_000,
  }, async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    const judged: number[] = [];
    const end = service.clock.now.getTime() + 30 * DAY;
    while (service.clock.now.getTime() < end) {
      const failed = await ann.guess();
      if (failed?.reason === "CODE_REJECTED") judged.push(service.clock.now.getTime());
      else service.pass(failed?.retryAfterMs ?? DAY);
    }
    expect(judged).toHaveLength(100);
    expect(mostInADay(judged)).toBe(20);
  });

  test("who also logs in gets no more than twenty wrong guesses in any day", { timeout: 120_000 }, async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    const judged: number[] = [];
    const end = service.clock.now.getTime() + 10 * DAY;
    while (service.clock.now.getTime() < end) {
      for (let n = 0; n < 4; n++) {
        const failed = await ann.guess();
        if (failed?.reason === "CODE_REJECTED") judged.push(service.clock.now.getTime());
        else service.pass(failed?.retryAfterMs ?? DAY);
      }
      service.pass(10 * MINUTE);
      await ann.logIn();
    }
    expect(judged.length).toBeGreaterThan(100);
    expect(mostInADay(judged)).toBeLessThanOrEqual(20);
  });

  test("after a hundred failures in a row only an administrator lets the user try again", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    await ann.guess();
    await service.execute("UPDATE attempts SET consecutive_failures = 99");
    expect(await ann.guess()).toMatchObject({ reason: "CODE_REJECTED" });
    service.pass(365 * DAY);
    const refused = await ann.logIn();
    expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "LOCKED", retryAfterMs: undefined });

    const { lockouts } = await service.admin.listLockouts({ needsClearing: true }, await admin(service));
    expect(lockouts).toMatchObject([{ userId: "ann", consecutiveFailureCount: 100, needsClearing: true }]);
    expect(lockouts[0]?.unlockTime).toBeUndefined();
    await service.admin.clearLockout({ userId: "ann", reason: "called in" }, await admin(service));
    expect(await ann.logIn()).toBeUndefined();
  });

  test("the pci profile judges ten and locks for thirty minutes", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    await service.admin.updateTenantSettings({ lockProfile: LockProfile.PCI }, await admin(service));
    service.pass(1000);
    expect(await ann.lock()).toEqual({ judged: 10, retryAfterMs: 30 * MINUTE });
    service.pass(DAY);
    expect(await ann.lock()).toEqual({ judged: 10, retryAfterMs: 30 * MINUTE });
  });

  test("administrators see who is locked, newest first, page by page, and clear it with a reason", async () => {
    const service = await serviceForTest(engine);
    const users = [];
    for (const userId of ["ann", "bob", "cy/ñ"]) users.push(await guesser(service, userId));
    for (const user of users) {
      await user.lock();
      service.pass(1000);
    }
    const token = await admin(service);
    const first = await service.admin.listLockouts({ pageSize: 2 }, token);
    const { nextPageToken: pageToken } = first;
    const second = await service.admin.listLockouts({ pageSize: 2, pageToken }, token);
    const all = [...first.lockouts, ...second.lockouts];
    expect(all.map(({ userId }) => userId)).toEqual(["cy/ñ", "bob", "ann"]);
    expect(all[0]).toMatchObject({ scope: LockScope.CODES, consecutiveFailureCount: 5, dailyFailureCount: 5 });
    expect(second.nextPageToken).toBe("");
    const other = failure(service.admin.listLockouts({ pageSize: 2, pageToken, needsClearing: true }, token));
    expect(await other).toMatchObject({ reason: "INVALID_PAGE_TOKEN" });

    const { cleared } = await service.admin.clearLockout({ userId: "cy/ñ", reason: "called in" }, token);
    expect(cleared).toMatchObject([{ userId: "cy/ñ", scope: LockScope.CODES }]);
    expect((await service.admin.listLockouts({ userId: "cy/ñ" }, token)).lockouts).toEqual([]);
    const again = await service.admin.clearLockout({ userId: "cy/ñ", reason: "called in" }, token);
    expect(again.cleared).toEqual([]);
    // Told where a lock ended, and not where there was none.
    const told = (await eventsOf(service.store)).filter((one) => one.startsWith("USER_UNLOCKED"));
    expect(told).toHaveLength(1);
  });

  test("locked users are found by name, by what is stopped, and by who stays locked until cleared", async () => {
    const service = await serviceForTest(engine);
    const bob = await guesser(service, "bob");
    await bob.guess();
    await service.execute("UPDATE attempts SET consecutive_failures = 99");
    await bob.guess();
    const ann = await guesser(service);
    await ann.lock();
    const token = await admin(service);
    const found = async (request: object) =>
      (await service.admin.listLockouts(request, token)).lockouts.map(({ userId }) => userId);
    expect(await found({})).toEqual(["ann", "bob"]);
    expect(await found({ userId: "ann" })).toEqual(["ann"]);
    expect(await found({ scope: LockScope.CODES })).toEqual(["ann", "bob"]);
    expect(await found({ scope: LockScope.WEBAUTHN })).toEqual([]);
    expect(await found({ needsClearing: true })).toEqual(["bob"]);
  });

  test("past the twenty of a day each failure locks again, however often that is cleared, and a right code is taken", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    const token = await admin(service);
    const clear = () => service.admin.clearLockout({ userId: "ann", reason: "called in" }, token);
    let judged = 0;
    for (let n = 0; n < 5; n += 1) {
      judged += (await ann.lock()).judged;
      await clear();
    }
    // Four locks of five, then one guess for the lock that was cleared.
    expect(judged).toBe(21);
    expect(await ann.logIn()).toBeUndefined();
  });

  test("nobody clears their own lock", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    await ann.lock();
    const own = service.admin.clearLockout({ userId: "ann", reason: "mine" }, await admin(service, "ann"));
    expect(await failure(own)).toMatchObject({ reason: "SELF_ACTION" });
    expect(await ann.logIn()).toMatchObject({ reason: "LOCKED" });
  });

  test("another tenant's lockouts are neither seen nor cleared", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    await ann.lock();
    const scope = "mfa.read mfa.lockout.write";
    const stranger = await service.mint({ audience: "mfa-admin", subject: "eve", acr: "aal2", scope, tenant: "other" });
    expect((await service.admin.listLockouts({ userId: "ann" }, stranger)).lockouts).toEqual([]);
    expect((await service.admin.clearLockout({ userId: "ann", reason: "mine" }, stranger)).cleared).toEqual([]);
    expect(await ann.logIn()).toMatchObject({ reason: "LOCKED" });
  });

  test("a clock that is set back makes no lock longer than it was meant", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    expect(await ann.lock()).toMatchObject({ retryAfterMs: MINUTE });
    service.pass(-DAY);
    expect(await ann.guess()).toMatchObject({ reason: "LOCKED", retryAfterMs: MINUTE });
    service.pass(MINUTE);
    expect(await ann.guess()).toMatchObject({ reason: "CODE_REJECTED" });
  });

  test("a lock that a clock set back has put into the future ends in its time for log-ins too, though nobody tries", async () => {
    const service = await serviceForTest(engine);
    const { lock } = await guesser(service);
    await lock();
    service.pass(-30 * MINUTE);
    const backend = await backendOf(service);
    const locked = await failure(createFor(service, "ann", backend));
    expect(locked).toMatchObject({ reason: "LOCKED", retryAfterMs: MINUTE });
    service.pass(MINUTE + 1);
    const challengeId = await createFor(service, "ann", backend);
    const { challenge } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(challenge?.state).toBe(ChallengeState.PENDING);
  });

  test("a double click among right answers that are still being judged locks nobody, and five wrong ones at once do", async () => {
    const pool = cheapPool();
    let gate: Promise<void> = Promise.resolve();
    let open = () => {};
    const close = () => {
      gate = new Promise((resolve) => {
        open = resolve;
      });
    };
    const derive = async (code: string, salt: Uint8Array) => {
      await gate;
      return pool.derive(code, salt);
    };
    const service = await serviceForTest(engine, { kdf: { enter: pool.enter, derive } });
    const { codes, app } = await enrollCodes(service, "ann");
    const token = await service.user("ann");
    const spent = await app.code();
    await service.mfa.verifyTotpCode({ code: spent }, token);
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    service.pass(1000);
    const counted = async (failures: number) => {
      await vi.waitUntil(async () => (await rowsIn(service.store, attempts))[0]?.failures === failures);
    };
    const locks = async () => (await eventsOf(service.store)).filter((one) => one.startsWith("USER_LOCKED")).length;

    close();
    const right = codes.slice(0, 4).map((code) => service.mfa.verifyBackupCode({ code }, token));
    await counted(4);
    // The fifth to be counted, and the first to be judged.
    expect((await failure(service.mfa.verifyTotpCode({ code: spent }, token))).reason).toBe("CODE_REJECTED");
    open();
    await Promise.all(right);
    expect(await locks()).toBe(0);
    const { challenge } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(challenge?.state).toBe(ChallengeState.PENDING);

    close();
    const wrong = codes.slice(4, 8).map((code) => service.mfa.verifyBackupCode({ code: wrongSecret(code) }, token));
    await counted(4);
    expect((await failure(service.mfa.verifyTotpCode({ code: spent }, token))).reason).toBe("CODE_REJECTED");
    expect((await failure(service.mfa.verifyTotpCode({ code: spent }, token))).reason).toBe("LOCKED");
    open();
    await Promise.allSettled(wrong);
    expect(await locks()).toBe(1);
    const after = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(after.challenge?.state).toBe(ChallengeState.LOCKED);
  });

  test("without a credential nobody's attempts are counted", async () => {
    const service = await serviceForTest(engine);
    const { app, logIn } = await guesser(service);
    const code = await wrongCode(app);
    const strangers = [undefined, await service.backend("mfa.read"), await service.user("eve")];
    for (const token of strangers) {
      for (let n = 0; n < 6; n++) {
        await failure(service.internal.verifyUserTotpCode({ userId: "ann", code }, token));
        await failure(service.mfa.verifyTotpCode({ code }, token));
      }
    }
    expect(await logIn()).toBeUndefined();
  });

  test("what was begun before a lock is dead after it, also once it was cleared or ended in a success", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    const begun = service.clock.now;
    const isDead = () => service.store.read((tx) => wasLockedSince(tx, { tenantId: "dev", userId: "ann" }, begun));
    for (let n = 0; n < 4; n++) await ann.guess();
    // A right code as the last attempt of a row ends the lock that was reserved with it.
    expect(await ann.logIn()).toBeUndefined();
    expect(await isDead()).toBe(false);
    service.pass(30_000);
    await ann.lock();
    expect(await isDead()).toBe(true);
    service.pass(MINUTE);
    expect(await ann.logIn()).toBeUndefined();
    expect(await isDead()).toBe(true);
    await service.admin.clearLockout({ userId: "ann", reason: "called in" }, await admin(service));
    expect(await isDead()).toBe(true);
  });

  test("of parallel right and wrong codes the right one does not take back more than itself", async () => {
    const service = await serviceForTest(engine);
    const ann = await guesser(service);
    const codes = [ann.guess, ann.guess, ann.guess, ann.logIn].map((attempt) => attempt());
    await Promise.all(codes);
    service.pass(DAY - MINUTE);
    for (let failures = 3; failures < 20; failures++) {
      expect(await ann.guess()).toMatchObject({ reason: "CODE_REJECTED" });
      await service.execute("UPDATE attempts SET failures = 0");
    }
    expect(await ann.guess()).toMatchObject({ reason: "LOCKED" });
  });
});

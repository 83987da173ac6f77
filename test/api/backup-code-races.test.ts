import { describe, expect, test } from "vitest";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { drawRecoveryCode } from "../../src/crypto/recovery-code.ts";
import { createRecoveryCodeHash } from "../../src/crypto/recovery-code-hash.ts";
import type { RootKeys } from "../../src/crypto/root-key.ts";
import { enrollCodes, unknownSelector, wrongSecret } from "../support/actors/backup-codes.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { cheapPool, watchedPool } from "../support/engine/kdf.ts";
import { rounds, times } from "../support/engine/races.ts";
import { bytesOf, encodingsOf } from "../support/engine/residue.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

async function ofSize(service: ServiceUnderTest, codeCount: number) {
  const scope = "mfa.settings.write";
  const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
  await service.admin.updateTenantSettings({ backupCodes: { codeCount } }, admin);
}

describe.each(engines)("races for backup codes on $name", { repeats: rounds - 1 }, (engine) => {
  test("one of 1,000 concurrent uses of a code wins", async () => {
    const service = await serviceForTest(engine);
    const { codes, token } = await enrollCodes(service, "ann");
    const counts = await tally(times(1000, () => service.mfa.verifyBackupCode({ code: codes[4] ?? "" }, token)));
    const { CODE_REJECTED = 0, LOCKED = 0, RATE_LIMITED = 0 } = counts;
    expect(counts).toMatchObject({ OK: 1 });
    expect(CODE_REJECTED + LOCKED + RATE_LIMITED).toBe(999);
    expect((await service.mfa.getBackupCodeCount({}, token)).count?.remaining).toBe(9);
  });

  test("of a crowd with no room in the queue one still wins, and who is turned away is not counted", async () => {
    const service = await serviceForTest(engine, { kdf: cheapPool({ places: 20 }) });
    const { codes, token } = await enrollCodes(service, "ann");
    const counts = await tally(times(200, () => service.mfa.verifyBackupCode({ code: codes[4] ?? "" }, token)));
    const { CODE_REJECTED = 0, LOCKED = 0, RATE_LIMITED = 0 } = counts;
    expect(counts).toMatchObject({ OK: 1 });
    expect(CODE_REJECTED + LOCKED + RATE_LIMITED).toBe(199);
    expect(RATE_LIMITED).toBeGreaterThan(0);
  });

  test("several codes at once are spent each once, and counted each once", async () => {
    const service = await serviceForTest(engine);
    const { codes, token } = await enrollCodes(service, "ann");
    const counts = await tally(codes.slice(0, 4).map((code) => service.mfa.verifyBackupCode({ code }, token)));
    expect(counts).toEqual({ OK: 4 });
    expect((await service.mfa.getBackupCodeCount({}, token)).count?.remaining).toBe(6);
  });

  test("of 20 concurrent generations one set is live", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollCodes(service, "ann");
    const sets = await Promise.all(times(20, () => service.mfa.generateBackupCodes({}, token)));
    const { backupCodes } = await service.mfa.listBackupCodes({}, token);
    const selectors = backupCodes.map(({ selector }) => selector);
    const live = sets.filter(({ codes }) => codes.every((code, n) => code.startsWith(selectors[n] ?? "none")));
    expect(live).toHaveLength(1);
    let accepted = 0;
    for (const { codes } of sets) {
      const use = service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, await service.user("ann"));
      const reply = await use.catch(() => undefined);
      if (reply) accepted++;
      else service.pass(60 * 60_000);
    }
    expect(accepted).toBe(1);
  });

  test("an old code loses against a generation that was acknowledged, and whoever wins a race the new set is whole", {
    timeout: 120_000,
  }, async () => {
    const service = await serviceForTest(engine);
    await ofSize(service, 3);
    let { codes, token } = await enrollCodes(service, "ann");
    for (let round = 0; round < 50; round++) {
      const [raced = "", kept = ""] = codes;
      // Fifty days' failures, of which each day allows so many.
      await service.execute("DELETE FROM attempts");
      const generation = service.mfa.generateBackupCodes({}, token);
      const use = tally([service.mfa.verifyBackupCode({ code: raced }, token)]);
      codes = (await generation).codes;
      expect((await failure(service.mfa.verifyBackupCode({ code: kept }, token))).reason).toBe("CODE_REJECTED");
      expect([{ OK: 1 }, { CODE_REJECTED: 1 }]).toContainEqual(await use);
      expect((await service.mfa.getBackupCodeCount({}, token)).count).toMatchObject({ remaining: 3, total: 3 });
      await service.mfa.verifyBackupCode({ code: codes[2] ?? "" }, token);
    }
  });

  test("of 20 confirmations and 20 generations at once one set is in force and one at most waits", async () => {
    const service = await serviceForTest(engine);
    await ofSize(service, 2);
    const { token } = await enrollCodes(service, "ann");
    const { setId } = await service.mfa.generateBackupCodes({ confirmationRequired: true }, token);
    const counts = await tally(
      times(40, (n) =>
        n % 2 === 0
          ? service.mfa.confirmBackupCodes({ setId }, token)
          : service.mfa.generateBackupCodes({ confirmationRequired: n % 4 === 1 }, token),
      ),
    );
    expect(Object.keys(counts).sort()).toEqual(counts.NOT_FOUND ? ["NOT_FOUND", "OK"] : ["OK"]);
    const { count } = await service.mfa.getBackupCodeCount({}, token);
    expect(count).toMatchObject({ remaining: 2, total: 2 });
    expect((await service.mfa.listBackupCodes({}, token)).backupCodes).toHaveLength(2);
  });
});

describe.each(engines)("the cost of backup codes on $name", (engine) => {
  test("is one derivation an attempt, whatever was typed, and none where attempts are stopped", async () => {
    const kdf = watchedPool();
    const service = await serviceForTest(engine, { kdf });
    const { codes, token } = await enrollCodes(service, "ann");
    const [right = "", used = "", other = ""] = codes;
    await service.mfa.verifyBackupCode({ code: used }, token);
    for (const code of [wrongSecret(other), unknownSelector(codes), used, `UUU${other.slice(3)}`, right]) {
      kdf.derived = 0;
      await service.mfa.verifyBackupCode({ code }, token).catch(() => undefined);
      expect(kdf.derived, code).toBe(1);
    }
    kdf.derived = 0;
    await failure(service.mfa.verifyBackupCode({ code: right }, await service.user("nobody")));
    for (let n = 0; n < 5; n++) await failure(service.mfa.verifyBackupCode({ code: used }, token));
    expect((await failure(service.mfa.verifyBackupCode({ code: other }, token))).reason).toBe("LOCKED");
    expect(kdf.derived).toBe(5);
  });

  test("starves nobody: while the queue is full, apps' codes and health are answered", async () => {
    const kdf = watchedPool(cheapPool({ places: 12 }));
    const service = await serviceForTest(engine, { kdf });
    await ofSize(service, 2);
    const others = [];
    for (let n = 0; n < 6; n++) others.push(await enrollCodes(service, `user ${n}`));
    const { app, codes, token } = await enrollCodes(service, "ann");
    kdf.derived = 0;
    const release = kdf.hold();
    const waiting: Promise<unknown>[] = times(3, () => service.mfa.generateBackupCodes({}, token));
    await expect.poll(() => kdf.derived).toBe(3);
    // Sets leave half of the places to proofs, which take them now.
    expect((await failure(service.mfa.generateBackupCodes({}, token))).reason).toBe("RATE_LIMITED");
    waiting.push(...others.map(({ codes, token }) => service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token)));
    await expect.poll(() => kdf.derived).toBe(9);
    const full = await failure(service.mfa.verifyBackupCode({ code: codes[0] ?? "" }, token));
    expect(full).toMatchObject({ reason: "RATE_LIMITED", retryAfterMs: 1000 });

    await service.mfa.verifyTotpCode({ code: await app.code() }, token);
    await service.mfa.getBackupCodeCount({}, token);
    expect((await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status).toBe(200);

    release();
    expect(await tally(waiting)).toEqual({ OK: 9 });
  });
});

describe.each(engines)("what is kept of backup codes on $name", (engine) => {
  test("no code is in the database, its write-ahead log, our log or an error", async () => {
    const service = await serviceForTest(engine);
    const { codes, setId, token } = await enrollCodes(service, "ann");
    const [code = "", other = ""] = codes;
    await service.mfa.confirmBackupCodes({ setId, code: other }, token);
    await service.mfa.verifyBackupCode({ code }, token);
    const errors = [
      await failure(service.mfa.verifyBackupCode({ code }, token)),
      await failure(service.mfa.verifyBackupCode({ code: `${other} 0` }, token)),
    ];
    const kept = Buffer.concat([await bytesOf(service), Buffer.from(JSON.stringify([service.log, errors]))]);
    // What is surely there is found: the search works.
    expect(kept.includes(setId)).toBe(true);
    expect(kept.includes(code.slice(0, 3))).toBe(true);
    for (const shown of codes) {
      const canonical = shown.replaceAll("-", "");
      for (const secret of [shown, shown.slice(4), canonical, canonical.slice(3)]) {
        for (const encoded of encodingsOf(secret)) expect(kept.includes(encoded)).toBe(false);
      }
    }
  });

  test("a copy of the database confirms no guess without the pepper, not even the right one", async () => {
    const [mine, thiefs] = [parseKeys(newKeys()), parseKeys(newKeys())];
    const hashesOf = async (keys: RootKeys) =>
      createRecoveryCodeHash(await openKeyring(keys, (await openForTest(engine)).store), cheapPool(), "backup-code/v1");
    const owner = { tenantId: "dev", userId: "ann", setId: "set" };
    const code = drawRecoveryCode();
    const hashes = await hashesOf(mine);
    const stored = await hashes.hash(code, owner);
    expect(await hashes.matches(code, stored, owner)).toBe(true);
    for (const elsewhere of [{ tenantId: "b" }, { userId: "bob" }, { setId: "other" }]) {
      expect(await hashes.matches(code, stored, { ...owner, ...elsewhere })).toBe(false);
    }
    // The thief's keys under the stolen key's name.
    const renamed = { ...thiefs.primary, id: mine.primary.id };
    const guesses = await hashesOf({ primary: renamed, all: new Map([[renamed.id, renamed]]) });
    expect(await guesses.matches(code, stored, owner)).toBe(false);
  });
});

import { describe, expect, test } from "vitest";
import { attemptRepository } from "../../src/protection/attempts.repository.ts";
import { boundForTest, type EngineUnderTest, engines } from "../support/engine/engines.ts";

const start = new Date("2026-03-01T12:00:00.000Z");
const at = (minutes: number) => new Date(start.getTime() + minutes * 60_000);
const count = { tenantId: "dev", userId: "ann", counter: "typed-code" } as const;

async function counting(engine: EngineUnderTest) {
  const store = await boundForTest(engine);
  const write = <T>(work: (attempts: ReturnType<typeof attemptRepository>) => Promise<T>) =>
    store.write((tx) => work(attemptRepository(tx)));
  return { write, row: () => write((attempts) => attempts.find(count)) };
}

describe.each(engines)("the count of a user's attempts on $name", (engine) => {
  test("a lock at once lengthens a shorter lock and shortens no longer one", async () => {
    const { write, row } = await counting(engine);
    await write((attempts) => attempts.lockAtOnce(count, at(5), at(0)));
    await write((attempts) => attempts.lockAtOnce(count, at(60), at(1)));
    expect((await row())?.lockExpireTime).toEqual(at(60));
    await write((attempts) => attempts.lockAtOnce(count, at(10), at(2)));
    expect((await row())?.lockExpireTime).toEqual(at(60));
  });

  test("what was open when a lock began stays dead, though a success came after it", async () => {
    const { write, row } = await counting(engine);
    await write((attempts) => attempts.lockAtOnce(count, at(5), at(0)));
    expect(await write((attempts) => attempts.hit(count, "mark", at(6)))).toMatchObject({ lockTime: at(0) });
    await write((attempts) => attempts.settle(count, "mark", at(0)));
    expect(await row()).toMatchObject({ lockTime: at(0), failures: 0 });
  });

  test("codes and passkeys, tenants and users are counted apart", async () => {
    const { write, row } = await counting(engine);
    const others = [{ counter: "webauthn" as const }, { tenantId: "other" }, { userId: "bob" }].map((other) => ({
      ...count,
      ...other,
    }));
    for (const one of [count, ...others]) await write((attempts) => attempts.hit(one, "mark", at(0)));
    await write((attempts) => attempts.lock(count, at(5)));
    await write((attempts) => attempts.noteLock(count, at(0)));
    expect(await row()).toMatchObject({ failures: 0, locks: 1, lockExpireTime: at(5), lockTime: at(0) });
    for (const other of others) {
      const found = await write((attempts) => attempts.find(other));
      expect(found).toMatchObject({ ...other, failures: 1, locks: 0, lockExpireTime: null, lockTime: null });
    }
    await write((attempts) => attempts.clear(count));
    expect((await write((attempts) => attempts.list(count))).map(({ failures }) => failures).toSorted()).toEqual([
      0, 1,
    ]);
  });

  test("a lock is of the very moment that it began in, and of none behind it", async () => {
    const { write } = await counting(engine);
    await write((attempts) => attempts.lockAtOnce(count, at(5), at(1)));
    const lockedSince = (since: Date) => write((attempts) => attempts.listLockedSince(count, since));
    expect(await lockedSince(at(1))).toHaveLength(1);
    expect(await lockedSince(new Date(at(1).getTime() + 1))).toEqual([]);
  });

  test("a lock is ended by who takes its attempt back, and another's that came meanwhile is not", async () => {
    const { write, row } = await counting(engine);
    await write((attempts) => attempts.hit(count, "mark", at(0)));
    await write((attempts) => attempts.lock(count, at(1)));
    const own = { failures: 5, lockedUntil: at(1), seen: new Date(0) };
    await write((attempts) => attempts.unlock(count, { ...own, lockedUntil: at(60) }));
    expect((await row())?.lockExpireTime).toEqual(at(1));
    await write((attempts) => attempts.unlock(count, own));
    expect(await row()).toMatchObject({ lockExpireTime: null, failures: 5, locks: 0 });
  });

  test("a lock that a clock set back has put into the future is moved once", async () => {
    const { write, row } = await counting(engine);
    await write((attempts) => attempts.lockAtOnce(count, at(65), at(60)));
    await write((attempts) => attempts.moveLock(count, at(60), at(0), at(5)));
    await write((attempts) => attempts.moveLock(count, at(60), at(2), at(7)));
    expect(await row()).toMatchObject({ lockExpireTime: at(5), updateTime: at(0) });
  });
});

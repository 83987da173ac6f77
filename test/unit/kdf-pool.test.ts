import { scryptSync } from "node:crypto";
import { setImmediate } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { createKdfPool } from "../../src/crypto/kdf-pool.ts";

const salt = Buffer.alloc(16, 7);

describe("the pool for costly hashes", () => {
  test("derives by scrypt with N = 4096, r = 8, p = 1 (RFC 7914)", async () => {
    const expected = scryptSync("CODE", salt, 32, { N: 4096, r: 8, p: 1 });
    expect(await createKdfPool().derive("CODE", salt)).toEqual(expected);
  });

  test("has so many places and no more, and each left is free again, once", () => {
    const pool = createKdfPool({ places: 4 });
    const full = expect.objectContaining({ reason: "RATE_LIMITED", retryAfterMs: 1000 });
    const many = pool.enter(2);
    const ones = [pool.enter(), pool.enter()];
    expect(() => pool.enter()).toThrow(full);
    ones[0]?.leave();
    ones[0]?.leave();
    pool.enter();
    expect(() => pool.enter()).toThrow(full);
    many.leave();
    pool.enter();
    pool.enter();
  });

  test("keeps half of its places for those who need one only", () => {
    const pool = createKdfPool({ places: 8 });
    pool.enter(4);
    expect(() => pool.enter(2)).toThrow(expect.objectContaining({ reason: "RATE_LIMITED" }));
    for (let n = 0; n < 4; n++) pool.enter();
  });

  test("runs as many at once as it is told, in the order they came, off the event loop", async () => {
    const pool = createKdfPool({ running: 1 });
    const done: number[] = [];
    const all = Promise.all(
      Array.from({ length: 8 }, async (_, n) => {
        await pool.derive(String(n), salt);
        done.push(n);
      }),
    );
    // Turns of the event loop pass while they run: a synchronous one would let none through.
    let turns = 0;
    while (done.length < 8) {
      await setImmediate();
      turns++;
    }
    await all;
    expect(done).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(turns).toBeGreaterThan(8);
  });

  test("goes on after one that failed", async () => {
    const pool = createKdfPool({ running: 1 });
    const broken = pool.derive(undefined as unknown as string, salt);
    const next = pool.derive("CODE", salt);
    await expect(broken).rejects.toThrow();
    await expect(next).resolves.toHaveLength(32);
  });
});

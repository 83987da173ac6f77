import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SealBroken } from "../../src/crypto/aead.ts";
import { dataKeys } from "../../src/crypto/data-keys.table.ts";
import { WrongKey } from "../../src/crypto/key-check.ts";
import { keyChecks } from "../../src/crypto/key-checks.table.ts";
import { parseKeys } from "../../src/crypto/key-format.ts";
import { type Cell, openKeyring } from "../../src/crypto/keyring.ts";
import { randomSecret } from "../../src/crypto/random.ts";
import type { Store } from "../../src/db/store.ts";
import { type EngineUnderTest, engines, type Opened, openForTest } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";

const cell: Cell = { tenantId: "acme", userId: "ann", row: "device-1", column: "totp_devices.secret" };
const secret = Buffer.from("a seed of twenty byt");

type Entry = { id: string; wrapping: string; pepper: string };
const entry = (id: string): Entry => ({
  id,
  wrapping: randomSecret(32).toString("base64url"),
  pepper: randomSecret(32).toString("base64url"),
});
/** A ring whose first key is the primary one. */
const ring = (...keys: [Entry, ...Entry[]]) => parseKeys(JSON.stringify({ primary: keys[0].id, keys }));

/** Everything that the keys' tables hold. */
const contents = async (store: Store) => ({
  checks: await rowsIn(store, keyChecks),
  dataKeys: await rowsIn(store, dataKeys),
});

/** One store for the tests that leave each other alone, and its keys: a PostgreSQL database takes a second to make. */
function sharedStore(engine: EngineUnderTest) {
  const keys = ring(entry("k1"));
  let shared: Opened | undefined;
  beforeAll(async () => {
    shared = await engine.open();
  });
  afterAll(() => shared?.remove());
  const opened = () => {
    if (!shared) throw new Error("no store yet");
    return shared;
  };
  return { keys, opened };
}

describe.each(engines)("the keyring on $name", (engine) => {
  describe("sealing", () => {
    const { keys, opened } = sharedStore(engine);

    it("gives back what was sealed, to every keyring of the same keys", async () => {
      const { store } = opened();
      const sealed = await (await openKeyring(keys, store)).seal(secret, cell);
      expect(sealed.includes(secret)).toBe(false);
      expect(await (await openKeyring(keys, store)).open(sealed, cell)).toEqual(secret);
    });

    it("seals nothing and a lot", async () => {
      const { store } = opened();
      const keyring = await openKeyring(keys, store);
      for (const plain of [Buffer.alloc(0), randomSecret(100_000)]) {
        expect(await keyring.open(await keyring.seal(plain, cell), cell)).toEqual(plain);
      }
    });

    it.each<Partial<Cell>>([
      { tenantId: "other" },
      { userId: "bob" },
      { row: "device-2" },
      { column: "totp_devices.other" },
      // Without lengths in the associated data these would read like the original.
      { userId: "anndevice-1", row: "" },
      { row: "device-1totp_devices", column: ".secret" },
    ])("does not open a value moved to %o", async (change) => {
      const { store } = opened();
      const keyring = await openKeyring(keys, store);
      await keyring.seal(secret, { ...cell, tenantId: "other" });
      const sealed = await keyring.seal(secret, cell);
      await expect(keyring.open(sealed, { ...cell, ...change })).rejects.toThrow(SealBroken);
    });

    it("does not open a value with any bit changed, nor one cut or lengthened anywhere", async () => {
      const { store } = opened();
      const keyring = await openKeyring(keys, store);
      const sealed = await keyring.seal(secret, cell);
      // version, length of the key id, key id, nonce, ciphertext, tag: every byte of each.
      for (let index = 0; index < sealed.length; index++) {
        for (const bit of [1, 128]) {
          const altered = Buffer.from(sealed);
          altered[index] = (altered[index] as number) ^ bit;
          await expect(keyring.open(altered, cell), `byte ${index}`).rejects.toThrow(SealBroken);
        }
        await expect(keyring.open(sealed.subarray(0, index), cell), `cut to ${index}`).rejects.toThrow(SealBroken);
      }
      await expect(keyring.open(Buffer.concat([sealed, Buffer.alloc(1)]), cell)).rejects.toThrow(SealBroken);
    });

    it("says nothing of the content or the place when a value does not open", async () => {
      const { store } = opened();
      const keyring = await openKeyring(keys, store);
      const sealed = await keyring.seal(secret, cell);
      const error: unknown = await keyring.open(sealed, { ...cell, row: "elsewhere" }).catch((e) => e);
      expect(String(error)).not.toMatch(/seed|ann|acme|elsewhere|device/);
      expect(error).not.toHaveProperty("cause");
    });

    it("opens and seals nothing by a data key that was moved to another tenant", async () => {
      const { store, execute } = await openForTest(engine);
      const sealed = await (await openKeyring(keys, store)).seal(secret, cell);
      await execute(`UPDATE data_keys SET tenant_id = 'moved' WHERE tenant_id = '${cell.tenantId}'`);
      const keyring = await openKeyring(keys, store);
      const moved = { ...cell, tenantId: "moved" };
      await expect(keyring.open(sealed, moved)).rejects.toThrow(SealBroken);
      await expect(keyring.seal(secret, moved)).rejects.toThrow();
    });

    it("never repeats a nonce in 1,000 seals of one value", async () => {
      const { store } = opened();
      const keyring = await openKeyring(keys, store);
      const blobs = await Promise.all(Array.from({ length: 1000 }, () => keyring.seal(secret, cell)));
      const nonces = blobs.map((blob) =>
        blob
          .subarray(2 + (blob[1] as number))
          .subarray(0, 12)
          .toString("hex"),
      );
      expect(new Set(nonces).size).toBe(1000);
    });

    it("makes one data key for a tenant, however many instances use it first at the same moment", async () => {
      const { store } = opened();
      const first = { ...cell, tenantId: "first use" };
      const keyrings = await Promise.all(Array.from({ length: 4 }, () => openKeyring(keys, store)));
      const blobs = await Promise.all(
        keyrings.flatMap((keyring) => Array.from({ length: 10 }, () => keyring.seal(secret, first))),
      );
      for (const keyring of keyrings) {
        for (const blob of blobs) expect(await keyring.open(blob, first)).toEqual(secret);
      }
      const { dataKeys } = await contents(store);
      expect(dataKeys.filter(({ tenantId }) => tenantId === first.tenantId)).toHaveLength(1);
    });

    it("opens what another instance sealed for a tenant that was unknown here a moment ago", async () => {
      const { store } = opened();
      const unseen = { ...cell, tenantId: "unseen" };
      const [here, there] = await Promise.all([openKeyring(keys, store), openKeyring(keys, store)]);
      await expect(here.open(Buffer.from("\u0001\u00011 and no more"), unseen)).rejects.toThrow(SealBroken);
      expect(await here.open(await there.seal(secret, unseen), unseen)).toEqual(secret);
    });

    it("tries again after the store failed", async () => {
      const { store } = opened();
      let down = true;
      const shaky: Store = { ...store, read: (work) => (down ? Promise.reject(new Error("down")) : store.read(work)) };
      down = false;
      const keyring = await openKeyring(keys, shaky);
      down = true;
      await expect(keyring.seal(secret, cell)).rejects.toThrow("down");
      down = false;
      expect(await keyring.open(await keyring.seal(secret, cell), cell)).toEqual(secret);
    });
  });

  describe("the check of keys", () => {
    it("remembers the keys at the first start and accepts them at the next", async () => {
      const { store } = await openForTest(engine);
      const keys = ring(entry("k1"), entry("k0"));
      await openKeyring(keys, store);
      const remembered = await contents(store);
      expect(remembered.checks).toHaveLength(2);
      await openKeyring(keys, store);
      expect(await contents(store)).toEqual(remembered);
    });

    it.each(["wrapping", "pepper"] as const)(
      "refuses another %s key under a known id and writes nothing",
      async (half) => {
        const { store } = await openForTest(engine);
        const right = entry("k1");
        const keyring = await openKeyring(ring(right), store);
        const sealed = await keyring.seal(secret, cell);
        const before = await contents(store);
        const wrong = { ...right, [half]: entry("x")[half] };
        // A second, new key must not be remembered either.
        const error: unknown = await openKeyring(ring(wrong, entry("k2")), store).catch((e) => e);
        expect(error).toBeInstanceOf(WrongKey);
        expect(String(error)).toMatch(/key k1/);
        expect(String(error)).not.toContain(wrong[half]);
        expect(await contents(store)).toEqual(before);
        expect(await (await openKeyring(ring(right), store)).open(sealed, cell)).toEqual(secret);
      },
    );

    it("refuses a ring that lacks a key of the database and writes nothing", async () => {
      const { store } = await openForTest(engine);
      await openKeyring(ring(entry("k1")), store);
      const before = await contents(store);
      await expect(openKeyring(ring(entry("k2")), store)).rejects.toThrow(
        /uses key k1, which the key file does not hold/,
      );
      expect(await contents(store)).toEqual(before);
    });

    it("refuses a database whose data keys outlived their check values", async () => {
      const { store, execute } = await openForTest(engine);
      const keys = ring(entry("k1"));
      await (await openKeyring(keys, store)).seal(secret, cell);
      await execute("DELETE FROM key_checks");
      await expect(openKeyring(keys, store)).rejects.toThrow(WrongKey);
    });

    it("lets one of two instances start that come with different keys of one name", async () => {
      const { store } = await openForTest(engine);
      const starts = await Promise.allSettled([
        openKeyring(ring(entry("k1")), store),
        openKeyring(ring(entry("k1")), store),
      ]);
      expect(starts.map((start) => start.status).sort()).toEqual(["fulfilled", "rejected"]);
      expect((await contents(store)).checks).toHaveLength(1);
    });
  });

  describe("a second key", () => {
    it("wraps the keys of new tenants when it is primary, and the first one still opens what it made", async () => {
      const { store } = await openForTest(engine);
      const [first, second] = [entry("k1"), entry("k2")];
      const before = await openKeyring(ring(first), store);
      const sealed = await before.seal(secret, cell);
      const digest = before.digest("code/v1", "123456");

      const after = await openKeyring(ring(second, first), store);
      expect(await after.open(sealed, cell)).toEqual(secret);
      expect(after.matches(digest, "code/v1", "123456")).toBe(true);
      expect(after.digest("code/v1", "123456")).not.toEqual(digest);
      // By which to look up what was stored before, and what is stored now; newest first.
      expect(after.digests("code/v1", "123456")).toEqual([after.digest("code/v1", "123456"), digest]);

      const elsewhere = { ...cell, tenantId: "globex" };
      expect(await after.open(await after.seal(secret, elsewhere), elsewhere)).toEqual(secret);
      expect((await contents(store)).dataKeys).toMatchObject([
        { tenantId: "acme", wrappingKeyId: "k1" },
        { tenantId: "globex", wrappingKeyId: "k2" },
      ]);
    });
  });

  describe("digests and MACs", () => {
    const { keys, opened } = sharedStore(engine);

    it("match the same parts and nothing else", async () => {
      const { store } = opened();
      const { digest, matches } = await openKeyring(keys, store);
      const made = digest("code/v1", "ann", "123456");
      expect(digest("code/v1", "ann", Buffer.from("123456"))).toEqual(made);
      expect(matches(made, "code/v1", "ann", "123456")).toBe(true);
      expect(matches(made, "code/v2", "ann", "123456")).toBe(false);
      expect(matches(made, "code/v1", "ann1", "23456")).toBe(false);
      expect(matches(made, "code/v1", "ann123456")).toBe(false);
      expect(matches(made, "code/v1", "ann", "123456", "")).toBe(false);
      expect(matches(made, "code/v1")).toBe(false);
    });

    it("are refused with any bit changed, cut, or named after a key that is not there", async () => {
      const { store } = opened();
      const { digest, matches } = await openKeyring(keys, store);
      const made = digest("code/v1", "123456");
      for (let index = 0; index < made.length; index++) {
        const altered = Buffer.from(made);
        altered[index] = (altered[index] as number) ^ 1;
        expect(matches(altered, "code/v1", "123456")).toBe(false);
        expect(matches(made.subarray(0, index), "code/v1", "123456")).toBe(false);
      }
    });

    it("differ between databases' keys, and a MAC never passes for a digest", async () => {
      const { store } = await openForTest(engine);
      const [first, second] = [entry("k1"), entry("k2")];
      const one = await openKeyring(ring(first), store);
      const both = await openKeyring(ring(second, first), store);
      expect(one.digest("p", "x")).not.toEqual(both.digest("p", "x"));
      expect(one.verifies(one.mac("p", "x"), "p", "x")).toBe(true);
      expect(both.verifies(one.mac("p", "x"), "p", "x")).toBe(true);
      expect(one.matches(one.mac("p", "x"), "p", "x")).toBe(false);
      expect(one.verifies(one.digest("p", "x"), "p", "x")).toBe(false);
    });
  });
});

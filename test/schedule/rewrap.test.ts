import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { decrypt, SealBroken } from "../../src/crypto/aead.ts";
import { dataKeyRepository } from "../../src/crypto/data-keys.repository.ts";
import { wrappedKeyContext, wrapperOf } from "../../src/crypto/data-keys.ts";
import { addKey, createKeyFile, makePrimary, readKeyFile } from "../../src/crypto/key-file.ts";
import { newKeys, parseKeys, withNewKey, withPrimary } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { engines, openForTest } from "../support/engine/engines.ts";

const DAY = 24 * 3600 * 1000;
const NOON = new Date("2026-03-01T12:00:00.000Z");
const cellOf = (tenantId: string) => ({ tenantId, userId: "ann", row: "1", column: "totp_devices.secret" });

async function fileFor(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "mfa-keys-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return join(folder, "keys.json");
}

describe.each(engines)("a rotation of the operator's key on $name", (engine) => {
  async function rotated(tenants: number) {
    const { store } = await openForTest(engine);
    const first = newKeys();
    const { id, text } = withNewKey(first);
    const [old, both, next] = [parseKeys(first), parseKeys(text), parseKeys(withPrimary(text, id))];
    const at = (days: number) => () => new Date(NOON.getTime() + days * DAY);
    const before = await openKeyring(old, store, at(0));
    const sealed = new Map<string, Buffer>();
    for (let n = 0; n < tenants; n += 1) {
      sealed.set(`t${n}`, await before.seal(Buffer.from(`secret of t${n}`), cellOf(`t${n}`)));
    }
    return {
      ...{ store, id, sealed, old, next },
      /** An instance that knows the new key and does not use it yet. */
      learned: await openKeyring(both, store, at(1)),
      changed: await openKeyring(next, store, at(2)),
      wrappers: () => store.read((tx) => dataKeyRepository(tx).listWrappingKeyIds()),
    };
  }

  test("wraps every tenant's key anew in the background, and what was sealed opens as before", async () => {
    const { store, id, sealed, old, next, learned, changed, wrappers } = await rotated(250);
    expect(await wrappers()).toEqual([old.primary.id]);
    expect(await changed.rewrap(store)).toBe(250);
    expect(await wrappers()).toEqual([id]);
    expect(await changed.rewrap(store)).toBe(0);
    // Fresh ones, which keep nothing in memory: of the new file, and of an instance that still uses the old key.
    for (const keyring of [await openKeyring(next, store), learned]) {
      for (const [tenant, blob] of sealed) {
        expect((await keyring.open(blob, cellOf(tenant))).toString()).toBe(`secret of ${tenant}`);
      }
    }
    // The former key wraps nothing any more: with it alone a copy of the database from now on opens nothing.
    const rows = await store.read((tx) => dataKeyRepository(tx).list("t0"));
    expect(() =>
      decrypt(wrapperOf(old.primary), rows[0]?.wrapped ?? Buffer.alloc(0), wrappedKeyContext(rows[0] as never)),
    ).toThrow(SealBroken);
  });

  test("is not undone by an instance that still takes the former key for the primary one", async () => {
    const { store, id, learned, changed, wrappers } = await rotated(3);
    await changed.rewrap(store);
    expect(await learned.rewrap(store)).toBe(0);
    expect(await wrappers()).toEqual([id]);
  });

  test("goes on where a run was cut off, and counts a key once though several run at the same moment", async () => {
    const { store, changed, wrappers } = await rotated(120);
    let units = 0;
    const cut: typeof store = {
      ...store,
      write: (work) => (units++ === 0 ? store.write(work) : Promise.reject(new Error("killed"))),
    };
    await expect(changed.rewrap(cut)).rejects.toThrow("killed");
    expect(await wrappers()).toHaveLength(2);
    const counts = await Promise.all(Array.from({ length: 4 }, () => changed.rewrap(store)));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(20);
    expect(await wrappers()).toHaveLength(1);
  });

  test("moves no key that was altered, and says so", async () => {
    const { store, changed } = await rotated(1);
    const [row] = await store.read((tx) => dataKeyRepository(tx).list("t0"));
    if (!row) throw new Error("no key");
    const wrapped = Buffer.from(row.wrapped);
    wrapped[20] = (wrapped[20] ?? 0) ^ 1;
    await store.write((tx) => dataKeyRepository(tx).rewrap({ ...row, wrapped }, row.wrappingKeyId));
    await expect(changed.rewrap(store)).rejects.toThrow(SealBroken);
  });
});

describe("the key file", () => {
  test("takes another key, then has it be the primary one, and keeps its mode", async () => {
    const path = await fileFor();
    await createKeyFile(path);
    const { primary } = await readKeyFile(path);
    const id = await addKey(path);
    const added = await readKeyFile(path);
    expect(added.primary.id).toBe(primary.id);
    expect([...added.all.keys()]).toEqual([primary.id, id]);
    await makePrimary(path, id);
    const changed = await readKeyFile(path);
    expect(changed.primary.id).toBe(id);
    expect([...changed.all.keys()]).toEqual([primary.id, id]);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("is left alone when it cannot be used, or has no such key", async () => {
    const path = await fileFor();
    await expect(addKey(path)).rejects.toThrow("it does not exist");
    await createKeyFile(path);
    const before = await readFile(path, "utf8");
    await expect(makePrimary(path, "k-none")).rejects.toThrow('"primary" must be the id of a listed key');
    expect(await readFile(path, "utf8")).toBe(before);
  });
});

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKeyFile, readKeyFile } from "../../src/crypto/key-file.ts";
import { KeyFileInvalid, newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { bearerId, randomSecret } from "../../src/crypto/random.ts";

const key = (id: string) => ({
  id,
  wrapping: randomSecret(32).toString("base64url"),
  pepper: randomSecret(32).toString("base64url"),
});

describe("the text of a key file", () => {
  it("is read as it is made, with a random id", () => {
    const keys = parseKeys(newKeys());
    expect([...keys.all.keys()]).toEqual([keys.primary.id]);
    expect(parseKeys(newKeys()).primary.id).not.toBe(keys.primary.id);
  });

  it("may hold several keys, one of them primary", () => {
    const keys = parseKeys(JSON.stringify({ primary: "b", keys: [key("a"), key("b")] }));
    expect(keys.primary.id).toBe("b");
    expect([...keys.all.keys()]).toEqual(["a", "b"]);
  });

  const good = key("k1");
  const file = (change: object) => JSON.stringify({ primary: "k1", keys: [good], ...change });
  const withKey = (change: object) => file({ keys: [{ ...good, ...change }] });

  it.each([
    ["", "it is not JSON"],
    [`{"keys": "${good.wrapping}`, "it is not JSON"],
    ["[]", "the file must be an object"],
    ["null", "the file must be an object"],
    [JSON.stringify({ keys: [good] }), 'the file lacks "primary"'],
    [file({ [good.wrapping]: 1 }), "the file may hold nothing but primary, keys"],
    [file({ keys: [] }), '"keys" must list at least one key'],
    [file({ keys: good }), '"keys" must list at least one key'],
    [file({ primary: good.pepper }), '"primary" must be the id of a listed key'],
    [file({ keys: [good, { ...key("x"), id: "k1" }] }), "key k1 is listed twice"],
    [file({ keys: [good, { ...good, id: "k2" }] }), "key k2 repeats another secret"],
    [withKey({ id: good.wrapping }), "the id of key number 1 must be"],
    [withKey({ id: 7 }), "the id of key number 1 must be"],
    [withKey({ pepper: good.wrapping }), "key k1 repeats another secret"],
    [withKey({ pepper: undefined }), 'key number 1 lacks "pepper"'],
    [withKey({ pepper: null }), "the pepper of k1 must be 32 random bytes"],
    [withKey({ wrapping: randomSecret(31).toString("base64url") }), "the wrapping key of k1 must be 32 random bytes"],
    [withKey({ wrapping: `${good.wrapping}=` }), "the wrapping key of k1 must be 32 random bytes"],
    [withKey({ wrapping: Buffer.alloc(32, 7).toString("base64url") }), "the wrapping key of k1 is a placeholder"],
    [withKey({ note: good.pepper }), "key number 1 may hold nothing but id, wrapping, pepper"],
  ])("is refused in one line without key material: case %#", (text, sentence) => {
    let error: unknown;
    try {
      parseKeys(text);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(KeyFileInvalid);
    const { message } = error as KeyFileInvalid;
    expect(message).toContain(sentence);
    expect(message).not.toContain("\n");
    for (const part of [good.wrapping.slice(0, 8), good.pepper.slice(0, 8)]) expect(message).not.toContain(part);
  });

  it("leaves no key where printing could show it", () => {
    const keys = parseKeys(file({}));
    for (const text of [JSON.stringify(keys.primary), String(keys.primary.wrapping), JSON.stringify([...keys.all])]) {
      expect(text).not.toContain(good.wrapping);
      expect(text).not.toContain(good.pepper);
    }
  });
});

describe("the key file", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "mfa-keys-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is made for its owner only, in a folder for its owner only", async () => {
    const path = join(folder, "data", "keys.json");
    expect(await createKeyFile(path)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, "data")).mode & 0o777).toBe(0o700);
    expect(readdirSync(join(folder, "data"))).toEqual(["keys.json"]);
    expect((await readKeyFile(path)).all.size).toBe(1);
  });

  it("is never overwritten, whoever comes second", async () => {
    const path = join(folder, "keys.json");
    const made = await Promise.all(Array.from({ length: 8 }, () => createKeyFile(path)));
    expect(made.filter(Boolean)).toHaveLength(1);
    const text = readFileSync(path, "utf8");
    expect(await createKeyFile(path)).toBe(false);
    expect(readFileSync(path, "utf8")).toBe(text);
    expect(readdirSync(folder)).toEqual(["keys.json"]);
  });

  it("is refused when others may read it or the group may change it, with the command that mends it", async () => {
    const path = join(folder, "keys.json");
    await createKeyFile(path);
    for (const mode of [0o644, 0o604, 0o660, 0o602]) {
      chmodSync(path, mode);
      await expect(readKeyFile(path)).rejects.toThrow(`chmod 600 ${path}`);
    }
    chmodSync(path, 0o440);
    expect((await readKeyFile(path)).all.size).toBe(1);
  });

  it("is named when it is missing or wrong", async () => {
    const path = join(folder, "keys.json");
    await expect(readKeyFile(path)).rejects.toThrow(`key file ${path}: it does not exist`);
    writeFileSync(path, "{", { mode: 0o600 });
    await expect(readKeyFile(path)).rejects.toThrow(`key file ${path}: it is not JSON`);
  });
});

describe("randomness", () => {
  it("gives bearer ids of 128 bits that do not repeat", () => {
    const ids = Array.from({ length: 1000 }, bearerId);
    expect(new Set(ids).size).toBe(1000);
    for (const id of ids) expect(Buffer.from(id, "base64url")).toHaveLength(16);
  });
});

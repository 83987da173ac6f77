import { holdKey } from "./derive.ts";
import { randomSecret } from "./random.ts";
import type { RootKey, RootKeys } from "./root-key.ts";

const KEY_BYTES = 32;
const ID = /^[a-z0-9][a-z0-9-]{0,31}$/;

/** The key file cannot be used. The message is one line for the operator and never holds key material. */
export class KeyFileInvalid extends Error {
  override readonly name = "KeyFileInvalid";
}

function secret(value: unknown, what: string): Buffer {
  // Decoding ignores unknown characters, so the text is compared with its canonical form.
  const bytes = typeof value === "string" ? Buffer.from(value, "base64url") : Buffer.alloc(0);
  if (bytes.length !== KEY_BYTES || bytes.toString("base64url") !== value) {
    throw new KeyFileInvalid(`${what} must be ${KEY_BYTES} random bytes in base64url (43 characters)`);
  }
  if (bytes.every((byte) => byte === bytes[0])) throw new KeyFileInvalid(`${what} is a placeholder, not random`);
  return bytes;
}

function fields(value: unknown, what: string, names: readonly string[]): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new KeyFileInvalid(`${what} must be an object with ${names.join(", ")}`);
  }
  for (const name of names) if (!Object.hasOwn(value, name)) throw new KeyFileInvalid(`${what} lacks "${name}"`);
  // An unknown name is not shown: a key pasted at the wrong place would be one.
  if (Object.keys(value).length > names.length) {
    throw new KeyFileInvalid(`${what} may hold nothing but ${names.join(", ")}`);
  }
  return value as Record<string, unknown>;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, and with it keys.
    throw new KeyFileInvalid("it is not JSON");
  }
}

/** Reads `{ "primary": id, "keys": [{ "id", "wrapping", "pepper" }] }`; throws KeyFileInvalid with what is wrong. */
export function parseKeys(text: string): RootKeys {
  const file = fields(parseJson(text), "the file", ["primary", "keys"]);
  if (!Array.isArray(file.keys) || file.keys.length === 0)
    throw new KeyFileInvalid(`"keys" must list at least one key`);
  const all = new Map<string, RootKey>();
  const seen: Buffer[] = [];
  try {
    for (const [index, entry] of file.keys.entries()) {
      const { id, wrapping, pepper } = fields(entry, `key number ${index + 1}`, ["id", "wrapping", "pepper"]);
      if (typeof id !== "string" || !ID.test(id)) {
        throw new KeyFileInvalid(`the id of key number ${index + 1} must be 1 to 32 of a-z, 0-9 and "-"`);
      }
      if (all.has(id)) throw new KeyFileInvalid(`key ${id} is listed twice`);
      const secrets = [secret(wrapping, `the wrapping key of ${id}`), secret(pepper, `the pepper of ${id}`)] as const;
      for (const bytes of secrets) {
        if (seen.some((other) => other.equals(bytes))) throw new KeyFileInvalid(`key ${id} repeats another secret`);
        seen.push(bytes);
      }
      const [wrappingBytes, pepperBytes] = secrets;
      all.set(id, { id, wrapping: holdKey(Buffer.from(wrappingBytes)), pepper: holdKey(Buffer.from(pepperBytes)) });
    }
  } finally {
    for (const bytes of seen) bytes.fill(0);
  }
  const primary = typeof file.primary === "string" ? all.get(file.primary) : undefined;
  if (!primary) throw new KeyFileInvalid(`"primary" must be the id of a listed key`);
  return { primary, all };
}

function newEntry() {
  const random = () => randomSecret(KEY_BYTES).toString("base64url");
  return { id: `k-${randomSecret(4).toString("hex")}`, wrapping: random(), pepper: random() };
}

const written = (file: object) => `${JSON.stringify(file, null, 2)}\n`;

/** The text of a key file with one more random key, which is not the primary one yet, and its id. */
export function withNewKey(text: string): { readonly id: string; readonly text: string } {
  parseKeys(text);
  const file = JSON.parse(text);
  const entry = newEntry();
  return { id: entry.id, text: written({ ...file, keys: [...file.keys, entry] }) };
}

/** The text of a key file with another of its keys as the primary one. */
export function withPrimary(text: string, primary: string): string {
  const next = written({ ...JSON.parse(text), primary });
  parseKeys(next);
  return next;
}

/** The text of a new key file with one random key. Its id is random too: it must not pass for a key that got lost. */
export function newKeys(): string {
  const entry = newEntry();
  return written({ primary: entry.id, keys: [entry] });
}

import type { Store } from "../db/store.ts";
import { decrypt, encrypt, SealBroken } from "./aead.ts";
import { createDataKeys } from "./data-keys.ts";
import { createKeyedHash } from "./digest.ts";
import { type FramedPart, frame, tag, untag } from "./framing.ts";
import { checkKeys } from "./key-check.ts";
import { rewrapDataKeys } from "./rewrap.ts";
import type { RootKey, RootKeys } from "./root-key.ts";
import { deriveSigningKey, type SigningKey } from "./signing-keys.ts";

/**
 * The context of a sealed value, bound as associated data: a value copied to another row or column does not open there.
 */
export interface Cell {
  readonly tenantId: string;
  readonly userId: string;
  /** The row's id. */
  readonly row: string;
  /** Table and column: "totp_devices.secret". */
  readonly column: string;
}

/** All operations under the operator's keys. */
export interface Keyring {
  /**
   * Encrypts a value for its context with the tenant's data key. May read or write the store: call it and `open`
   * outside of units of work.
   */
  seal(plain: Uint8Array, cell: Cell): Promise<Buffer>;
  /** Decrypts a value in its context; throws SealBroken when it was altered or moved. Wipe the result after use. */
  open(sealed: Uint8Array, cell: Cell): Promise<Buffer>;
  /** The id of the pepper of new digests. A digest made with another is replaced when the value is next known. */
  readonly pepperId: string;
  /**
   * Returns a peppered digest of a code or an identifier, to store in its place. Purposes are constants:
   * "backup-code/v1".
   */
  digest(purpose: string, ...parts: readonly FramedPart[]): Buffer;
  /** Returns the digests by which a stored one may be looked up: one for each pepper, the newest first. */
  digests(purpose: string, ...parts: readonly FramedPart[]): Buffer[];
  /** Whether a stored digest is that of these parts, in constant time, whichever pepper made it. */
  matches(digest: Uint8Array, purpose: string, ...parts: readonly FramedPart[]): boolean;
  /** Makes a MAC over what a client carries for us and returns, such as a page token. */
  mac(purpose: string, ...parts: readonly FramedPart[]): Buffer;
  /** Whether a MAC is ours, for these parts. */
  verifies(mac: Uint8Array, purpose: string, ...parts: readonly FramedPart[]): boolean;
  /** Rewraps with the primary key the data keys that a former operator's key wrapped; returns how many. */
  rewrap(store: Store): Promise<number>;
  /** The key pairs for signatures that others verify: the signing one first, then those of older root keys. */
  signingKeys(purpose: string): readonly [SigningKey, ...SigningKey[]];
}

const VERSION = 1;

const secretsOf = (keys: RootKeys, name: "wrapping" | "pepper") =>
  new Map([...keys.all.values()].map((key: RootKey) => [key.id, key[name]]));

/** The MACs of these keys, for use before the database is open. */
export function openMacs(keys: RootKeys): Pick<Keyring, "mac" | "verifies"> {
  const macs = createKeyedHash("mac", secretsOf(keys, "wrapping"), keys.primary.id);
  return { mac: macs.make, verifies: macs.matches };
}

const place = (cell: Cell, dataKeyId: string) =>
  frame("seal/v1", cell.tenantId, cell.userId, cell.row, cell.column, dataKeyId);

/**
 * Opens the keyring of a database: first checks that these are its keys (WrongKey otherwise, and nothing is written),
 * then seals, digests and signs with the primary key and opens with all of them.
 */
export async function openKeyring(keys: RootKeys, store: Store, clock = () => new Date()): Promise<Keyring> {
  await checkKeys(store, keys, clock());
  const dataKeys = createDataKeys(keys, store, clock);
  const digests = createKeyedHash("digest", secretsOf(keys, "pepper"), keys.primary.id);
  const signing = new Map<string, readonly [SigningKey, ...SigningKey[]]>();

  return {
    async seal(plain, cell) {
      const { id, key } = (await dataKeys.sealing(cell.tenantId)).current;
      return Buffer.concat([Uint8Array.of(VERSION), tag(id, encrypt(key, plain, place(cell, id)))]);
    },
    async open(sealed, cell) {
      const named = sealed[0] === VERSION ? untag(sealed.subarray(1)) : undefined;
      const key = named && (await dataKeys.opening(cell.tenantId, named.keyId));
      if (!key) throw new SealBroken();
      return decrypt(key, named.made, place(cell, named.keyId));
    },
    pepperId: keys.primary.id,
    digest: digests.make,
    digests: digests.makeAll,
    matches: digests.matches,
    ...openMacs(keys),
    rewrap: (fenced) => rewrapDataKeys(keys, fenced),
    signingKeys(purpose) {
      const others = [...keys.all.values()].filter(({ id }) => id !== keys.primary.id);
      const derive = ({ wrapping, id }: RootKey) => deriveSigningKey(wrapping, id, purpose);
      const made = signing.get(purpose) ?? [derive(keys.primary), ...others.map(derive)];
      signing.set(purpose, made);
      return made;
    },
  };
}

import type { Store } from "../db/store.ts";
import { decrypt, encrypt, SealBroken } from "./aead.ts";
import { createDataKeys } from "./data-keys.ts";
import { createKeyedHash } from "./digest.ts";
import { frame, type Part, tag, untag } from "./framing.ts";
import { checkKeys } from "./key-check.ts";
import { rewrapDataKeys } from "./rewrap.ts";
import type { RootKey, RootKeys } from "./root-key.ts";
import { deriveSigningKey, type SigningKey } from "./signing-keys.ts";

/** The place of a sealed value: a blob copied to any other place does not open there. */
export interface Cell {
  readonly tenantId: string;
  readonly userId: string;
  /** The row's id. */
  readonly row: string;
  /** Table and column: "totp_devices.secret". */
  readonly column: string;
}

/** Everything that needs the operator's keys. */
export interface Keyring {
  /**
   * Encrypts a value for its place, with the tenant's data key. May read or write the store: call it and `open` outside
   * units of work.
   */
  seal(plain: Uint8Array, cell: Cell): Promise<Buffer>;
  /** Decrypts a value at its place; throws SealBroken when it was altered or moved. Wipe the result after use. */
  open(sealed: Uint8Array, cell: Cell): Promise<Buffer>;
  /** The id of the pepper of new digests. What was digested with another should be made anew when it can be. */
  readonly pepperId: string;
  /** A peppered digest of a code or an identifier, to store instead of it. Purposes are constants: "backup-code/v1". */
  digest(purpose: string, ...parts: readonly Part[]): Buffer;
  /** The digests by which a stored one may be looked up: one a pepper, the newest first. */
  digests(purpose: string, ...parts: readonly Part[]): Buffer[];
  /** Whether a stored digest is that of these parts, in constant time, whichever pepper made it. */
  matches(digest: Uint8Array, purpose: string, ...parts: readonly Part[]): boolean;
  /** Signs what a client carries for us and brings back, such as a page token. */
  mac(purpose: string, ...parts: readonly Part[]): Buffer;
  /** Whether a MAC is ours, for these parts. */
  verifies(mac: Uint8Array, purpose: string, ...parts: readonly Part[]): boolean;
  /** Wraps anew, in the store given, the data keys that a former key of the operator's wrapped; answers how many. */
  rewrap(store: Store): Promise<number>;
  /** The key pairs for what others verify without our keys: the one that signs first, then those of older root keys. */
  signingKeys(purpose: string): readonly [SigningKey, ...SigningKey[]];
}

const VERSION = 1;

const place = (cell: Cell, dataKeyId: string) =>
  frame("seal/v1", cell.tenantId, cell.userId, cell.row, cell.column, dataKeyId);

/**
 * Opens the keyring of a database: first checks that these are its keys (WrongKey otherwise, and nothing is written),
 * then seals, digests and signs with the primary key and opens with all of them.
 */
export async function openKeyring(keys: RootKeys, store: Store, clock = () => new Date()): Promise<Keyring> {
  await checkKeys(store, keys, clock());
  const dataKeys = createDataKeys(keys, store, clock);
  const secrets = (name: "wrapping" | "pepper") =>
    new Map([...keys.all.values()].map((key: RootKey) => [key.id, key[name]]));
  const digests = createKeyedHash("digest", secrets("pepper"), keys.primary.id);
  const macs = createKeyedHash("mac", secrets("wrapping"), keys.primary.id);
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
    mac: macs.make,
    verifies: macs.matches,
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

import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  type KeyPairKeyObjectResult,
  sign,
} from "node:crypto";
import { SealBroken } from "../crypto/aead.ts";
import type { Cell, Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { type AssertionKeyRow, assertionKeyRepository } from "./assertion-keys.repository.ts";

/** What a key signs with: Ed25519, or P-256 for verifiers without it. */
export type Algorithm = AssertionKeyRow["algorithm"];

/** The key that signs at present. */
export interface Signer {
  readonly keyId: string;
  readonly algorithm: Algorithm;
  /** JWS signatures (RFC 7518 §3.4, RFC 8037 §3.1). */
  sign(data: string): Buffer;
}

/** When a key signs, among the others. */
type Place = Pick<AssertionKeyRow, "sequence" | "useTime">;

/** A key as its sealed private half has it. */
type OpenedKey = Signer & Place & { readonly publicKey: Readonly<Record<string, string>> };

/** A key set for verifiers (RFC 7517 §5): public halves only. */
export interface KeySet {
  readonly keys: readonly Readonly<Record<string, string>>[];
}

/** Dependencies of signing keys. */
export interface AssertionKeyOptions {
  readonly store: Store;
  readonly keyring: Pick<Keyring, "seal" | "open">;
  readonly clock: () => Date;
  /** Of keys made from now on. */
  readonly algorithm: Algorithm;
}

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** How long verifiers may keep the key set. */
export const KEY_SET_MAX_AGE_MS = 10 * MINUTE_MS;
/** A key is published this long before it signs: twice as long as anybody keeps a set that does not have it. */
const LEAD_MS = 2 * KEY_SET_MAX_AGE_MS;
/** How long a key signs. */
const USE_MS = 90 * DAY_MS;
/** Asked for more often, no key is changed: a run that was made up for, or done by two, changes one. */
const PAUSE_MS = 60 * MINUTE_MS;
/** How long before the end of a key its successor is made. */
const EARLY_MS = DAY_MS;
/** What a key signed, a user token at the longest, outlives its use by 15 minutes; clocks differ by far less than the rest. */
const KEPT_MS = 20 * MINUTE_MS;
/** How long one instance takes to see a key that another made; far less than the lead. */
const CACHED_MS = MINUTE_MS;

const cellOf = (keyId: string): Cell => ({
  tenantId: "",
  userId: "",
  row: keyId,
  column: "assertion_keys.sealed_private_key",
});

/** RFC 7638: SHA-256 over the required members, in order, without white space. */
function thumbprint(jwk: Record<string, string>): string {
  const members = jwk.kty === "OKP" ? ["crv", "kty", "x"] : ["crv", "kty", "x", "y"];
  const required = Object.fromEntries(members.map((name) => [name, jwk[name]]));
  return createHash("sha256").update(JSON.stringify(required)).digest("base64url");
}

/** What others may know of a private key: always worked out from it, so that nobody can put another key in its place. */
function publicHalf(privateKey: KeyObject) {
  const jwk = createPublicKey(privateKey).export({ format: "jwk" }) as Record<string, string>;
  const keyId = thumbprint(jwk);
  const algorithm: Algorithm = jwk.kty === "OKP" ? "EdDSA" : "ES256";
  return { keyId, algorithm, publicKey: { ...jwk, kid: keyId, use: "sig", alg: algorithm } };
}

function generate(algorithm: Algorithm) {
  const { privateKey }: KeyPairKeyObjectResult =
    algorithm === "EdDSA" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...publicHalf(privateKey), pkcs8: privateKey.export({ type: "pkcs8", format: "der" }) };
}

const signWith = (algorithm: Algorithm, key: KeyObject) => (data: string) =>
  algorithm === "EdDSA"
    ? sign(null, Buffer.from(data), key)
    : sign("sha256", Buffer.from(data), { key, dsaEncoding: "ieee-p1363" });

/**
 * Keys that sign what others verify: made by whichever instance first needs one, sealed in the store, changed every 90
 * days, published before they sign and until nothing that they signed is good any more. Then they are forgotten.
 */
export function createAssertionKeys({ store, keyring, clock, algorithm }: AssertionKeyOptions) {
  let cached: { readonly since: number; readonly keys: Promise<OpenedKey[]> } | undefined;

  const read = () => store.read((tx) => assertionKeyRepository(tx).list());

  const isPublished = (rows: readonly Place[], row: Place, now: Date) => {
    const successor = rows.find(({ sequence }) => sequence === row.sequence + 1);
    return !successor || successor.useTime.getTime() + KEPT_MS > now.getTime();
  };

  async function add(rows: readonly AssertionKeyRow[], useTime: Date, now: Date): Promise<AssertionKeyRow[]> {
    const { keyId, publicKey, pkcs8 } = generate(algorithm);
    const sealedPrivateKey = await keyring.seal(pkcs8, cellOf(keyId));
    pkcs8.fill(0);
    const sequence = (rows.at(-1)?.sequence ?? 0) + 1;
    const oldest = rows.find((row) => isPublished(rows, row, now))?.sequence ?? sequence;
    await store.write(async (tx) => {
      await assertionKeyRepository(tx).insert({
        ...{ sequence, keyId, algorithm, publicKey, sealedPrivateKey, useTime },
        createTime: now,
      });
      await assertionKeyRepository(tx).deleteBefore(oldest);
    });
    // Read again: the key may be another instance's, who was first.
    return read();
  }

  async function load(now: Date): Promise<AssertionKeyRow[]> {
    const rows = await read();
    const newest = rows.at(-1);
    // Nobody can have kept a set from before the first key.
    if (!newest) return add(rows, now, now);
    const due = newest.useTime.getTime() + USE_MS;
    if (now.getTime() < due - EARLY_MS) return rows;
    return add(rows, new Date(Math.max(due, now.getTime() + LEAD_MS)), now);
  }

  /** Opens a key by its private half; undefined where that does not open, so that the row is worth nothing. */
  async function open({ sequence, useTime, keyId, sealedPrivateKey }: AssertionKeyRow): Promise<OpenedKey | undefined> {
    const pkcs8 = await keyring.open(sealedPrivateKey, cellOf(keyId)).catch((error: unknown) => {
      if (error instanceof SealBroken) return undefined;
      throw error;
    });
    if (!pkcs8) return undefined;
    const key = createPrivateKey({ key: pkcs8, format: "der", type: "pkcs8" });
    pkcs8.fill(0);
    const half = publicHalf(key);
    return { sequence, useTime, ...half, sign: signWith(half.algorithm, key) };
  }

  const openAll = async (rows: readonly AssertionKeyRow[]) =>
    (await Promise.all(rows.map(open))).filter((key) => key !== undefined);

  function keysAt(now: Date): Promise<OpenedKey[]> {
    const age = now.getTime() - (cached?.since ?? 0);
    if (cached && age >= 0 && age < CACHED_MS) return cached.keys;
    const entry = { since: now.getTime(), keys: load(now).then(openAll) };
    cached = entry;
    entry.keys.catch(() => {
      if (cached === entry) cached = undefined;
    });
    return entry.keys;
  }

  return {
    /** The key to sign with now. Outside of units. */
    async signer(): Promise<Signer> {
      const now = clock();
      const keys = await keysAt(now);
      // Before the first one's time the clock was set back; every verifier can know that key all the same.
      const key = keys.findLast(({ useTime }) => useTime <= now) ?? keys[0];
      if (!key) throw new SealBroken();
      return key;
    },

    /** The public halves of the current key, the next and those not yet out of use; none of a row that does not open. */
    async keySet(): Promise<KeySet> {
      const now = clock();
      const keys = await keysAt(now);
      return { keys: keys.filter((key) => isPublished(keys, key, now)).map(({ publicKey }) => publicKey) };
    },

    /** Has a new key take over as soon as every verifier can know it; false for an hour after the last was made. */
    async rotate(): Promise<boolean> {
      const now = clock();
      const rows = await read();
      const newest = rows.at(-1);
      if (newest && now.getTime() - newest.createTime.getTime() < PAUSE_MS) return false;
      await add(rows, new Date(now.getTime() + (newest ? LEAD_MS : 0)), now);
      cached = undefined;
      return true;
    },
  };
}

/** The installation's signing keys. */
export type AssertionKeys = ReturnType<typeof createAssertionKeys>;

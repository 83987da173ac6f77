import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from "node:crypto";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A sealed value fails authentication: altered, truncated, moved to another context, or sealed with another key. */
export class SealBroken extends Error {
  override readonly name = "SealBroken";

  constructor() {
    super("a sealed value does not open: it was altered or moved, or its key is another");
  }
}

/**
 * AES-256-GCM: a 96-bit random nonce, the ciphertext, the 128-bit tag. Random nonces allow 2^32 messages a key
 * (NIST SP 800-38D §8.3); a data key serves one tenant and stays far below.
 */
export function encrypt(key: KeyObject, plain: Uint8Array, associated: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES }).setAAD(associated);
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what `encrypt` made with the same key and the same associated data; throws SealBroken otherwise. */
export function decrypt(key: KeyObject, sealed: Uint8Array, associated: Uint8Array): Buffer {
  const end = sealed.length - TAG_BYTES;
  if (end < NONCE_BYTES) throw new SealBroken();
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES })
    .setAAD(associated)
    .setAuthTag(sealed.subarray(end));
  const plain = decipher.update(sealed.subarray(NONCE_BYTES, end));
  try {
    decipher.final();
    return plain;
  } catch {
    // Unauthenticated plaintext must not survive.
    plain.fill(0);
    throw new SealBroken();
  }
}

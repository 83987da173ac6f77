import { createPublicKey } from "node:crypto";
import { decodeCredentialPublicKey } from "@simplewebauthn/server/helpers";
import { isSmallOrder } from "../../crypto/strict-signatures.ts";

/** EdDSA, ES256 and RS256, in the order offered. Pinned: the library's own list grows with the runtime. */
export const ALGORITHMS = [-8, -7, -257] as const;

const [KTY, ALG, FIRST, SECOND, THIRD] = [1, 3, -1, -2, -3];
const MIN_RSA_BYTES = 256;
const MAX_RSA_BYTES = 512;
const F4 = "010001";

const base64url = (value: unknown, ...lengths: readonly number[]): string | undefined => {
  if (!(value instanceof Uint8Array)) return undefined;
  return lengths.includes(value.byteLength) ? Buffer.from(value).toString("base64url") : undefined;
};

/** The key as a JWK, where type, curve and sizes are those of its algorithm. */
function toJwk(key: ReadonlyMap<number, unknown>): Record<string, string | undefined> | undefined {
  const [kty, first, second, third] = [key.get(KTY), key.get(FIRST), key.get(SECOND), key.get(THIRD)];
  switch (key.get(ALG)) {
    case -8:
      if (kty !== 1 || first !== 6 || (second instanceof Uint8Array && isSmallOrder(second))) return undefined;
      return { kty: "OKP", crv: "Ed25519", x: base64url(second, 32) };
    case -7: {
      const point = { x: base64url(second, 32), y: base64url(third, 32) };
      return kty === 2 && first === 1 ? { kty: "EC", crv: "P-256", ...point } : undefined;
    }
    case -257: {
      const sized = first instanceof Uint8Array && first.byteLength >= MIN_RSA_BYTES && (first[0] ?? 0) > 127;
      if (kty !== 3 || !sized || first.byteLength > MAX_RSA_BYTES) return undefined;
      if (!(second instanceof Uint8Array) || Buffer.from(second).toString("hex") !== F4) return undefined;
      return { kty: "RSA", n: Buffer.from(first).toString("base64url"), e: "AQAB" };
    }
    default:
      return undefined;
  }
}

/**
 * The algorithm of a COSE key, if it is one we offer and the key fits it: a curve of another algorithm, a point off the
 * curve or of small order or a short modulus is undefined or throws.
 */
export function algorithmOf(publicKey: Uint8Array): number | undefined {
  const key = decodeCredentialPublicKey(new Uint8Array(publicKey)) as unknown as ReadonlyMap<number, unknown>;
  const jwk = toJwk(key);
  if (!jwk || Object.values(jwk).includes(undefined)) return undefined;
  createPublicKey({ key: jwk, format: "jwk" });
  return key.get(ALG) as number; // one of those above, or there were no JWK
}

import type { JWK } from "jose";

/** The key that an algorithm is verified with: the type, and the curve or the least length. */
interface KeyForm {
  readonly kty: "RSA" | "EC" | "OKP";
  readonly crv?: string;
  /** What people call it. */
  readonly name: string;
}

const MIN_RSA_BITS = 2048;

const rsa: KeyForm = { kty: "RSA", name: "RSA" };
const ec = (crv: string): KeyForm => ({ kty: "EC", crv, name: crv });
const ed25519: KeyForm = { kty: "OKP", crv: "Ed25519", name: "Ed25519" };

/**
 * Every algorithm that an issuer may be allowed (RFC 7518 §3.1, RFC 8037, RFC 9864), with the only form of key that
 * verifies it. HMAC and "none" are not here, so no setting can allow them: a public key is never taken as a shared one.
 */
const forms = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: ec("P-256"),
  ES384: ec("P-384"),
  ES512: ec("P-521"),
  EdDSA: ed25519,
  Ed25519: ed25519,
} as const satisfies Record<string, KeyForm>;

/** A signature algorithm that tokens may have. */
export type TokenAlgorithm = keyof typeof forms;

/** All of them, in the order of the list. */
export const TOKEN_ALGORITHMS = Object.keys(forms) as [TokenAlgorithm, ...TokenAlgorithm[]]; // the keys of the table, as it is written

/** What is taken unless the issuer's settings say otherwise; RS256 among them as RFC 9068 §2.1 demands. */
export const DEFAULT_ALGORITHMS: readonly TokenAlgorithm[] = ["EdDSA", "Ed25519", "ES256", "RS256"];

/** The length of an RSA key's modulus in bits; 0 where it has none that can be read. */
function rsaBits({ n }: JWK): number {
  const bytes = Buffer.from(typeof n === "string" ? n : "", "base64url");
  const first = bytes.findIndex((byte) => byte !== 0);
  return first < 0 ? 0 : (bytes.length - first - 1) * 8 + (32 - Math.clz32(bytes[first] ?? 0));
}

/** What a key is, in words: "RSA of 1024 bits", "EC P-384". */
export const describeKey = (jwk: JWK): string =>
  jwk.kty === "RSA" ? `RSA of ${rsaBits(jwk)} bits` : [jwk.kty, jwk.crv].filter(Boolean).join(" ").slice(0, 40);

/** The forms of keys that algorithms need, in words, each once: "Ed25519, P-256 or RSA". */
export function keyNames(algorithms: readonly TokenAlgorithm[]): string {
  const names = [...new Set(algorithms.map((algorithm) => forms[algorithm].name))];
  return names.join(", ").replace(/, ([^,]*)$/, " or $1");
}

const isVerifying = ({ use, key_ops }: JWK): boolean =>
  (use === undefined || use === "sig") &&
  (key_ops === undefined || (Array.isArray(key_ops) && key_ops.includes("verify")));

/** EdDSA is the former name of Ed25519 (RFC 9864): a key that names either verifies both. */
const sameAlgorithm = (a: string, b: string): boolean => a === b || forms[a as TokenAlgorithm] === ed25519;

/** Whether a key fits an algorithm by its type, curve, length, use and what it says of itself. */
export function fits(jwk: JWK, algorithm: TokenAlgorithm): boolean {
  const form: KeyForm = forms[algorithm];
  if (jwk.kty !== form.kty || (form.crv !== undefined && jwk.crv !== form.crv)) return false;
  if (form.kty === "RSA" && rsaBits(jwk) < MIN_RSA_BITS) return false;
  if (!isVerifying(jwk)) return false;
  return jwk.alg === undefined || (form === ed25519 ? sameAlgorithm(jwk.alg, algorithm) : jwk.alg === algorithm);
}

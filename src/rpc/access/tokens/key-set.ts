import { createLocalJWKSet, errors, type JSONWebKeySet, type JWK, type JWTVerifyGetKey } from "jose";
import { describeKey, fits, keyNames, type TokenAlgorithm } from "./algorithms.ts";
import { excerpt } from "./rejected.ts";

/** No key of the set verifies a token; says which was asked for, and what is known of it. */
export class NoMatchingKey extends errors.JWKSNoMatchingKey {
  constructor(text: string) {
    super(text);
  }
}

/** A key set as it was read, and the keys of it that can verify something. */
export interface VerificationKeys {
  readonly keys: JWTVerifyGetKey;
  /** Why no token can be verified, where none can. */
  readonly unusable: string | undefined;
}

const isKeySet = (value: unknown): value is JSONWebKeySet =>
  typeof value === "object" &&
  value !== null &&
  "keys" in value &&
  Array.isArray(value.keys) &&
  value.keys.every((key) => typeof key === "object" && key !== null);

const usableFor = (algorithms: readonly TokenAlgorithm[]) => (jwk: JWK) =>
  algorithms.some((algorithm) => fits(jwk, algorithm));

/** EdDSA and Ed25519 are one algorithm by two names: the key is asked by either. */
const withoutName = ({ alg, ...jwk }: JWK): JWK => (jwk.kty === "OKP" || alg === undefined ? jwk : { ...jwk, alg });

/** What is in a set, for an operator who wonders why nothing of it is used. */
const contents = (keys: readonly JWK[]) =>
  keys.length === 0 ? "it is empty" : `only ${[...new Set(keys.map(describeKey))].slice(0, 8).join(", ")}`;

/** Reads a key set for the given algorithms; throws where it is none. Keys that fit no algorithm are never used. */
export function readKeySet(value: unknown, algorithms: readonly TokenAlgorithm[]): VerificationKeys {
  if (!isKeySet(value)) throw new Error("no JSON Web Key Set");
  const usable = value.keys.filter(usableFor(algorithms));
  const find = createLocalJWKSet({ keys: usable.map(withoutName) });
  const keys: JWTVerifyGetKey = async (header, token) => {
    try {
      return await find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      throw new NoMatchingKey(whyNone(header, value.keys));
    }
  };
  const unusable =
    usable.length > 0
      ? undefined
      : `holds no ${keyNames(algorithms)} key (${algorithms.join(", ")}; RSA of 2048 bits or more): ${contents(value.keys)}`;
  return { keys, unusable };
}

function whyNone({ kid, alg }: { kid?: string; alg?: string }, keys: readonly JWK[]): string {
  const named = keys.find((key) => kid !== undefined && key.kid === kid);
  if (named) {
    const own = named.alg === undefined ? "" : ` for ${excerpt(named.alg)}`;
    return `kid ${excerpt(kid)} is ${describeKey(named)}${own}, no key for ${excerpt(alg)}`;
  }
  return kid === undefined ? `no key for ${excerpt(alg)} in the key set` : `kid ${excerpt(kid)} not in the key set`;
}

import type { Keyring } from "../crypto/keyring.ts";
import { bearerId, randomSecret } from "../crypto/random.ts";
import type { Owner } from "../db/store.ts";

/** A client's secret, taken apart: what finds the device, and what proves it. */
export interface TrustToken {
  readonly series: string;
  readonly secret: string;
}

const TOKEN = /^([\w-]{22})\.([\w-]{43})$/;

/** Reads a secret; undefined for what never was one. */
export function readTrustToken(text: string): TrustToken | undefined {
  const [, series, secret] = TOKEN.exec(text) ?? [];
  return series === undefined || secret === undefined ? undefined : { series, secret };
}

/** The first secret of a new series, or the next of one. */
export const nextTrustToken = (series = bearerId()): TrustToken => ({
  series,
  secret: randomSecret(32).toString("base64url"),
});

/** A secret as its client keeps it. */
export const trustTokenText = ({ series, secret }: TrustToken): string => `${series}.${secret}`;

const OF_SERIES = "trusted-device-series/v1";
const OF_SECRET = "trusted-device-secret/v1";

/** Digests that are bound to the owner: a row that is moved to another user matches nothing. */
export const trustDigests = (keyring: Pick<Keyring, "digest" | "digests" | "matches">) => ({
  series: ({ tenantId, userId }: Owner, { series }: TrustToken) => keyring.digest(OF_SERIES, tenantId, userId, series),
  /** By every pepper, the newest first: a series made before a new one is still found. */
  allSeries: ({ tenantId, userId }: Owner, { series }: TrustToken) =>
    keyring.digests(OF_SERIES, tenantId, userId, series),
  secret: ({ tenantId, userId }: Owner, { series, secret }: TrustToken) =>
    keyring.digest(OF_SECRET, tenantId, userId, series, secret),
  isSecret: (digest: Buffer | null, { tenantId, userId }: Owner, { series, secret }: TrustToken) =>
    digest !== null && keyring.matches(digest, OF_SECRET, tenantId, userId, series, secret),
});

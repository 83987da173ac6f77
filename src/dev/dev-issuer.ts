import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createLocalJWKSet, exportJWK, generateKeyPair, importJWK, type JWK, SignJWT } from "jose";
import { writeOnce } from "../core/write-once.ts";
import { randomSecret } from "../crypto/random.ts";
import type { Issuer } from "../rpc/access/tokens/issuer.ts";

/** What a minted token says. */
export interface DevTokenClaims {
  readonly audience: "mfa" | "mfa-admin" | "mfa-internal";
  readonly subject: string;
  readonly acr?: "aal1" | "aal2";
  readonly scope?: string;
  readonly tenant?: string;
  /** The session that the token belongs to (`sid`). */
  readonly session?: string;
  /** When the subject authenticated; default: as the token is minted. Null leaves it unsaid. */
  readonly authTime?: Date | null;
}

interface Stored {
  readonly issuer: string;
  readonly privateKey: JWK;
}

const LIFETIME_S = 3600;
const fileIn = (dataDir: string) => join(dataDir, "dev-issuer.json");

async function generate(): Promise<string> {
  const { privateKey } = await generateKeyPair("EdDSA", { extractable: true });
  const kid = randomSecret(8).toString("hex");
  const stored: Stored = {
    issuer: `urn:mfa:dev:${kid}`,
    privateKey: { ...(await exportJWK(privateKey)), kid, alg: "EdDSA" },
  };
  return JSON.stringify(stored, null, 2);
}

async function load(dataDir: string): Promise<Stored> {
  return JSON.parse(await readFile(fileIn(dataDir), "utf8")) as Stored;
}

/**
 * The issuer of dev mode: a key of its own in the data folder, under a name no production start accepts. Made at the
 * first start, kept for the next, so that tokens outlive a restart.
 */
export async function openDevIssuer(dataDir: string): Promise<Issuer> {
  await writeOnce(fileIn(dataDir), generate);
  const { issuer, privateKey } = await load(dataDir);
  const { d: _private, ...publicKey } = privateKey;
  return { issuer, keys: createLocalJWKSet({ keys: [publicKey] }), operator: true };
}

const seconds = (time: Date): number => Math.floor(time.getTime() / 1000);

/** Mints an access token (RFC 9068) of the dev issuer, good for an hour. */
export async function mintDevToken(dataDir: string, claims: DevTokenClaims, now = new Date()): Promise<string> {
  const { issuer, privateKey } = await load(dataDir);
  const { audience, subject, acr, scope, tenant = "dev", session, authTime = now } = claims;
  const stated = { ...(acr && { acr }), ...(scope && { scope }), ...(session && { sid: session }) };
  const claimed = { tid: tenant, ...stated, ...(authTime && { auth_time: seconds(authTime) }) };
  return new SignJWT(claimed)
    .setProtectedHeader({ alg: "EdDSA", typ: "at+jwt", kid: privateKey.kid ?? "" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject(subject)
    .setIssuedAt(seconds(now))
    .setExpirationTime(seconds(now) + LIFETIME_S)
    .sign(await importJWK(privateKey, "EdDSA"));
}

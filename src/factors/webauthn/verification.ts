import { createHash } from "node:crypto";
import { SettingsService, verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import { decodeAttestationObject, isoCBOR } from "@simplewebauthn/server/helpers";
import { ALGORITHMS, algorithmOf } from "./cose-key.ts";
import {
  type Authentication,
  asLibraryAuthentication,
  asLibraryRegistration,
  type Registration,
  readAuthentication,
  readClientData,
  readRegistration,
} from "./responses.ts";
import type { Insistence } from "./webauthn.table.ts";

/** What an answer is held against. */
export interface Expected {
  readonly challengeDigest: Buffer;
  readonly rpId: string;
  readonly origins: readonly string[];
  readonly userVerification: Insistence;
}

/** A credential that proved itself by its own registration. */
export interface Registered {
  readonly webauthnId: Buffer;
  readonly publicKey: Buffer;
  readonly algorithm: number;
  readonly counter: number;
  readonly userVerified: boolean;
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  readonly aaguid: string;
  readonly attestationFormat: string;
  /** The certificates of its attestation, leaf first; who they lead to is for the policy to ask. */
  readonly certificates: readonly Uint8Array[];
  readonly transports: readonly string[];
  readonly attachment: string;
  /** Whether the browser says that it can be found without a user name; it need not say. */
  readonly discoverable: boolean | undefined;
}

/** What is known of a credential before it signs. */
export interface Known {
  readonly webauthnId: Buffer;
  readonly publicKey: Buffer;
  readonly backupEligible: boolean;
  readonly userHandle: Buffer;
}

/** What a good signature says besides. */
export interface Signed {
  readonly counter: number;
  readonly userVerified: boolean;
  readonly backedUp: boolean;
}

const MIN_ID_BYTES = 16;
const MAX_ID_BYTES = 1023;
const TRANSPORTS = new Set(["usb", "nfc", "ble", "smart-card", "hybrid", "internal"]);
/**
 * android-key is not among them: the library validates its chain up to a root that the chain itself brings, and fetches
 * lists of revoked certificates from urls in it. android-safetynet has ended.
 */
const FORMATS = new Set(["none", "packed", "fido-u2f", "tpm", "apple"]);

// Without roots of its own the library checks an attestation's signature and leaves its chain to us; with them it would
// fetch from urls that certificates name.
for (const identifier of ["android-key", "android-safetynet", "apple"] as const) {
  SettingsService.setRootCertificates({ identifier, certificates: [] });
}

/** The digest under which a challenge is kept. */
export const digestOf = (challenge: string): Buffer => createHash("sha256").update(challenge).digest();

/** The challenge inside an authentication, by digest, to find its ceremony by; undefined for what is none. */
export function challengeDigestIn(response: unknown): Buffer | undefined {
  try {
    const read = readAuthentication(response);
    return read && digestOf(readClientData(read.response.clientDataJSON).challenge);
  } catch {
    return undefined;
  }
}

/** Embedded pages are not asked for, whatever browser does or does not name the page around them. */
const isOfOwnPage = ({ response: { clientDataJSON } }: Registration | Authentication): boolean => {
  const { crossOrigin, topOrigin } = readClientData(clientDataJSON);
  return !crossOrigin && topOrigin === undefined;
};

const common = ({ challengeDigest, rpId, origins, userVerification }: Expected) => ({
  expectedChallenge: (challenge: string) => digestOf(challenge).equals(challengeDigest),
  expectedOrigin: [...origins],
  expectedRPID: rpId,
  requireUserVerification: userVerification === "required",
});

/** The attestation statement's format and certificates, from an object without anything behind it. */
function attestationIn(attestationObject: string) {
  const bytes = new Uint8Array(Buffer.from(attestationObject, "base64url"));
  const decoded = decodeAttestationObject(bytes);
  if (isoCBOR.encode(decoded as never).byteLength !== bytes.byteLength) return undefined;
  const [format, statement] = [decoded.get("fmt") as string, decoded.get("attStmt")];
  const certificates = statement.get("x5c") ?? [];
  const wellFormed = Array.isArray(certificates) && certificates.every((der) => der instanceof Uint8Array);
  return FORMATS.has(format) && wellFormed ? { format, certificates } : undefined;
}

async function judgeRegistration(response: unknown, expected: Expected): Promise<Registered | undefined> {
  const read = readRegistration(response);
  const attestation = read && attestationIn(read.response.attestationObject);
  if (!attestation || !isOfOwnPage(read)) return undefined;
  const { verified, registrationInfo: info } = await verifyRegistrationResponse({
    ...common(expected),
    response: asLibraryRegistration(read),
    supportedAlgorithmIDs: [...ALGORITHMS],
  });
  if (!verified || info.rpID !== expected.rpId || info.credential.id !== read.id) return undefined;
  const webauthnId = Buffer.from(info.credential.id, "base64url");
  const publicKey = Buffer.from(info.credential.publicKey);
  const algorithm = algorithmOf(publicKey);
  if (webauthnId.length < MIN_ID_BYTES || webauthnId.length > MAX_ID_BYTES || algorithm === undefined) return undefined;
  return {
    webauthnId,
    publicKey,
    algorithm,
    counter: info.credential.counter,
    userVerified: info.userVerified,
    backupEligible: info.credentialDeviceType === "multiDevice",
    backedUp: info.credentialBackedUp,
    aaguid: info.aaguid,
    attestationFormat: attestation.format,
    certificates: attestation.certificates,
    transports: [...new Set(read.response.transports)].filter((transport) => TRANSPORTS.has(transport)),
    attachment: read.authenticatorAttachment ?? "",
    discoverable: read.clientExtensionResults.credProps?.rk ?? undefined,
  };
}

/** A handle that is not told is taken on trust in the id, which is one of the user's (WebAuthn §7.2 step 6). */
const isOfUser = ({ response: { userHandle } }: Authentication, known: Known): boolean =>
  typeof userHandle !== "string" || Buffer.from(userHandle, "base64url").equals(known.userHandle);

async function judgeAuthentication(response: unknown, expected: Expected, known: Known): Promise<Signed | undefined> {
  const read = readAuthentication(response);
  if (!read || !isOfOwnPage(read)) return undefined;
  const { verified, authenticationInfo: info } = await verifyAuthenticationResponse({
    ...common(expected),
    response: asLibraryAuthentication(read),
    // The library would judge the counter before the signature, and so tell a stranger's guess from a copied key. Ours is
    // judged as it is written.
    credential: { id: read.id, publicKey: new Uint8Array(known.publicKey), counter: 0 },
  });
  const backupEligible = info.credentialDeviceType === "multiDevice";
  const named = Buffer.from(read.rawId, "base64url").equals(known.webauthnId);
  if (!verified || !named || backupEligible !== known.backupEligible || !isOfUser(read, known)) return undefined;
  return { counter: info.newCounter, userVerified: info.userVerified, backedUp: info.credentialBackedUp };
}

/** Every failure is one and the same: the library's words hold the challenge and more, and are not passed on. */
const orUndefined = <T>(judgement: Promise<T | undefined>): Promise<T | undefined> => judgement.catch(() => undefined);

/** The only way a registration is judged: undefined when anything about it is not as expected. */
export const verifyRegistration = (response: unknown, expected: Expected): Promise<Registered | undefined> =>
  orUndefined(judgeRegistration(response, expected));

/** The only way an authentication is judged: undefined when anything about it is not as expected. */
export const verifyAuthentication = (
  response: unknown,
  expected: Expected,
  known: Known,
): Promise<Signed | undefined> => orUndefined(judgeAuthentication(response, expected, known));

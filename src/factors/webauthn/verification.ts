import { createHash } from "node:crypto";
import { SettingsService, verifyAuthenticationResponse, verifyRegistrationResponse } from "@simplewebauthn/server";
import { decodeAttestationObject, isoCBOR } from "@simplewebauthn/server/helpers";
import { isStrictDer } from "../../crypto/strict-signatures.ts";
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
export interface ExpectedCeremony {
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
  readonly userHandle: Buffer;
}

/** What a good signature says besides. */
export interface Signed {
  readonly counter: number;
  readonly userVerified: boolean;
  /** Whether it may be synced: to be compared with what it was at registration (WebAuthn §7.2). */
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
}

const ES256 = -7;
const MIN_ID_BYTES = 16;
const MAX_ID_BYTES = 1023;
const TRANSPORTS = new Set(["usb", "nfc", "ble", "smart-card", "hybrid", "internal"]);
/** The statements that are looked at. */
const FORMATS = new Set(["none", "packed", "fido-u2f", "tpm", "apple"]);
/**
 * The library validates the chain of android-key up to a root that the chain itself brings, and fetches lists of revoked
 * certificates from urls in it; android-safetynet has ended; compound holds several. Some authenticators make them though
 * none was asked for: such a credential is unattested, which the policy refuses where it asks for an attestation.
 */
const UNREAD = new Set(["android-key", "android-safetynet", "compound"]);

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

const common = ({ challengeDigest, rpId, origins, userVerification }: ExpectedCeremony) => ({
  expectedChallenge: (challenge: string) => digestOf(challenge).equals(challengeDigest),
  expectedOrigin: [...origins],
  expectedRPID: rpId,
  requireUserVerification: userVerification === "required",
});

/** An attestation object with a statement that is not looked at, as one without a statement. */
function unattested(authData: unknown) {
  const bare = new Map<string, unknown>([
    ["fmt", "none"],
    ["attStmt", new Map()],
    ["authData", authData],
  ]);
  const attestationObject = Buffer.from(isoCBOR.encode(bare as never)).toString("base64url");
  return { format: "none", certificates: [], attestationObject };
}

/** The attestation statement's format and certificates, from an object without anything behind it. */
function attestationIn(attestationObject: string) {
  const bytes = new Uint8Array(Buffer.from(attestationObject, "base64url"));
  const decoded = decodeAttestationObject(bytes);
  if (isoCBOR.encode(decoded as never).byteLength !== bytes.byteLength) return undefined;
  const [format, statement] = [decoded.get("fmt") as string, decoded.get("attStmt")];
  if (UNREAD.has(format)) return unattested(decoded.get("authData"));
  const certificates = statement.get("x5c") ?? [];
  const isEcdsa = format === "fido-u2f" || statement.get("alg") === ES256;
  const signature = statement.get("sig");
  if (isEcdsa && signature instanceof Uint8Array && !isStrictDer(signature)) return undefined;
  const wellFormed = Array.isArray(certificates) && certificates.every((der) => der instanceof Uint8Array);
  return FORMATS.has(format) && wellFormed ? { format, certificates, attestationObject } : undefined;
}

async function judgeRegistration(response: unknown, expected: ExpectedCeremony): Promise<Registered | undefined> {
  const read = readRegistration(response);
  const attestation = read && attestationIn(read.response.attestationObject);
  if (!attestation || !isOfOwnPage(read)) return undefined;
  const { verified, registrationInfo: info } = await verifyRegistrationResponse({
    ...common(expected),
    response: asLibraryRegistration({
      ...read,
      response: { ...read.response, attestationObject: attestation.attestationObject },
    }),
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

async function judgeAuthentication(
  response: unknown,
  expected: ExpectedCeremony,
  known: Known,
): Promise<Signed | undefined> {
  const read = readAuthentication(response);
  if (!read || !isOfOwnPage(read)) return undefined;
  const { verified, authenticationInfo: info } = await verifyAuthenticationResponse({
    ...common(expected),
    response: asLibraryAuthentication(read),
    // The library would judge the counter before the signature, and so tell a stranger's guess from a copied key. Ours is
    // judged as it is written.
    credential: { id: read.id, publicKey: new Uint8Array(known.publicKey), counter: 0 },
  });
  const algorithm = algorithmOf(known.publicKey);
  // The library takes signatures with bytes behind them. Asked afterwards: a decoy's key is of one algorithm.
  const isStrict = algorithm !== ES256 || isStrictDer(Buffer.from(read.response.signature, "base64url"));
  const named = Buffer.from(read.rawId, "base64url").equals(known.webauthnId);
  if (!verified || algorithm === undefined || !isStrict || !named || !isOfUser(read, known)) return undefined;
  return {
    counter: info.newCounter,
    userVerified: info.userVerified,
    backupEligible: info.credentialDeviceType === "multiDevice",
    backedUp: info.credentialBackedUp,
  };
}

/** Every failure is one and the same: the library's words hold the challenge and more, and are not passed on. */
const orUndefined = <T>(judgement: Promise<T | undefined>): Promise<T | undefined> => judgement.catch(() => undefined);

/** The only way a registration is judged: undefined when anything about it is not as expected. */
export const verifyRegistration = (response: unknown, expected: ExpectedCeremony): Promise<Registered | undefined> =>
  orUndefined(judgeRegistration(response, expected));

/** The only way an authentication is judged: undefined when anything about it is not as expected. */
export const verifyAuthentication = (
  response: unknown,
  expected: ExpectedCeremony,
  known: Known,
): Promise<Signed | undefined> => orUndefined(judgeAuthentication(response, expected, known));

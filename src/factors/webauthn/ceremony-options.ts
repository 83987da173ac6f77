import type { JsonObject } from "@bufbuild/protobuf";
import { ALGORITHMS } from "./cose-key.ts";
import type { CeremonyTerms } from "./relying-party.ts";
import type { CredentialRow, WebAuthnUserRow } from "./webauthn.repository.ts";

/** How long a ceremony stands. */
export const CEREMONY_MS = 5 * 60 * 1000;

/** A credential as options name it. */
export type Descriptor = Pick<CredentialRow, "webauthnId" | "transports">;

const descriptor = ({ webauthnId, transports }: Descriptor): JsonObject => ({
  id: webauthnId.toString("base64url"),
  type: "public-key",
  ...(transports.length > 0 && { transports: [...transports] }),
});

/** What authenticators must be able to keep of a name (WebAuthn §5.4.1): some refuse what is longer. */
const MAX_NAME_BYTES = 64;
const characters = new Intl.Segmenter("und", { granularity: "grapheme" });

/** The name that authenticators show where nobody chose one: the user's id, cut between characters. */
export function defaultUserName(userId: string): string {
  if (Buffer.byteLength(userId) <= MAX_NAME_BYTES) return userId;
  let name = "";
  for (const { segment } of characters.segment(userId)) {
    if (Buffer.byteLength(name + segment) > MAX_NAME_BYTES) break;
    name += segment;
  }
  // A first character that is longer than all: what is left of an id that shows as nothing.
  return name || "user";
}

/** PublicKeyCredentialCreationOptionsJSON (WebAuthn §5.1.8). */
export const creationOptions = (
  terms: CeremonyTerms,
  user: Pick<WebAuthnUserRow, "userHandle" | "userName">,
  asked: { challenge: string; exclude: readonly Descriptor[]; hints: readonly string[] },
): JsonObject => ({
  rp: { id: terms.rpId, name: terms.rpName },
  user: { id: user.userHandle.toString("base64url"), name: user.userName, displayName: user.userName },
  challenge: asked.challenge,
  pubKeyCredParams: ALGORITHMS.map((alg) => ({ type: "public-key", alg })),
  timeout: CEREMONY_MS,
  excludeCredentials: asked.exclude.map(descriptor),
  authenticatorSelection: {
    residentKey: terms.discoverable,
    requireResidentKey: terms.discoverable === "required",
    userVerification: terms.userVerification,
    ...(terms.attachment && { authenticatorAttachment: terms.attachment }),
  },
  hints: [...asked.hints],
  attestation: terms.attested ? "direct" : "none",
  extensions: { credProps: true },
});

/** PublicKeyCredentialRequestOptionsJSON (WebAuthn §5.1.8). */
export const requestOptions = (
  terms: Pick<CeremonyTerms, "rpId" | "userVerification">,
  challenge: string,
  allow: readonly Descriptor[],
): JsonObject => ({
  challenge,
  timeout: CEREMONY_MS,
  rpId: terms.rpId,
  allowCredentials: allow.map(descriptor),
  userVerification: terms.userVerification,
});

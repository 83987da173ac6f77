import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import * as v from "valibot";

const base64url = v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]+$/));
const bytes = v.pipe(
  base64url,
  v.transform((text) => Buffer.from(text, "base64url")),
);

const credential = { id: base64url, rawId: base64url, type: v.literal("public-key") };
// A field that a client left undefined may arrive as null: Struct knows no other nothing. What is not known counts as
// nothing too (WebAuthn §5.1, authenticatorAttachment).
const attachment = v.fallback(v.nullish(v.picklist(["platform", "cross-platform"])), null);

const texts = (members: unknown[]) => members.filter((member) => typeof member === "string");
const known = v.fallback(v.nullish(v.boolean()), undefined);
// An empty handle names nobody: some clients write it in the place of none.
const userHandle = v.pipe(
  v.nullish(v.union([v.literal(""), base64url])),
  v.transform((handle) => handle || undefined),
);

const registration = v.object({
  ...credential,
  response: v.object({
    clientDataJSON: base64url,
    attestationObject: base64url,
    // Hints of the browser's, kept for later options: what it invents beside the known ones is dropped.
    transports: v.fallback(v.pipe(v.array(v.unknown()), v.transform(texts)), []),
  }),
  authenticatorAttachment: attachment,
  // Of extensions only one is read, and none is relied on: what is odd counts as not said.
  clientExtensionResults: v.fallback(
    v.object({ credProps: v.fallback(v.nullish(v.object({ rk: known })), undefined) }),
    {},
  ),
});

const authentication = v.object({
  ...credential,
  response: v.object({
    clientDataJSON: base64url,
    authenticatorData: base64url,
    signature: base64url,
    userHandle,
  }),
  authenticatorAttachment: attachment,
});

const clientData = v.object({
  challenge: base64url,
  crossOrigin: v.optional(v.boolean(), false),
  topOrigin: v.optional(v.unknown()),
});

/** What a browser answers to a registration, in the form that is read here; undefined for anything else. */
export function readRegistration(response: unknown) {
  const read = v.safeParse(registration, response);
  return read.success ? read.output : undefined;
}

/** What a browser answers to an authentication, likewise. */
export function readAuthentication(response: unknown) {
  const read = v.safeParse(authentication, response);
  return read.success ? read.output : undefined;
}

/** A registration as it was read. */
export type Registration = NonNullable<ReturnType<typeof readRegistration>>;
/** An authentication as it was read. */
export type Authentication = NonNullable<ReturnType<typeof readAuthentication>>;

/** The library's own form. */
export const asLibraryRegistration = (read: Registration) =>
  ({ ...read, clientExtensionResults: {} }) as unknown as RegistrationResponseJSON;
/** The library's own form. */
export const asLibraryAuthentication = (read: Authentication) =>
  ({
    ...read,
    response: { ...read.response, userHandle: read.response.userHandle },
    clientExtensionResults: {},
  }) as unknown as AuthenticationResponseJSON;

/** What the browser signed of itself; throws for what is no client data. */
export const readClientData = (clientDataJSON: string) =>
  v.parse(clientData, JSON.parse(Buffer.from(clientDataJSON, "base64url").toString("utf8")));

/** The bytes of a text that `base64url` has let through. */
export const bytesOf = (text: string): Buffer => v.parse(bytes, text);

/** The flag UV of an answer (WebAuthn §6.1). */
export const saysVerified = ({ response: { authenticatorData } }: Authentication): boolean =>
  ((bytesOf(authenticatorData)[32] ?? 0) & 0x04) !== 0;

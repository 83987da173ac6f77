import { JUDGED_SECRET_BYTES } from "../factor.ts";

/** A form in which a secret is written. */
export type Form = "base32" | "hex" | "base64";

const { min, max } = JUDGED_SECRET_BYTES;

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** Decodes letters of base32. Bits that are left over make no byte and are dropped, as authenticator apps do. */
function decodeBase32(letters: string): Uint8Array {
  const bytes = Buffer.alloc(Math.floor((letters.length * 5) / 8));
  let [bits, held, at] = [0, 0, 0];
  for (const letter of letters) {
    held = ((held << 5) | BASE32.indexOf(letter)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = held >> bits;
  }
  return bytes;
}

/** A text without what people put between groups of characters. */
const joined = (text: string, between: RegExp) => text.replaceAll(between, "");

/** How each form is read: a text's bytes, or why they cannot be, as a sentence without the text. */
const forms: Readonly<Record<Form, (text: string) => Uint8Array | string>> = {
  base32(text) {
    const [letters = "", ...rest] = joined(text, /[\s-]/g).toUpperCase().split("=");
    const isBase32 = /^[A-Z2-7]+$/.test(letters) && rest.every((part) => part === "");
    return isBase32 ? decodeBase32(letters) : "has characters that are not base32";
  },
  hex(text) {
    const digits = joined(text, /[\s:-]/g);
    if (!/^[0-9a-fA-F]+$/.test(digits)) return "has characters that are not hexadecimal";
    return digits.length % 2 === 0 ? Buffer.from(digits, "hex") : "has an odd number of hexadecimal digits";
  },
  base64(text) {
    const letters = joined(text, /\s/g);
    const isBase64 = letters.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(letters);
    return isBase64 ? Buffer.from(letters, "base64") : "is not base64";
  },
};

/** Reads a secret in one form; why it cannot be, as the end of a sentence, never with a part of it. */
export function readSecret(text: string, form: Form): Uint8Array | string {
  if (text.trim() === "") return "is empty";
  const bytes = forms[form](text);
  return typeof bytes === "string" ? bytes : judged(bytes);
}

/** Bytes of a length that is judged; why they are not, otherwise. */
export const judged = (bytes: Uint8Array): Uint8Array | string =>
  bytes.length < min || bytes.length > max ? `has ${bytes.length} bytes, and ${min} to ${max} are taken` : bytes;

/**
 * Whether a text has letters of both cases, as base64 has. Base32 is in one or the other: a text in base64 of which every
 * letter happens to be one of base32, as of 10 bytes in one of four, would be another secret.
 */
const hasBothCases = (text: string): boolean => /[a-z]/.test(text) && /[A-Z]/.test(text);

/** As `readSecret`, for base32 in a place where another form may stand. */
export const readBase32 = (text: string): Uint8Array | string =>
  hasBothCases(text) ? "has letters of both cases, as base64 has: not base32" : readSecret(text, "base32");

const READERS = { hex: (text: string) => readSecret(text, "hex"), base32: readBase32 } as const;

/** The forms, of hexadecimal and base32, in which a text is a secret. */
export const formsOf = (text: string): (keyof typeof READERS)[] =>
  (["hex", "base32"] as const).filter((form) => typeof READERS[form](text) !== "string");

/**
 * The form of which raw bytes look as if its text had been taken for them: given where base64 is expected, as JSON has
 * bytes, or as the bytes of its letters. Of secrets that were drawn at random one in 10,000 looks so at 10 bytes, and
 * practically none at 16.
 */
export function mistakenFor(bytes: Uint8Array): Form | undefined {
  const taken = Buffer.from(bytes).toString("base64").replace(/=+$/, "");
  // The last letter lost the bits that belong to no byte.
  const asBase64 = bytes.length % 3 === 0 ? taken : taken.slice(0, -1);
  const asLetters = Buffer.from(bytes).toString("latin1");
  if (/^([A-Z2-7]+|[a-z2-7]+)(\+([A-Z2-7]+|[a-z2-7]+))*$/.test(asBase64) || /^[A-Z2-7]{16,}=*$/.test(asLetters))
    return "base32";
  const isMixed = /[a-f]/i.test(asLetters) && /[0-9]/.test(asLetters);
  if (
    /^([0-9a-f]{20,}|[0-9A-F]{20,})$/.test(asBase64) ||
    (isMixed && /^([0-9a-f]{20,}|[0-9A-F]{20,})$/.test(asLetters))
  )
    return "hex";
  return undefined;
}

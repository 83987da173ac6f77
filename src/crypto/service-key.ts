import { crc32 } from "node:zlib";
import { randomSecret } from "./random.ts";

/** How every service key begins, so that a search for leaked secrets finds it. */
const PREFIX = "mfa_sk_";
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/** 178 bits. */
const RANDOM_CHARACTERS = 30;
/** As many as the largest CRC-32 needs. */
const CHECK_CHARACTERS = 6;
/** The largest multiple of 62 that a byte reaches: bytes from there on would favour some characters. */
const FAIR_BELOW = 248;
const FORM = /^mfa_sk_([0-9A-Za-z]{30})([0-9A-Za-z]{6})$/;
const SHOWN_CHARACTERS = 4;

function randomText(): string {
  let text = "";
  while (text.length < RANDOM_CHARACTERS) {
    for (const byte of randomSecret(RANDOM_CHARACTERS)) {
      if (byte < FAIR_BELOW && text.length < RANDOM_CHARACTERS) text += ALPHABET[byte % ALPHABET.length];
    }
  }
  return text;
}

/** The CRC-32 of a text in base 62, the most significant digit first. */
function checkOf(text: string): string {
  let rest = crc32(text);
  let digits = "";
  for (let n = 0; n < CHECK_CHARACTERS; n += 1) {
    digits = ALPHABET[rest % ALPHABET.length] + digits;
    rest = Math.floor(rest / ALPHABET.length);
  }
  return digits;
}

/** A new service key: the prefix, 30 random characters, and 6 check characters of these. */
export function newServiceKey(): string {
  const text = randomText();
  return `${PREFIX}${text}${checkOf(text)}`;
}

/** Whether a credential claims to be a service key. */
export const looksLikeServiceKey = (credential: string): boolean => credential.startsWith(PREFIX);

/** Whether a text can be a service key: its form and its check characters are right. */
export function isServiceKey(text: string): boolean {
  const [, random, check] = FORM.exec(text) ?? [];
  return random !== undefined && check === checkOf(random);
}

/** What may be shown of a service key: 24 of its 178 bits. */
export const shownOf = (secret: string): string => secret.slice(0, PREFIX.length + SHOWN_CHARACTERS);

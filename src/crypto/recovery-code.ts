import { randomSecret } from "./random.ts";

/** A code that people copy from paper: a public selector and a secret of 80 random bits. */
export interface RecoveryCode {
  /** The first three characters; stored as they are and shown in lists. */
  readonly selector: string;
  /** All nineteen characters in their one canonical form: upper case, without groups. */
  readonly canonical: string;
}

/** Crockford's base32: no I, L, O, which are read as digits, and no U. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const SELECTOR_LENGTH = 3;
const LENGTH = 19;
const CANONICAL = new RegExp(`^[${ALPHABET}]{${LENGTH}}$`);

const split = (canonical: string): RecoveryCode => ({ selector: canonical.slice(0, SELECTOR_LENGTH), canonical });

/** A new code. A byte's lower five bits are as uniform as the byte. */
export const drawRecoveryCode = (): RecoveryCode =>
  split([...randomSecret(LENGTH)].map((byte) => ALPHABET[byte & 31]).join(""));

/** The code as it is shown: 000-0000-0000-0000-0000. */
export const showRecoveryCode = ({ selector, canonical }: RecoveryCode): string =>
  [selector, ...(canonical.slice(SELECTOR_LENGTH).match(/.{4}/g) ?? [])].join("-");

/**
 * Reads what somebody typed: case, spaces and hyphens do not matter, nor O for 0, I and L for 1. Undefined for what is
 * no code at all; such a text is judged like a wrong one, so that the answer takes as long.
 */
export function readRecoveryCode(typed: string): RecoveryCode | undefined {
  const canonical = typed.replace(/[ -]/g, "").toUpperCase().replace(/O/g, "0").replace(/[IL]/g, "1");
  return CANONICAL.test(canonical) ? split(canonical) : undefined;
}

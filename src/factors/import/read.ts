import { cutText, withoutControls } from "../../core/text.ts";

/** The hashes of codes. */
export type Hash = "SHA1" | "SHA256" | "SHA512";

/** An authenticator app, as a document has it. */
export interface ReadApp {
  /** Where it begins, from 1. */
  readonly line: number;
  readonly userId: string;
  readonly displayName: string;
  readonly secret: Uint8Array;
  readonly algorithm: Hash;
  readonly digits: number;
  readonly periodSeconds: number;
}

/** A line, or a part, of a document that is no app. */
export interface Unread {
  readonly line: number;
  readonly userId: string;
  /** The field for which it is refused; empty where it is none. */
  readonly field: string;
  /** Never a secret. */
  readonly reason: string;
}

/** What a line, or a part, of a document was read as. */
export type Read = ReadApp | Unread;

/** What a document claims of an app, before anything of it is believed. */
export interface Claim {
  readonly line: number;
  readonly userId: string;
  readonly displayName: string;
  readonly type: string;
  /** Its bytes, or why they cannot be read. */
  readonly secret: Uint8Array | string;
  /** Empty where the document does not say. */
  readonly algorithm: string;
  readonly digits: string;
  /** In seconds. */
  readonly period: string;
  /** Whether the format leaves open what a secret without a hash is for: the length of the seed must not tell. */
  readonly asksForHash?: boolean;
}

const HASHES: Readonly<Record<string, Hash>> = { SHA1: "SHA1", SHA256: "SHA256", SHA512: "SHA512" };
/** As long as the hash, which is how seeds for SHA-2 are made. */
const SEEDS: Readonly<Record<number, string>> = { 32: "SHA-256", 64: "SHA-512" };
const LONGEST_NAME = 64;
const REPLACED = "\ufffd";

/** The hash of a name: "SHA256", "sha-256", "HmacSHA256" and "HMAC-SHA-256" are one. */
const hashOf = (name: string): Hash | undefined =>
  HASHES[
    name
      .toUpperCase()
      .replaceAll(/[^A-Z0-9]/g, "")
      .replace(/^HMAC/, "")
  ];

/** A name for an app out of a text of any length. */
export function appNameOf(text: string): string {
  // Nothing is joined in front of the first character, and of joiners alone nobody sees anything.
  return cutText(
    withoutControls(text)
      .replace(/^(\s|\u200c|\u200d|\u200f)+/, "")
      .trimEnd(),
    LONGEST_NAME,
  );
}

function whyNoUser(userId: string): string | undefined {
  if (userId.trim() === "") return "is missing";
  if (userId.includes(REPLACED)) return "is not UTF-8";
  if (userId.includes("\0")) return "has a character of the value 0";
  if (userId !== userId.trim()) return "begins or ends with a blank";
  return Buffer.byteLength(userId) > 255 ? "is longer than 255 bytes" : undefined;
}

/** Says of a line why it is no app. */
export const unread = (line: number, field: string, reason: string, userId = ""): Unread => ({
  ...{ line, userId, field, reason },
});

/** Holds what a document claims to the limits that factors are held to. Nothing that codes depend on is guessed. */
export function held(claim: Claim): Read {
  const { line, userId, secret, type } = claim;
  const why = whyNoUser(userId);
  if (why) return unread(line, "user_id", why);
  const no = (field: string, reason: string) => unread(line, field, reason, userId);
  if (type.toLowerCase() !== "totp") return no("type", type === "" ? "is missing" : "not a TOTP");
  if (claim.displayName.includes(REPLACED)) return no("display_name", "is not UTF-8");
  if (typeof secret === "string") return no("secret", secret);
  const seed = claim.algorithm === "" && claim.asksForHash ? SEEDS[secret.length] : undefined;
  if (seed)
    return no("algorithm", `is missing, and a seed of ${secret.length} bytes may be for ${seed}: name the hash`);
  const algorithm = hashOf(claim.algorithm || "SHA1");
  if (!algorithm) return no("algorithm", "is a hash that is not supported: SHA1, SHA256 and SHA512 are");
  const digits = /^[68]$/.test(claim.digits || "6") ? Number(claim.digits || "6") : 0;
  if (!digits) return no("digits", "is a number of digits that is not supported: 6 and 8 are");
  const period = claim.period || "30";
  if (!["15", "30", "60"].includes(period))
    return no("period", "is a period that is not supported: 15, 30 and 60 seconds are");
  return {
    line,
    userId,
    displayName: appNameOf(claim.displayName),
    secret,
    algorithm,
    digits,
    periodSeconds: Number(period),
  };
}

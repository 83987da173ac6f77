import { randomBytes } from "node:crypto";

/** Fresh random bytes for a secret: a seed, a key, a token. */
export const randomSecret = (bytes: number): Buffer => randomBytes(bytes);

/** A bearer id (challenges, tickets, pairing): 128 random bits, base64url. */
export const bearerId = (): string => randomBytes(16).toString("base64url");

import { createHash } from "node:crypto";
import { codeOf } from "../../src/factors/totp/totp-code.ts";

/** How the users of the bench make their codes. */
export const parameters = { algorithm: "sha1", digits: 6, periodSeconds: 30 } as const;

/** The n-th user, whose secret both sides can make: the seeding and the load. */
export const userOf = (n: number): string => `user-${n}`;
/** 160 bits, as the service makes them. */
export const secretOf = (n: number): Buffer => createHash("sha1").update(`bench ${n}`).digest();
/** What the app of the n-th user shows in a time step. */
export const codeAt = (n: number, step: number): string => codeOf(secretOf(n), step, parameters);

import { createHash } from "node:crypto";

/** SHA-256 of a session's id, which stands for the session in the tables; null without one. */
export const sessionDigest = (sessionId: string): Buffer | null =>
  sessionId === "" ? null : createHash("sha256").update(sessionId, "utf8").digest();

/** Whether two digests stand for one thing, or both for none. */
export const isSameDigest = (a: Buffer | null, b: Buffer | null): boolean =>
  a === null || b === null ? a === b : a.equals(b);

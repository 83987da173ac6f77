import { createHash } from "node:crypto";

/** What stands for a session in the tables; null without one. */
export const sessionDigestOf = (sessionId: string): Buffer | null =>
  sessionId === "" ? null : createHash("sha256").update(sessionId, "utf8").digest();

/** Whether two digests stand for one session, or both for none. */
export const isSameSession = (a: Buffer | null, b: Buffer | null): boolean =>
  a === null || b === null ? a === b : a.equals(b);

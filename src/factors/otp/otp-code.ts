import { randomInt } from "node:crypto";

/** A fresh code: every one of the given length as likely as any other. */
export const newCode = (digits: number): string => String(randomInt(10 ** digits)).padStart(digits, "0");

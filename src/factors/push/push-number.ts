import { randomInt } from "node:crypto";

/** A number to be typed in, drawn evenly. */
export const newNumber = (digits: 2 | 6): string => String(randomInt(10 ** digits)).padStart(digits, "0");

import type { IncomingHttpHeaders } from "node:http";

/** The longest that a timer takes; a longer time makes it fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The headers of client deadlines, with their parsers to milliseconds. */
const statedMs: Readonly<Record<string, (text: string) => number>> = {
  "connect-timeout-ms": (text) => (/^\d+$/.test(text) ? Number(text) : 0),
  "grpc-timeout": (text) => {
    const [, digits, unit = ""] = /^(\d{1,8})([HMS])$/.exec(text) ?? [];
    return Number(digits ?? 0) * ({ H: 3_600_000, M: 60_000, S: 1_000 }[unit] ?? 0);
  },
};

/**
 * Removes deadlines beyond a timer's range from a call's headers: grpc-js and Connect would treat them as past. No call
 * lasts as long, so they are as good as none.
 */
export function dropEndlessTimeouts(headers: IncomingHttpHeaders): void {
  for (const [name, read] of Object.entries(statedMs)) {
    const text = headers[name];
    if (typeof text === "string" && read(text) > MAX_TIMER_MS) delete headers[name];
  }
}

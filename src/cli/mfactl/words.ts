import { usage } from "./io.ts";

const SECONDS: Readonly<Record<string, number>> = { w: 604_800, d: 86_400, h: 3_600, m: 60, s: 1 };

/** Reads a duration: "1h30m", "90d", "45s", or ISO 8601 "PT6H"; returns seconds. */
export function secondsOf(text: string): number {
  const plain = /^P/i.test(text) ? text.slice(1).replace(/^T|T/i, "") : text;
  const parts = [...plain.toLowerCase().matchAll(/(\d+(?:\.\d+)?)\s*([wdhms])[a-z]*\s*/g)];
  const isWhole = parts.map(([part]) => part).join("") === plain.toLowerCase() && parts.length > 0;
  if (!isWhole) throw usage(`"${text}" is no duration: write 45s, 30m, 1h30m or 90d`);
  return parts.reduce((sum, [, n, unit = ""]) => sum + Number(n) * (SECONDS[unit] ?? 0), 0);
}

/** Reads an instant: "now", "2h ago", "in 30m", "2026-03-01", or RFC 3339. */
export function instantOf(text: string, now: Date): Date {
  if (text === "now") return now;
  const [, ago] = /^(.+) ago$/.exec(text) ?? [];
  if (ago) return new Date(now.getTime() - secondsOf(ago) * 1000);
  const [, ahead] = /^in (.+)$/.exec(text) ?? [];
  if (ahead) return new Date(now.getTime() + secondsOf(ahead) * 1000);
  const read = /^\d{4}-\d\d-\d\d/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (Number.isNaN(read.getTime())) {
    throw usage(`"${text}" is no time: write now, "2h ago", "in 30m", 2026-03-01 or 2026-03-01T12:00:00Z`);
  }
  return read;
}

const STEPS = Object.entries(SECONDS);

/** Writes seconds as at most two units: "1h 30m", "3d 4h". */
export function durationText(seconds: number): string {
  let left = Math.round(Math.abs(seconds));
  const parts: string[] = [];
  for (const [unit, size] of STEPS) {
    const n = Math.floor(left / size);
    if (n > 0 && parts.length < 2) parts.push(`${n}${unit}`);
    left -= n * size;
  }
  return `${seconds < 0 ? "-" : ""}${parts.join(" ") || "0s"}`;
}

/** Writes an instant with how long ago it was or when it will be: "2026-03-01 12:00:00Z (3h ago)". */
export function instantText(time: Date, now: Date): string {
  const off = (now.getTime() - time.getTime()) / 1000;
  const [size] = durationText(Math.abs(off)).split(" ");
  const relative = off >= 0 ? `${size} ago` : `in ${size}`;
  return `${time
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d+Z$/, "Z")} (${relative})`;
}

/** "userId" or "user_id" as the command line has it: "user-id". */
export const kebab = (name: string): string =>
  name
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .replaceAll("_", "-")
    .toLowerCase();

/** "WebAuthn", "MfaStatus" and the like: the name of an RPC as a verb. "GetUserTotp" is "get-user-totp". */
export const verbOf = (name: string): string =>
  name
    .replaceAll("WebAuthn", "Webauthn")
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase();

import type { IssuerSettings } from "../config/issuer-settings.ts";
import { databaseTime } from "../db/database-time.ts";
import type { Store } from "../db/store.ts";

/** From here on codes and tokens are refused that are good: an app's code lives 30 seconds, a token's clocks may differ by 5. */
const OFF_MS = 5_000;
/** The `Date` header has whole seconds, and was written some time ago. */
const COARSE_MS = 2_000;
const TIMEOUT_MS = 5_000;

/** How far the clock of this machine is from another. */
export interface ClockLook {
  /** Whose clock it was compared with. */
  readonly against: string;
  /** Positive where ours is ahead. */
  readonly offMs: number;
  /** What is wrong; undefined while both agree. */
  readonly fault: string | undefined;
}

/** Compares two clocks; what the comparison itself took counts for nobody. */
export function judgeClock(against: string, ours: { before: number; after: number }, theirs: number): ClockLook {
  const off = theirs < ours.before ? ours.before - theirs : theirs > ours.after ? ours.after - theirs : 0;
  const seconds = Math.round(Math.abs(off) / 1000);
  const words = `the clock of this machine is ${seconds} s ${off > 0 ? "ahead of" : "behind"} that of ${against}`;
  const isOff = Math.abs(off) > OFF_MS;
  return { against, offMs: off, fault: isOff ? `${words}: let both follow one time server (NTP)` : undefined };
}

/** Compares the clock with that of PostgreSQL; SQLite has none of its own. */
export async function lookAtDatabaseClock(store: Store, clock = () => new Date()): Promise<ClockLook | undefined> {
  if (store.engine === "sqlite") return undefined;
  const before = clock().getTime();
  const theirs = await store.read(databaseTime(store));
  return judgeClock("PostgreSQL", { before, after: clock().getTime() }, theirs.getTime());
}

const urlOf = ({ jwksUrl, discovery, issuer }: IssuerSettings) => jwksUrl ?? (discovery ? issuer : undefined);

/** Compares the clock with the `Date` header of an issuer whose keys are fetched; undefined where it says no time. */
export async function lookAtIssuerClock(
  issuer: IssuerSettings,
  clock = () => new Date(),
): Promise<ClockLook | undefined> {
  const url = urlOf(issuer);
  if (url === undefined) return undefined;
  const before = clock().getTime();
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const answer = await fetch(url, { method: "HEAD", redirect: "manual", signal }).catch(() => undefined);
  const theirs = Date.parse(answer?.headers.get("date") ?? "");
  if (Number.isNaN(theirs)) return undefined;
  const ours = { before: before - COARSE_MS, after: clock().getTime() + COARSE_MS };
  return judgeClock(`the issuer ${issuer.issuer}`, ours, theirs);
}

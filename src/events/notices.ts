import type { Call } from "../core/call.ts";
import type { Owner, Tx } from "../db/store.ts";
import { enqueue, enqueueAll, type Message } from "../outbox/outbox.ts";
import type { EventRow } from "./events.repository.ts";

/** Notices that sum up several events. */
export type Summary = "FACTORS_IMPORTED" | "PUSH_DENIED_TWICE";

/** Events that users are notified of at every verified address (NIST SP 800-63B-4 §4.6), with the template's name. */
const notices: Partial<Record<EventRow["type"] | Summary, string>> = {
  FACTOR_ENROLLED: "factor_added",
  FACTOR_UPDATED: "factor_changed",
  FACTOR_ENABLED: "factor_enabled",
  FACTOR_DISABLED: "factor_disabled",
  FACTOR_REMOVED: "factor_removed",
  FACTOR_RESET: "factor_reset",
  // One notice for an import of any size; each factor is an event, FACTOR_IMPORTED.
  FACTORS_IMPORTED: "factors_imported",
  BACKUP_CODES_GENERATED: "backup_codes_generated",
  BACKUP_CODES_LOW: "backup_codes_low",
  BACKUP_CODES_EXHAUSTED: "backup_codes_exhausted",
  PUSH_DENIED_TWICE: "push_denied_twice",
  PUSH_REPORTED: "push_reported",
  USER_LOCKED: "user_locked",
  USER_UNLOCKED: "user_unlocked",
  USER_RESET: "user_reset",
  DEVICE_TRUSTED: "device_trusted",
  DEVICE_TRUST_STOLEN: "device_trust_stolen",
  CLONE_SUSPECTED: "clone_suspected",
  TEMPORARY_PASS_ISSUED: "temporary_pass_issued",
};

/** Notices are retried for as long as a user may be without a working address. */
const WORTH_KNOWING_MS = 3 * 24 * 3600 * 1000;

/** A notice to a user. */
export interface Notable {
  readonly owner: Owner;
  readonly type: EventRow["type"] | Summary;
  readonly factorType: EventRow["factorType"];
  /** At most one notice is sent for each key. Defaults to a unique one. */
  readonly key?: string;
  /** Factors whose addresses do not get the notice. */
  readonly except?: readonly string[];
}

/** Enqueues the notice to a user, for events that users are notified of. Addresses are looked up at delivery. */
export async function enqueueNotice(tx: Tx, { now }: Call, notable: Notable): Promise<void> {
  for (const message of messagesOf(now, notable)) await enqueue(tx, now, message);
}

/** Enqueues the notices to many users, in few statements. */
export const enqueueNotices = (tx: Tx, { now }: Call, notables: readonly Notable[]): Promise<void> =>
  enqueueAll(
    tx,
    now,
    notables.flatMap((notable) => messagesOf(now, notable)),
  );

/** Returns the notice of an event; undefined where users are not notified of it. */
function messagesOf(now: Date, { owner, type, factorType, key, except }: Notable): Message[] {
  const kind = notices[type];
  if (kind === undefined) return [];
  return [
    {
      ...{ owner, channel: "notice", kind },
      data: { factorType, time: now.toISOString(), ...(except && { except }) },
      expireTime: new Date(now.getTime() + WORTH_KNOWING_MS),
      ...(key !== undefined && { idempotencyKey: key }),
    },
  ];
}

import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import type { Tx } from "../db/store.ts";
import { enqueue } from "../outbox/outbox.ts";
import type { EventRow } from "./events.repository.ts";

/** What users are told of that is no event by itself: what several come to. */
export type Summary = "FACTORS_IMPORTED" | "PUSH_DENIED_TWICE";

/** What users are told of, wherever they proved to receive (NIST SP 800-63B-4 §4.6): by the name of the template. */
const notices: Partial<Record<EventRow["type"] | Summary, string>> = {
  FACTOR_ENROLLED: "factor_added",
  FACTOR_UPDATED: "factor_changed",
  FACTOR_ENABLED: "factor_enabled",
  FACTOR_DISABLED: "factor_disabled",
  FACTOR_REMOVED: "factor_removed",
  FACTOR_RESET: "factor_reset",
  // Once an import, however many it brought: each of them is an event, FACTOR_IMPORTED.
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

/** As long as somebody may be without a working address and still want to know. */
const WORTH_KNOWING_MS = 3 * 24 * 3600 * 1000;

/** Something that a user may be told of. */
export interface Notable {
  readonly owner: Owner;
  readonly type: EventRow["type"] | Summary;
  readonly factorType: EventRow["factorType"];
  /** One notice a key. Defaults to one of its own. */
  readonly key?: string;
  /** The factors whose addresses are not told. */
  readonly except?: readonly string[];
}

/** Tells a user, if it is something that users are told of. Their addresses are looked up when it is delivered. */
export async function enqueueNotice(tx: Tx, { now }: Call, notable: Notable): Promise<void> {
  const { owner, type, factorType, key, except } = notable;
  const kind = notices[type];
  if (kind === undefined) return;
  await enqueue(tx, now, {
    ...{ owner, channel: "notice", kind },
    data: { factorType, time: now.toISOString(), ...(except && { except }) },
    expireTime: new Date(now.getTime() + WORTH_KNOWING_MS),
    ...(key !== undefined && { idempotencyKey: key }),
  });
}

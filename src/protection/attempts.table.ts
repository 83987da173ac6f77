import { isNotNull, sql } from "drizzle-orm";
import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/**
 * The counters of attempts: "typed-code" for every code that a person types, of any factor; "webauthn" for passkeys and
 * security keys, which stay usable while typed codes are locked.
 */
export type Counter = "typed-code" | "webauthn";

/** Failed attempts of a user, across sessions, RPCs and instances, and the lock that they caused. */
export const attempts = (d: Dialect) =>
  d.table(
    "attempts",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      counter: d.text("counter").$type<Counter>().notNull(),
      /** A UUIDv7, for the places of pages. */
      countId: d.text("count_id").notNull().default(""),
      /** Attempts reserved since the last success or lock. */
      failures: d.integer("failures").notNull(),
      /** Attempts reserved since the last success, across locks. */
      consecutiveFailures: d.integer("consecutive_failures").notNull().default(0),
      /** Locks since the last success; each is longer than the one before. */
      locks: d.integer("locks").notNull(),
      /** A mark for each failure of the last day (`lock-rules.ts`); a success removes its own. */
      recent: d.text("recent").notNull().default(""),
      /** Until when the user is locked; null without. The first attempt after it ends the lock. */
      lockExpireTime: d.instant("lock_expire_time"),
      /** When failures last locked the user; kept after the lock's end, for challenges that were open when it began. */
      lockTime: d.instant("lock_time"),
      /** When the last attempt was counted; during a lock, when the lock began. */
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.counter] }),
      d.index("attempts_by_lock").on(t.tenantId, t.lockExpireTime).where(isNotNull(t.lockExpireTime)),
      /** Counts of nothing, for the task that deletes them; a counted attempt is not in it. */
      d.index("attempts_by_end").on(t.updateTime).where(sql`${t.failures} = 0 and ${t.consecutiveFailures} = 0`),
    ],
  );

const counted = "counted by statements that read nothing; an older count is the row's earlier state, a newer one locks";

bindRows(attempts, ["tenantId", "userId", "counter", "lockExpireTime"], {
  countId: "the place in lists",
  failures: counted,
  consecutiveFailures: counted,
  locks: counted,
  recent: counted,
  lockTime: "what was open before a lock: an older one, or none, is the row's earlier state",
  updateTime: "when a lock began: it is asked where the clock was set back, and a lock lasts no longer by it",
});

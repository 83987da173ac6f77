import { isNotNull } from "drizzle-orm";
import type { Dialect } from "../db/dialect.ts";

/**
 * What attempts are counted together: "typed-code" for every code that a person types, whatever the factor; "webauthn"
 * for passkeys and security keys, which stay usable while typed codes are locked.
 */
export type Counter = "typed-code" | "webauthn";

/** Failed attempts of a user, across sessions, RPCs and instances, and the lock they led to. */
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
      /** A mark for each failure of the last day, as `lock-rules.ts` writes them; a success takes back its own. */
      recent: d.text("recent").notNull().default(""),
      lockExpireTime: d.instant("lock_expire_time"),
      /** When failures last locked the user; kept after the lock ended, for what was open when it began. */
      lockTime: d.instant("lock_time"),
      /** Of the last attempt that was counted; while the user is locked, when that began. */
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.counter] }),
      d.index("attempts_by_lock").on(t.tenantId, t.lockExpireTime).where(isNotNull(t.lockExpireTime)),
    ],
  );

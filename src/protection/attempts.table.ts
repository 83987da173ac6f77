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
      /** Attempts reserved since the last success or lock. */
      failures: d.integer("failures").notNull(),
      /** Locks since the last success; each is longer than the one before. */
      locks: d.integer("locks").notNull(),
      lockExpireTime: d.instant("lock_expire_time"),
      updateTime: d.instant("update_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId, t.counter] })],
  );

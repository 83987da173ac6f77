import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** Something that was seen, and when last. */
export interface Seen {
  /** A peppered digest, or a country. */
  readonly key: string;
  /** Milliseconds. */
  readonly time: number;
}

/** What log-ins of a user looked like. */
export interface History {
  readonly devices: readonly Seen[];
  readonly networks: readonly Seen[];
  readonly countries: readonly Seen[];
  /** Where the user was last, as far as that is known, and when. */
  readonly last: { readonly point: readonly [latitude: number, longitude: number]; readonly time: number } | null;
}

/** What log-ins of a user looked like that went through, to tell what is new. */
export const riskHistories = (d: Dialect) =>
  d.table(
    "risk_histories",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      history: d.json<History>("history").notNull(),
      /** Of the last log-in. */
      lastTime: d.instant("last_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId] }), d.index("risk_histories_by_time").on(t.lastTime)],
  );

bindRows(riskHistories, ["tenantId", "userId", "history", "lastTime"], {}, { broken: "absent" });

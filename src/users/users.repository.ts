import { sql } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { users } from "./users.table.ts";

const upsert = (step: 0 | 1) =>
  statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(users);
    const updateTime = s.param("now", t.updateTime);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        mfaEpoch: step,
        updateTime,
      })
      .onConflictDoUpdate({
        target: [t.tenantId, t.userId],
        set: { mfaEpoch: sql`${t.mfaEpoch} + ${step}`, updateTime },
      })
      .returning({ mfaEpoch: t.mfaEpoch });
  });

const statements = { serialise: upsert(0), bumpEpoch: upsert(1) };

/** The user's own row. */
export const userRepository = (tx: Tx) => ({
  /** Makes concurrent units of this user wait for each other: run it first where several statements must agree. */
  serialise: (owner: Owner, now: Date) => tx.run(statements.serialise, { ...owner, now }),
  /** Marks a change of the user's factors. */
  bumpEpoch: (owner: Owner, now: Date) => tx.run(statements.bumpEpoch, { ...owner, now }),
});

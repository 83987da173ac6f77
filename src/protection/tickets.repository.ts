import { and, eq, isNull, lte } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { isOwnedBy } from "../db/owned.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { tickets } from "./tickets.table.ts";

/** A ticket as it is stored. */
export type TicketRow = ReturnType<typeof tickets>["$inferSelect"];

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(tickets));

const statements = {
  insert: statement((s: Building<TicketRow>) => {
    const t = s.table(tickets);
    return s.db.insert(t).values(s.row(t)).returning({ expireTime: t.expireTime });
  }),
  find: statement((s: Building<{ digest: Buffer }>) => {
    const t = s.table(tickets);
    return s.db
      .select()
      .from(t)
      .where(eq(t.digest, s.param("digest", t.digest)));
  }),
  spendAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(tickets);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isOwners(s), isNull(t.spendTime)))
      .returning({ userId: t.userId });
  }),
  deleteExpired: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(tickets);
    return s.db
      .delete(t)
      .where(and(isOwners(s), lte(t.expireTime, s.param("now", t.expireTime))))
      .returning({ userId: t.userId });
  }),
};

/** The tickets that were given out. */
export const ticketRepository = (tx: Tx) => ({
  insert: (ticket: TicketRow) => tx.run(statements.insert, ticket),
  find: async (digest: Buffer) => (await tx.run(statements.find, { digest }))[0],
  /** Ends every ticket of a user. */
  spendAll: (owner: Owner, now: Date) => tx.run(statements.spendAll, { ...owner, now }),
  deleteExpired: (owner: Owner, now: Date) => tx.run(statements.deleteExpired, { ...owner, now }),
});

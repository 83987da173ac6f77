import { and, isNull } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { all, hasExpired, having } from "../db/conditions.ts";
import { deleteRows, insert, select } from "../db/rows.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { tickets } from "./tickets.table.ts";

/** A ticket as it is stored. */
export type TicketRow = ReturnType<typeof tickets>["$inferSelect"];

const isOwners = having(tickets, "tenantId", "userId");

const statements = {
  insert: insert(tickets),
  find: select(tickets, having(tickets, "digest")),
  spendAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(tickets);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isOwners(s), isNull(t.spendTime)))
      .returning({ userId: t.userId });
  }),
  deleteExpired: deleteRows(tickets, all(isOwners, hasExpired(tickets))),
};

/** The tickets that were given out. */
export const ticketRepository = (tx: Tx) => ({
  insert: (ticket: TicketRow) => tx.run(statements.insert, ticket),
  find: async (digest: Buffer) => (await tx.run(statements.find, { digest }))[0],
  /** Ends every ticket of a user. */
  spendAll: (owner: Owner, now: Date) => tx.run(statements.spendAll, { ...owner, now }),
  deleteExpired: (owner: Owner, now: Date) => tx.run(statements.deleteExpired, { ...owner, now }),
});

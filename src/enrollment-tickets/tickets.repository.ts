import { and, isNull } from "drizzle-orm";
import type { RowOf } from "../db/bound-rows.ts";
import { hasExpired, whereAll, whereEquals } from "../db/conditions.ts";
import { deleteRows, insert, select } from "../db/rows.ts";
import { isOfUsers, runForAll, type SetOfUsers, type Users } from "../db/sets.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { tickets } from "./tickets.table.ts";

/** A ticket as it is stored. */
export type TicketRow = RowOf<typeof tickets>;

const isOwners = whereEquals(tickets, "tenantId", "userId");

const statements = {
  insert: insert(tickets),
  find: select(tickets, whereEquals(tickets, "digest")),
  spendAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(tickets);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isOwners(s), isNull(t.spendTime)))
      .returning({ userId: t.userId });
  }),
  spendAllOf: statement((s: Building<SetOfUsers & { now: Date }>) => {
    const t = s.table(tickets);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isOfUsers(tickets)(s as Building<SetOfUsers>), isNull(t.spendTime)))
      .returning({ userId: t.userId });
  }),
  deleteExpired: deleteRows(tickets, whereAll(isOwners, hasExpired(tickets))),
};

/** The issued tickets. */
export const ticketRepository = (tx: Tx) => ({
  insert: (ticket: TicketRow) => tx.run(statements.insert, ticket),
  find: async (digest: Buffer) => (await tx.run(statements.find, { digest }))[0],
  /** Ends every ticket of a user. */
  spendAll: (owner: Owner, now: Date) => tx.run(statements.spendAll, { ...owner, now }),
  /** Ends every ticket of many users. */
  spendAllOf: ({ tenantId, userIds }: Users, now: Date) =>
    runForAll(tx, statements.spendAllOf, userIds, { tenantId, now }),
  deleteExpired: (owner: Owner, now: Date) => tx.run(statements.deleteExpired, { ...owner, now }),
});

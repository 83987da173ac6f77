import { and, asc, desc, eq, isNotNull, lte, or, sql } from "drizzle-orm";
import { type RowOf, reading, writing } from "../db/bound-rows.ts";
import { deleteEnded } from "../db/ended.ts";
import { before, type PageParams, type Position, pagedBack, slice } from "../db/page.ts";
import { insertSet } from "../db/sets.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { type Channel, outboxMessages } from "./outbox.table.ts";

/** A row of the table. */
export type OutboxRow = RowOf<typeof outboxMessages>;

type Key = { tenantId: string; messageId: string };
type Leased = Key & { leaseId: string };
type Due = { channel: Channel; now: Date; limit: number };
type Lease = Leased & { now: Date; leaseExpireTime: Date };
type Settlement = Leased & Pick<OutboxRow, "state" | "provider" | "lastError" | "sealedContent"> & { now: Date };
type Receipt = { tenantId: string } & Pick<OutboxRow, "idempotencyKey" | "state" | "provider" | "lastError"> & {
    now: Date;
  };
type Retry = Leased & { nextAttemptTime: Date; lastError: string; now: Date };
/** A filter of a tenant's messages; an empty user or no channel means all. */
type Kept = { tenantId: string; userId: string; channels: readonly string[] };
type KeptParams = { tenantId: string; userId: string; first: string; second: string; third: string; fourth: string };

const isMessage = (s: Building<Key>) => {
  const t = s.table(outboxMessages);
  return and(eq(t.tenantId, s.param("tenantId", t.tenantId)), eq(t.messageId, s.param("messageId", t.messageId)));
};

/** The attempt under this lease, unless the lease has expired and another attempt has started. */
const isAttempt = (s: Building<Leased>) => {
  const t = s.table(outboxMessages);
  return and(isMessage(s), eq(t.state, "queued"), eq(t.leaseId, s.param("leaseId", t.leaseId)));
};

const insertAll = insertSet<ReturnType<typeof outboxMessages>, OutboxRow>(outboxMessages, { ifNew: true });

const statements = {
  insert: writing(
    outboxMessages,
    statement((s: Building<OutboxRow>) => {
      const t = s.table(outboxMessages);
      return s.db
        .insert(t)
        .values(s.row(t))
        .onConflictDoNothing({ target: [t.tenantId, t.idempotencyKey] })
        .returning({ messageId: t.messageId });
    }),
  ),
  find: statement((s: Building<Key & { userId: string }>) => {
    const t = s.table(outboxMessages);
    return s.db
      .select()
      .from(t)
      .where(and(isMessage(s), eq(t.userId, s.param("userId", t.userId))));
  }),
  listDue: statement((s: Building<Due>) => {
    const t = s.table(outboxMessages);
    return s.db
      .select({ tenantId: t.tenantId, messageId: t.messageId })
      .from(t)
      .where(
        and(
          eq(t.state, "queued"),
          eq(t.channel, s.param("channel", t.channel)),
          lte(t.nextAttemptTime, s.param("now", t.nextAttemptTime)),
        ),
      )
      .orderBy(asc(t.nextAttemptTime))
      .limit(s.limit("limit"));
  }),
  lease: reading(
    outboxMessages,
    statement((s: Building<Lease>) => {
      const t = s.table(outboxMessages);
      return s.db
        .update(t)
        .set({
          attempts: sql`${t.attempts} + 1`,
          leaseId: s.param("leaseId", t.leaseId),
          nextAttemptTime: s.param("leaseExpireTime", t.nextAttemptTime),
        })
        .where(and(isMessage(s), eq(t.state, "queued"), lte(t.nextAttemptTime, s.param("now", t.nextAttemptTime))))
        .returning() as PromiseLike<OutboxRow[]>;
    }),
  ),
  release: statement((s: Building<{ now: Date }>) => {
    const t = s.table(outboxMessages);
    return s.db
      .update(t)
      .set({ leaseId: null, nextAttemptTime: s.param("now", t.nextAttemptTime) })
      .where(and(eq(t.state, "queued"), isNotNull(t.leaseId)))
      .returning({ messageId: t.messageId });
  }),
  settle: statement((s: Building<Settlement>) => {
    const t = s.table(outboxMessages);
    return s.db
      .update(t)
      .set({
        state: s.param("state", t.state),
        provider: s.param("provider", t.provider),
        lastError: s.param("lastError", t.lastError),
        sealedContent: s.param("sealedContent", t.sealedContent),
        leaseId: null,
        updateTime: s.param("now", t.updateTime),
      })
      .where(isAttempt(s))
      .returning({ messageId: t.messageId });
  }),
  // A report may come before the attempt that it is about is settled; what was reported stays then.
  noteReceipt: statement((s: Building<Receipt>) => {
    const t = s.table(outboxMessages);
    const isTaken = or(
      and(eq(t.state, "sent"), eq(t.provider, s.param("provider", t.provider))),
      and(eq(t.state, "queued"), isNotNull(t.leaseId)),
    );
    return s.db
      .update(t)
      .set({
        state: s.param("state", t.state),
        provider: s.param("provider", t.provider),
        lastError: s.param("lastError", t.lastError),
        sealedContent: null,
        leaseId: null,
        updateTime: s.param("now", t.updateTime),
      })
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          eq(t.idempotencyKey, s.param("idempotencyKey", t.idempotencyKey)),
          isTaken,
        ),
      )
      .returning();
  }),
  retry: statement((s: Building<Retry>) => {
    const t = s.table(outboxMessages);
    return s.db
      .update(t)
      .set({
        nextAttemptTime: s.param("nextAttemptTime", t.nextAttemptTime),
        lastError: s.param("lastError", t.lastError),
        leaseId: null,
        updateTime: s.param("now", t.updateTime),
      })
      .where(isAttempt(s))
      .returning({ messageId: t.messageId });
  }),
  withdraw: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(outboxMessages);
    return s.db
      .update(t)
      .set({ state: "expired", sealedContent: null, leaseId: null, updateTime: s.param("now", t.updateTime) })
      .where(and(isMessage(s), eq(t.state, "queued")))
      .returning({ messageId: t.messageId });
  }),
  listKept: statement((s: Building<KeptParams & PageParams>) => {
    const t = s.table(outboxMessages);
    const userId = s.param("userId", t.userId);
    const [first, second] = [s.param("first", t.kind), s.param("second", t.kind)];
    const [third, fourth] = [s.param("third", t.kind), s.param("fourth", t.kind)];
    return s.db
      .select()
      .from(t)
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          isNotNull(t.sealedContent),
          or(sql`${userId} = ''`, eq(t.userId, userId)),
          or(sql`${first} = ''`, sql`${t.channel} in (${first}, ${second}, ${third}, ${fourth})`),
          before(s, t.createTime, t.messageId),
        ),
      )
      .orderBy(desc(t.createTime), desc(t.messageId))
      .limit(s.limit("limit"));
  }),
  purge: deleteEnded(outboxMessages, "updateTime", (t) => sql`${t.state} <> 'queued'`),
};

/** Messages on their way. */
export const outboxRepository = (tx: Tx) => ({
  /** Adds messages but those whose keys are there. */
  insertAll: (rows: readonly OutboxRow[]) => insertAll(tx, rows),
  /** Adds a message; false when there is one of its key already. */
  insert: async (row: OutboxRow) => (await tx.run(statements.insert, row)).length === 1,
  find: async (owner: Owner, messageId: string) => (await tx.run(statements.find, { ...owner, messageId }))[0],
  /** What a worker may try to lease, longest due first. */
  listDue: (due: Due) => tx.run(statements.listDue, due),
  /**
   * Begins an attempt: the message, for exactly one of any number of workers; undefined for the others. A message that
   * somebody else wrote or altered has failed by this.
   */
  async lease({ now, leaseExpireTime, ...leased }: Lease): Promise<OutboxRow | undefined> {
    const [row] = await tx.run(statements.lease, { ...leased, now, leaseExpireTime });
    if (row) return row;
    const failed = { state: "failed", provider: "", lastError: "DATA_TAMPERED", sealedContent: null } as const;
    await tx.run(statements.settle, { ...leased, ...failed, now });
    return undefined;
  },
  /** Ends every lease at once: for a store that no other process can be working on. */
  release: (now: Date) => tx.run(statements.release, { now }),
  /** Ends a message. False when the lease was lost meanwhile; then another attempt decides. */
  settle: async (settlement: Settlement) => (await tx.run(statements.settle, settlement)).length === 1,
  /** Notes what a provider reports of a message that it took, once; undefined where there is nothing to note it of. */
  noteReceipt: async (receipt: Receipt) => (await tx.run(statements.noteReceipt, receipt))[0],
  /** Puts a message back until later. */
  retry: async (retry: Retry) => (await tx.run(statements.retry, retry)).length === 1,
  /** Keeps a message that is not sent yet from being sent, and forgets what it holds. */
  withdraw: (key: Key, now: Date) => tx.run(statements.withdraw, { ...key, now }),
  /** A page of the messages that still hold their content, newest first. */
  listKept: async ({ channels, ...of }: Kept, { position, size }: { position: Position; size: number }) => {
    const [first = "", second = "", third = "", fourth = ""] = channels;
    const named = { first, second, third, fourth };
    const rows = await tx.run(statements.listKept, { ...of, ...named, ...pagedBack(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.messageId }));
  },
  /** Forgets some messages that were settled before then; says how many. */
  purge: async (before: Date, limit: number) => (await tx.run(statements.purge, { before, limit })).length,
});

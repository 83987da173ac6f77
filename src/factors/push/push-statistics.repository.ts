import { and, asc, eq, lt, sql } from "drizzle-orm";
import { whereEquals } from "../../db/conditions.ts";
import { after, type PageParams, pageParams, START, slice } from "../../db/page.ts";
import type { PageAsked } from "../../db/rows.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { pushBlocks, pushChallenges } from "./push.table.ts";
import type { Window } from "./push-challenges.repository.ts";

/** A page begins where the window does: a second bound on the time would be the one that is looked for in the index. */
type Ending = Omit<Window, "start">;

const isOfTenant = whereEquals(pushChallenges, "tenantId");
const paramsOf = ({ start, ...window }: Window, { position, size }: PageAsked) => ({
  ...window,
  ...pageParams(position.id === START.id ? { time: start, id: "" } : position, size),
});

const statements = {
  /** Only what is counted of each, in the order of an index: a page takes as long however many there are. */
  list: statement((s: Building<Ending & PageParams>) => {
    const t = s.table(pushChallenges);
    const { state, denyReason, createTime, rowId, expireTime, answerMs } = t;
    return s.db
      .select({ state, denyReason, createTime, rowId, expireTime, answerMs })
      .from(t)
      .where(and(isOfTenant(s), lt(createTime, s.param("end", createTime)), after(s, createTime, rowId)))
      .orderBy(asc(createTime), asc(rowId))
      .limit(s.limit("limit"));
  }),
  block: statement((s: Building<Owner & { hour: Date }>) => {
    const t = s.table(pushBlocks);
    return s.db
      .insert(t)
      .values({
        tenantId: s.param("tenantId", t.tenantId),
        userId: s.param("userId", t.userId),
        hour: s.param("hour", t.hour),
        count: 1,
      })
      .onConflictDoUpdate({ target: [t.tenantId, t.userId, t.hour], set: { count: sql`${t.count} + 1` } })
      .returning({ count: t.count });
  }),
  listBlocks: statement((s: Building<Ending & PageParams>) => {
    const t = s.table(pushBlocks);
    return s.db
      .select({ hour: t.hour, userId: t.userId, count: t.count })
      .from(t)
      .where(
        and(
          eq(t.tenantId, s.param("tenantId", t.tenantId)),
          lt(t.hour, s.param("end", t.hour)),
          after(s, t.hour, t.userId),
        ),
      )
      .orderBy(asc(t.hour), asc(t.userId))
      .limit(s.limit("limit"));
  }),
};

const HOUR_MS = 3_600_000;

/** What of requests is counted. */
export const pushStatisticsRepository = (tx: Tx) => ({
  /** A page of a window's requests, oldest first, with what is counted of them. */
  list: async (window: Window, page: PageAsked) => {
    const rows = await tx.run(statements.list, paramsOf(window, page));
    return slice(rows, page.size, ({ createTime: time, rowId: id }) => ({ time, id }));
  },
  /** Counts a request that the limits refused; returns how many of this user's this hour. */
  block: async (owner: Owner, now: Date) => {
    const hour = new Date(Math.floor(now.getTime() / HOUR_MS) * HOUR_MS);
    return (await tx.run(statements.block, { ...owner, hour }))[0]?.count ?? 0;
  },
  /** A page of the hours that begin in a window and in which the limits refused requests, by user. */
  listBlocks: async (window: Window, page: PageAsked) => {
    const rows = await tx.run(statements.listBlocks, paramsOf(window, page));
    return slice(rows, page.size, ({ hour: time, userId: id }) => ({ time, id }));
  },
});

import { and, eq, gt, gte, inArray, ne, or } from "drizzle-orm";
import { type RowOf, reading, rewriting, type WithMac } from "../../db/bound-rows.ts";
import { whereAll, whereEquals, whereIn } from "../../db/conditions.ts";
import { deleteRows, insert, select, setParams } from "../../db/rows.ts";
import { insertSet, selectOfUsers, type Users } from "../../db/sets.ts";
import { isInSpan, type UserSpan } from "../../db/span.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import type { ChannelName } from "./channels.ts";
import { type OtpAddressState, otpAddresses } from "./otp.table.ts";

/** A row of the table. */
export type OtpAddressRow = RowOf<typeof otpAddresses>;

type Of = Owner & { channel: ChannelName };
type Key = Owner & { factorId: string };

const isOf = whereEquals(otpAddresses, "tenantId", "userId", "channel");
const isAddress = whereEquals(otpAddresses, "tenantId", "userId", "factorId");
const is = (...states: [OtpAddressState, ...OtpAddressState[]]) => whereIn(otpAddresses, "state", ...states);
const oldestFirst = { time: "createTime", id: "factorId" } as const;

/** In use, or pending and not yet forgotten: expiry holds here, whenever the clean-up comes by. */
const isLive = (s: Building<{ now: Date }>) => {
  const t = s.table(otpAddresses);
  return or(
    inArray(t.state, ["active", "disabled"]),
    and(eq(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime))),
  );
};

/** In use, or taken out of force then or later. */
const wasProven = (s: Building<{ since: Date }>) => {
  const t = s.table(otpAddresses);
  return or(
    inArray(t.state, ["active", "disabled"]),
    and(eq(t.state, "former"), gte(t.updateTime, s.param("since", t.updateTime))),
  );
};

const statements = {
  listHoldings: statement((s: Building<UserSpan & { channel: ChannelName }>) => {
    const t = s.table(otpAddresses);
    const { userId, country, masked } = t;
    const isHeld = and(isInSpan(s, t), eq(t.channel, s.param("channel", t.channel)), eq(t.state, "active"));
    return s.db.select({ userId, country, masked }).from(t).where(isHeld);
  }),
  insert: insert(otpAddresses),
  list: select(otpAddresses, whereAll(isOf, isLive), oldestFirst),
  listActive: select(otpAddresses, whereAll(isOf, is("active"))),
  find: select(otpAddresses, isAddress),
  listTold: select(otpAddresses, whereAll(whereEquals(otpAddresses, "tenantId", "userId"), wasProven), oldestFirst),
  deletePending: deleteRows(otpAddresses, whereAll(isOf, is("pending"))),
  retire: statement((s: Building<Of & { now: Date; expireTime: Date }>) => {
    const t = s.table(otpAddresses);
    return s.db
      .update(t)
      .set({
        state: "former",
        updateTime: s.param("now", t.updateTime),
        expireTime: s.param("expireTime", t.expireTime),
      })
      .where(and(isOf(s), inArray(t.state, ["active", "disabled"])))
      .returning({ factorId: t.factorId });
  }),
  activate: rewriting(
    otpAddresses,
    statement((s: Building<WithMac<Of & Key & { verifyTime: Date }>>) => {
      const t = s.table(otpAddresses);
      const now = s.param("verifyTime", t.updateTime);
      return s.db
        .update(t)
        .set({
          state: "active",
          ...setParams(s, t, "verifyTime", "boundMac"),
          lastUseTime: now,
          updateTime: now,
          expireTime: null,
        })
        .where(
          and(isOf(s), isAddress(s), eq(t.state, "pending"), gt(t.expireTime, s.param("verifyTime", t.expireTime))),
        )
        .returning();
    }),
  ),
  setState: reading(
    otpAddresses,
    statement((s: Building<Of & { state: OtpAddressState; now: Date }>) => {
      const t = s.table(otpAddresses);
      const state = s.param("state", t.state);
      return s.db
        .update(t)
        .set({ state, updateTime: s.param("now", t.updateTime) })
        .where(and(isOf(s), inArray(t.state, ["active", "disabled"]), ne(t.state, state)))
        .returning();
    }),
  ),
  use: reading(
    otpAddresses,
    statement((s: Building<Key & { now: Date }>) => {
      const t = s.table(otpAddresses);
      return s.db
        .update(t)
        .set({ lastUseTime: s.param("now", t.lastUseTime) })
        .where(and(isAddress(s), eq(t.state, "active")))
        .returning();
    }),
  ),
};

const insertAll = insertSet<ReturnType<typeof otpAddresses>, OtpAddressRow>(otpAddresses);
const listOf = selectOfUsers(
  otpAddresses,
  whereAll(whereEquals(otpAddresses, "channel"), is("pending", "active", "disabled")),
);

/** Numbers and addresses of a user. Those no longer in force appear in `find` and `listTold` only. */
export const otpAddressRepository = (tx: Tx) => ({
  /** Those in force of many users, as far as settings look at them. */
  listHoldings: (span: UserSpan, channel: ChannelName) => tx.run(statements.listHoldings, { ...span, channel }),
  insert: (row: OtpAddressRow) => tx.run(statements.insert, row),
  insertAll: (rows: readonly OtpAddressRow[]) => insertAll(tx, rows),
  /** Those in use of many users, and pending ones, whether they have expired or not. */
  listOf: (users: Users, channel: ChannelName) => listOf(tx, users, { channel }),
  /** Those in use, and a pending one that has not expired: at most one of each. */
  list: (of: Of, now: Date) => tx.run(statements.list, { ...of, now }),
  /** The same without a pending one: the one in use, active or disabled. */
  listInUse: async (of: Of, now: Date) =>
    (await tx.run(statements.list, { ...of, now })).filter(({ state }) => state !== "pending"),
  /** The one in force. */
  listActive: (of: Of) => tx.run(statements.listActive, of),
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  /** Where notices go: proven, and those taken out of force then or later. */
  listTold: (owner: Owner, since: Date) => tx.run(statements.listTold, { ...owner, since }),
  deletePending: (of: Of) => tx.run(statements.deletePending, of),
  /** Takes those in use out of force; they are forgotten at `expireTime`. */
  retire: (of: Of, now: Date, expireTime: Date) => tx.run(statements.retire, { ...of, now, expireTime }),
  /** Puts a pending one in force; undefined when it is pending no more. */
  activate: async (key: Of & Key, verifyTime: Date) => (await tx.run(statements.activate, { ...key, verifyTime }))[0],
  /** Changes between active and disabled; undefined when it is so already, or there is none. */
  setState: async (of: Of, state: "active" | "disabled", now: Date) =>
    (await tx.run(statements.setState, { ...of, state, now }))[0],
  /** Notes a use; undefined when it is not in force any more. */
  use: async (key: Key, now: Date) => (await tx.run(statements.use, { ...key, now }))[0],
});

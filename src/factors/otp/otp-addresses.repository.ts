import { and, eq, gt, gte, inArray, ne, or } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { all, being, having } from "../../db/conditions.ts";
import { deleteRows, insert, select } from "../../db/rows.ts";
import type { Span } from "../../db/span.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { holders } from "../devices.repository.ts";
import type { ChannelName } from "./channels.ts";
import { type OtpAddressState, otpAddresses } from "./otp.table.ts";

/** A row of the table. */
export type OtpAddressRow = ReturnType<typeof otpAddresses>["$inferSelect"];

type Of = Owner & { channel: ChannelName };
type Key = Owner & { factorId: string };

const isOf = having(otpAddresses, "tenantId", "userId", "channel");
const isAddress = having(otpAddresses, "tenantId", "userId", "factorId");
const is = (...states: [OtpAddressState, ...OtpAddressState[]]) => being(otpAddresses, "state", ...states);
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
  listHoldings: holders(otpAddresses, all(having(otpAddresses, "channel"), is("active"))),
  insert: insert(otpAddresses),
  list: select(otpAddresses, all(isOf, isLive), oldestFirst),
  listActive: select(otpAddresses, all(isOf, is("active"))),
  find: select(otpAddresses, isAddress),
  listTold: select(otpAddresses, all(having(otpAddresses, "tenantId", "userId"), wasProven), oldestFirst),
  deletePending: deleteRows(otpAddresses, all(isOf, is("pending"))),
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
  activate: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(otpAddresses);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({ state: "active", verifyTime: now, lastUseTime: now, updateTime: now, expireTime: null })
      .where(and(isAddress(s), eq(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime))))
      .returning();
  }),
  setState: statement((s: Building<Of & { state: OtpAddressState; now: Date }>) => {
    const t = s.table(otpAddresses);
    const state = s.param("state", t.state);
    return s.db
      .update(t)
      .set({ state, updateTime: s.param("now", t.updateTime) })
      .where(and(isOf(s), inArray(t.state, ["active", "disabled"]), ne(t.state, state)))
      .returning();
  }),
  use: statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(otpAddresses);
    return s.db
      .update(t)
      .set({ lastUseTime: s.param("now", t.lastUseTime) })
      .where(and(isAddress(s), eq(t.state, "active")))
      .returning();
  }),
};

/** Numbers and addresses of a user. Those no longer in force appear in `find` and `listTold` only. */
export const otpAddressRepository = (tx: Tx) => ({
  /** Those in force, of many users. */
  listHoldings: (span: Span, channel: ChannelName) => tx.run(statements.listHoldings, { ...span, channel }),
  insert: (row: OtpAddressRow) => tx.run(statements.insert, row),
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
  activate: async (key: Key, now: Date) => (await tx.run(statements.activate, { ...key, now }))[0],
  /** Changes between active and disabled; undefined when it is so already, or there is none. */
  setState: async (of: Of, state: "active" | "disabled", now: Date) =>
    (await tx.run(statements.setState, { ...of, state, now }))[0],
  /** Notes a use; undefined when it is not in force any more. */
  use: async (key: Key, now: Date) => (await tx.run(statements.use, { ...key, now }))[0],
});

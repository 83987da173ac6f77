import { and, eq, lt, sql } from "drizzle-orm";
import { type RowOf, reading, rewriting, unchecked, type WithMac } from "../../db/bound-rows.ts";
import { whereAll, whereEquals, whereIn } from "../../db/conditions.ts";
import { deleteRows, insert, type PageAsked, select, selectPage, setParams } from "../../db/rows.ts";
import { insertSet, isOfUsers, runForAll, selectOfUsers, type Users } from "../../db/sets.ts";
import type { UserSpan } from "../../db/span.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { holders, isLive, rename } from "../devices.repository.ts";
import { totpDevices } from "./totp.table.ts";
import type { CodeParameters, Match } from "./totp-code.ts";

/** A row of the table. */
export type TotpDeviceRow = RowOf<typeof totpDevices>;

type Key = Owner & { deviceId: string };
type Spending = Key & Match & { now: Date };
/** It has no end from then on. */
type Proving = Spending & CodeParameters & { expireTime: null };
type State = TotpDeviceRow["state"];

const isOwner = whereEquals(totpDevices, "tenantId", "userId");
const isDevice = whereEquals(totpDevices, "tenantId", "userId", "deviceId");
const is = (...states: [State, ...State[]]) => whereIn(totpDevices, "state", ...states);
const live = isLive(totpDevices);
const oldestFirst = { time: "createTime", id: "deviceId" } as const;

/** Moves a device from one state to another; its watermark of spent steps stays. */
const turn = (from: State, to: State) =>
  reading(
    totpDevices,
    statement((s: Building<Key & { now: Date }>) => {
      const t = s.table(totpDevices);
      return s.db
        .update(t)
        .set({ state: to, version: sql`${t.version} + 1`, updateTime: s.param("now", t.updateTime) })
        .where(and(isDevice(s), eq(t.state, from)))
        .returning();
    }),
  );

const statements = {
  listHoldings: holders(totpDevices, is("active")),
  insert: insert(totpDevices),
  deletePending: deleteRows(totpDevices, whereAll(isOwner, is("pending"))),
  // What is shown or counted is not checked; what a code is judged by is.
  find: unchecked(select(totpDevices, whereAll(isDevice, live))),
  findPending: select(totpDevices, whereAll(isOwner, is("pending"), live)),
  list: selectPage(totpDevices, whereAll(isOwner, live), oldestFirst),
  listActive: select(totpDevices, whereAll(isOwner, is("active")), oldestFirst),
  listAll: unchecked(select(totpDevices, whereAll(isOwner, live), oldestFirst)),
  listUsable: unchecked(select(totpDevices, whereAll(isOwner, is("active", "disabled")), oldestFirst)),
  deleteAll: deleteRows(totpDevices, isOwner),
  delete: deleteRows(totpDevices, whereAll(isDevice, live)),
  advance: reading(
    totpDevices,
    statement((s: Building<Spending & { oldest: number }>) => {
      const t = s.table(totpDevices);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "driftSteps", "driftHint"),
          lastStep: s.param("step", t.lastStep),
          lastUseTime: s.param("now", t.lastUseTime),
        })
        .where(and(isDevice(s), eq(t.state, "active"), lt(t.lastStep, s.param("oldest", t.lastStep))))
        .returning();
    }),
  ),
  activate: rewriting(
    totpDevices,
    statement((s: Building<WithMac<Proving>>) => {
      const t = s.table(totpDevices);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          state: "active",
          ...setParams(s, t, "algorithm", "digits", "periodSeconds", "driftSteps", "driftHint", "boundMac"),
          lastStep: s.param("step", t.lastStep),
          lastUseTime: now,
          updateTime: now,
          expireTime: null,
        })
        .where(and(isDevice(s), eq(t.state, "pending"), live(s)))
        .returning();
    }),
  ),
  rename: rename(totpDevices, whereAll(isDevice, live)),
  enable: turn("disabled", "active"),
  disable: turn("active", "disabled"),
  revoke: reading(
    totpDevices,
    statement((s: Building<Key & { nothing: Buffer; now: Date }>) => {
      const t = s.table(totpDevices);
      return s.db
        .update(t)
        .set({
          state: "revoked",
          sealedSecret: s.param("nothing", t.sealedSecret),
          version: sql`${t.version} + 1`,
          updateTime: s.param("now", t.updateTime),
        })
        .where(and(isDevice(s), is("active", "disabled")(s)))
        .returning();
    }),
  ),
};

const insertAll = insertSet<ReturnType<typeof totpDevices>, TotpDeviceRow>(totpDevices);
const listUsableOf = selectOfUsers(totpDevices, is("active", "disabled"));
const deletePendingOf = deleteRows(totpDevices, whereAll(isOfUsers(totpDevices), is("pending")));

/** A user's authenticator apps. */
export const totpRepository = (tx: Tx) => ({
  /** Active devices, of many users. */
  listHoldings: (span: UserSpan) => tx.run(statements.listHoldings, span),
  insert: (row: TotpDeviceRow) => tx.run(statements.insert, row),
  insertAll: (rows: readonly TotpDeviceRow[]) => insertAll(tx, rows),
  /** The active and the disabled of many users. */
  listUsableOf: (users: Users) => listUsableOf(tx, users, {}),
  /** Forgets the pending ones of many users. */
  deletePendingOf: ({ tenantId, userIds }: Users) => runForAll(tx, deletePendingOf, userIds, { tenantId }),
  deletePending: (owner: Owner) => tx.run(statements.deletePending, owner),
  find: async (key: Key, now: Date) => (await tx.run(statements.find, { ...key, now }))[0],
  findPending: async (owner: Owner, now: Date) => (await tx.run(statements.findPending, { ...owner, now }))[0],
  /** A page of devices, oldest first, without pending ones that expired. */
  list: (owner: Owner, { now, ...page }: PageAsked & { readonly now: Date }) =>
    statements.list(tx, { ...owner, now }, page),
  listActive: (owner: Owner) => tx.run(statements.listActive, owner),
  /** The active and the disabled, oldest first. */
  listUsable: (owner: Owner) => tx.run(statements.listUsable, owner),
  /** All devices but pending ones that expired, oldest first. */
  listAll: (owner: Owner, now: Date) => tx.run(statements.listAll, { ...owner, now }),
  /** Forgets all devices; says how many were proven and not revoked. */
  deleteAll: async (owner: Owner) => {
    const deleted = await tx.run(statements.deleteAll, owner);
    return deleted.filter(({ state }) => state === "active" || state === "disabled").length;
  },
  /** How many devices count towards the cap: those that are or could be in use. */
  countUsable: async (owner: Owner) => (await tx.run(statements.listUsable, owner)).length,
  /**
   * Spends the steps of an active device from `oldest` to `step`, for exactly one of any number of callers, and none
   * that is spent. Just the one step unless `oldest` is given.
   */
  advance: async (key: Key & Match & { oldest?: number }, now: Date) =>
    (await tx.run(statements.advance, { oldest: key.step, ...key, now }))[0],
  /** Makes a pending device active, as its app really works, and spends the step that proved it. */
  activate: async (key: Key & Match & CodeParameters, now: Date) =>
    (await tx.run(statements.activate, { ...key, expireTime: null, now }))[0],
  /** Renames the device if it is still of this version. */
  rename: async (key: Key & { displayName: string; version: number }, now: Date) =>
    (await tx.run(statements.rename, { ...key, now }))[0],
  /** Accepts the codes of a disabled device again. */
  enable: async (key: Key, now: Date) => (await tx.run(statements.enable, { ...key, now }))[0],
  /** Stops accepting the codes of an active device. */
  disable: async (key: Key, now: Date) => (await tx.run(statements.disable, { ...key, now }))[0],
  /** Ends a device that was proven, and destroys its secret. */
  revoke: async (key: Key, now: Date) =>
    (await tx.run(statements.revoke, { ...key, nothing: Buffer.alloc(0), now }))[0],
  /** Forgets a device; answers what it was. */
  delete: async (key: Key, now: Date) => (await tx.run(statements.delete, { ...key, now }))[0],
});

import { and, eq, lt, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { all, being, having } from "../../db/conditions.ts";
import { deleteRows, given, insert, type PageAsked, select, selectPage } from "../../db/rows.ts";
import type { Span } from "../../db/span.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { holders, isLive, rename } from "../devices.repository.ts";
import { totpDevices } from "./totp.table.ts";
import type { CodeParameters } from "./totp-code.ts";
import type { Match } from "./totp-judge.ts";

/** A row of the table. */
export type TotpDeviceRow = ReturnType<typeof totpDevices>["$inferSelect"];

type Key = Owner & { deviceId: string };
type Spending = Key & Match & { now: Date };
type State = TotpDeviceRow["state"];

const isOwner = having(totpDevices, "tenantId", "userId");
const isDevice = having(totpDevices, "tenantId", "userId", "deviceId");
const is = (...states: [State, ...State[]]) => being(totpDevices, "state", ...states);
const live = isLive(totpDevices);
const oldestFirst = { time: "createTime", id: "deviceId" } as const;

/** Moves a device from one state to another; its watermark of spent steps stays. */
const turn = (from: State, to: State) =>
  statement((s: Building<Key & { now: Date }>) => {
    const t = s.table(totpDevices);
    return s.db
      .update(t)
      .set({ state: to, version: sql`${t.version} + 1`, updateTime: s.param("now", t.updateTime) })
      .where(and(isDevice(s), eq(t.state, from)))
      .returning();
  });

const statements = {
  listHoldings: holders(totpDevices, is("active")),
  insert: insert(totpDevices),
  deletePending: deleteRows(totpDevices, all(isOwner, is("pending"))),
  find: select(totpDevices, all(isDevice, live)),
  findPending: select(totpDevices, all(isOwner, is("pending"), live)),
  list: selectPage(totpDevices, all(isOwner, live), oldestFirst),
  listActive: select(totpDevices, all(isOwner, is("active")), oldestFirst),
  listAll: select(totpDevices, all(isOwner, live), oldestFirst),
  listUsable: select(totpDevices, all(isOwner, is("active", "disabled")), oldestFirst),
  deleteAll: deleteRows(totpDevices, isOwner),
  delete: deleteRows(totpDevices, all(isDevice, live)),
  advance: statement((s: Building<Spending & { oldest: number }>) => {
    const t = s.table(totpDevices);
    return s.db
      .update(t)
      .set({
        ...given(s, t, "driftSteps", "driftHint"),
        lastStep: s.param("step", t.lastStep),
        lastUseTime: s.param("now", t.lastUseTime),
      })
      .where(and(isDevice(s), eq(t.state, "active"), lt(t.lastStep, s.param("oldest", t.lastStep))))
      .returning();
  }),
  activate: statement((s: Building<Spending & CodeParameters>) => {
    const t = s.table(totpDevices);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        state: "active",
        ...given(s, t, "algorithm", "digits", "periodSeconds", "driftSteps", "driftHint"),
        lastStep: s.param("step", t.lastStep),
        lastUseTime: now,
        updateTime: now,
        expireTime: null,
      })
      .where(and(isDevice(s), eq(t.state, "pending"), live(s)))
      .returning();
  }),
  rename: rename(totpDevices, all(isDevice, live)),
  enable: turn("disabled", "active"),
  disable: turn("active", "disabled"),
  revoke: statement((s: Building<Key & { nothing: Buffer; now: Date }>) => {
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
};

/** A user's authenticator apps. */
export const totpRepository = (tx: Tx) => ({
  /** Active devices, of many users. */
  listHoldings: (span: Span) => tx.run(statements.listHoldings, span),
  insert: (row: TotpDeviceRow) => tx.run(statements.insert, row),
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
    (await tx.run(statements.activate, { ...key, now }))[0],
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

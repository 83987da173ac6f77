import { and, asc, eq, gt, lt, ne, or, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { after, type PageParams, type Position, pageParams, slice } from "../../db/page.ts";
import { isInSpan, type Span } from "../../db/span.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { totpDevices } from "./totp.table.ts";
import type { CodeParameters } from "./totp-code.ts";
import type { Match } from "./totp-judge.ts";

/** A row of the table. */
export type TotpDeviceRow = ReturnType<typeof totpDevices>["$inferSelect"];

type Key = Owner & { deviceId: string };
type Spending = Key & Match & { now: Date };
type State = TotpDeviceRow["state"];
const isOwner = (s: Building<Owner>) => isOwnedBy(s, s.table(totpDevices));

const isDevice = (s: Building<Key>) => {
  const t = s.table(totpDevices);
  return and(isOwner(s), eq(t.deviceId, s.param("deviceId", t.deviceId)));
};

/** Proven, or pending and not yet forgotten: expiry holds here, whenever the clean-up comes by. */
const isLive = (s: Building<{ now: Date }>) => {
  const t = s.table(totpDevices);
  return or(ne(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime)));
};

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
  listHoldings: statement((s: Building<Span>) => {
    const t = s.table(totpDevices);
    return s.db
      .select({ userId: t.userId })
      .from(t)
      .where(and(isInSpan(s, t), eq(t.state, "active")));
  }),
  insert: statement((s: Building<TotpDeviceRow>) => {
    const t = s.table(totpDevices);
    return s.db.insert(t).values(s.row(t)).returning({ deviceId: t.deviceId });
  }),
  deletePending: statement((s: Building<Owner>) => {
    const t = s.table(totpDevices);
    return s.db
      .delete(t)
      .where(and(isOwner(s), eq(t.state, "pending")))
      .returning({ deviceId: t.deviceId });
  }),
  find: statement((s: Building<Key & { now: Date }>) =>
    s.db
      .select()
      .from(s.table(totpDevices))
      .where(and(isDevice(s), isLive(s))),
  ),
  findPending: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(totpDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), eq(t.state, "pending"), isLive(s)));
  }),
  list: statement((s: Building<Owner & PageParams & { now: Date }>) => {
    const t = s.table(totpDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), isLive(s), after(s, t.createTime, t.deviceId)))
      .orderBy(asc(t.createTime), asc(t.deviceId))
      .limit(s.limit("limit"));
  }),
  listActive: statement((s: Building<Owner>) => {
    const t = s.table(totpDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), eq(t.state, "active")))
      .orderBy(asc(t.createTime), asc(t.deviceId));
  }),
  listAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(totpDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), isLive(s)))
      .orderBy(asc(t.createTime), asc(t.deviceId));
  }),
  deleteAll: statement((s: Building<Owner>) => {
    const t = s.table(totpDevices);
    return s.db.delete(t).where(isOwner(s)).returning({ state: t.state });
  }),
  listUsable: statement((s: Building<Owner>) => {
    const t = s.table(totpDevices);
    return s.db
      .select({ deviceId: t.deviceId })
      .from(t)
      .where(and(isOwner(s), or(eq(t.state, "active"), eq(t.state, "disabled"))));
  }),
  advance: statement((s: Building<Spending & { oldest: number }>) => {
    const t = s.table(totpDevices);
    return s.db
      .update(t)
      .set({
        lastStep: s.param("step", t.lastStep),
        driftSteps: s.param("driftSteps", t.driftSteps),
        driftHint: s.param("driftHint", t.driftHint),
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
        algorithm: s.param("algorithm", t.algorithm),
        digits: s.param("digits", t.digits),
        periodSeconds: s.param("periodSeconds", t.periodSeconds),
        lastStep: s.param("step", t.lastStep),
        driftSteps: s.param("driftSteps", t.driftSteps),
        driftHint: s.param("driftHint", t.driftHint),
        lastUseTime: now,
        updateTime: now,
        expireTime: null,
      })
      .where(and(isDevice(s), eq(t.state, "pending"), isLive(s)))
      .returning();
  }),
  rename: statement((s: Building<Key & { displayName: string; version: number; now: Date }>) => {
    const t = s.table(totpDevices);
    return s.db
      .update(t)
      .set({
        displayName: s.param("displayName", t.displayName),
        version: sql`${t.version} + 1`,
        updateTime: s.param("now", t.updateTime),
      })
      .where(and(isDevice(s), isLive(s), eq(t.version, s.param("version", t.version))))
      .returning();
  }),
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
      .where(and(isDevice(s), or(eq(t.state, "active"), eq(t.state, "disabled"))))
      .returning();
  }),
  delete: statement((s: Building<Key & { now: Date }>) =>
    s.db
      .delete(s.table(totpDevices))
      .where(and(isDevice(s), isLive(s)))
      .returning(),
  ),
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
  list: async (owner: Owner, { position, size, now }: { position: Position; size: number; now: Date }) => {
    const rows = await tx.run(statements.list, { ...owner, ...pageParams(position, size), now });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.deviceId }));
  },
  listActive: (owner: Owner) => tx.run(statements.listActive, owner),
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

import { and, eq, sql } from "drizzle-orm";
import { type RowOf, reading, rewriting, unchecked, type WithMac } from "../../db/bound-rows.ts";
import { whereAll, whereEquals, whereIn } from "../../db/conditions.ts";
import { deleteEnded } from "../../db/ended.ts";
import { deleteRows, insert, type PageAsked, select, selectPage, setParams } from "../../db/rows.ts";
import type { UserSpan } from "../../db/span.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { holders, isLive, rename } from "../devices.repository.ts";
import { pushDevices } from "./push.table.ts";

/** A row of the table. */
export type PushDeviceRow = RowOf<typeof pushDevices>;
/** Which device. */
export type DeviceKey = Owner & { readonly deviceId: string };

type Address = Pick<PushDeviceRow, "channel" | "sealedAddress">;
/** The pending device as it was found, and what the phone brings. */
type Pairing = Omit<PushDeviceRow, "pairingDigest"> &
  Address & {
    /** Of the token that pairs it, which is spent by that. */
    spent: Buffer;
    publicKey: Buffer;
    keyMac: Buffer;
    keyAlgorithm: PushDeviceRow["keyAlgorithm"];
    displayName: string;
    platform: string;
    now: Date;
  };

/** What it is bound as from then on: it has neither a token nor an end. */
type Paired = Omit<Pairing, "expireTime"> & { pairingDigest: null; expireTime: null };

const isOwner = whereEquals(pushDevices, "tenantId", "userId");
const isDevice = whereEquals(pushDevices, "tenantId", "userId", "deviceId");
const is = (state: PushDeviceRow["state"]) => whereIn(pushDevices, "state", state);
const live = isLive(pushDevices);
const isPairing = whereAll(whereEquals(pushDevices, "pairingDigest"), is("pending"), live);
const isSpent = (s: Building<Paired>) => {
  const t = s.table(pushDevices);
  return eq(t.pairingDigest, s.param("spent", t.pairingDigest));
};
const oldestFirst = { time: "createTime", id: "deviceId" } as const;

const statements = {
  listHoldings: holders(pushDevices, is("active")),
  insert: insert(pushDevices),
  deletePending: deleteRows(pushDevices, whereAll(isOwner, is("pending"))),
  find: select(pushDevices, whereAll(isDevice, live)),
  // Unchecked: the key has a MAC of its own, so that a phone that was moved is refused and not merely unknown.
  findActive: unchecked(select(pushDevices, whereAll(whereEquals(pushDevices, "deviceId"), is("active")))),
  findPending: select(pushDevices, isPairing),
  list: selectPage(pushDevices, whereAll(isOwner, live), oldestFirst),
  listAll: select(pushDevices, whereAll(isOwner, live), oldestFirst),
  listActive: select(pushDevices, whereAll(isOwner, is("active")), oldestFirst),
  pair: rewriting(
    pushDevices,
    statement((s: Building<WithMac<Paired>>) => {
      const t = s.table(pushDevices);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          state: "active",
          ...setParams(
            s,
            t,
            "boundMac",
            "publicKey",
            "keyMac",
            "keyAlgorithm",
            "channel",
            "sealedAddress",
            "displayName",
            "platform",
          ),
          pairingDigest: null,
          expireTime: null,
          addressVersion: sql`${t.addressVersion} + 1`,
          updateTime: now,
          lastUseTime: now,
        })
        .where(and(isDevice(s), isSpent(s), is("pending")(s), live(s)))
        .returning();
    }),
  ),
  rename: rename(pushDevices, whereAll(isDevice, live)),
  revoke: reading(
    pushDevices,
    statement((s: Building<DeviceKey & { now: Date }>) => {
      const t = s.table(pushDevices);
      return s.db
        .update(t)
        .set({
          state: "revoked",
          publicKey: null,
          keyMac: null,
          sealedAddress: null,
          channel: "poll",
          version: sql`${t.version} + 1`,
          updateTime: s.param("now", t.updateTime),
        })
        .where(and(isDevice(s), eq(t.state, "active")))
        .returning();
    }),
  ),
  rotate: reading(
    pushDevices,
    statement((s: Building<DeviceKey & Address & { now: Date }>) => {
      const t = s.table(pushDevices);
      const now = s.param("now", t.updateTime);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "channel", "sealedAddress"),
          addressVersion: sql`${t.addressVersion} + 1`,
          channelGone: false,
          updateTime: now,
          lastUseTime: now,
        })
        .where(and(isDevice(s), eq(t.state, "active")))
        .returning();
    }),
  ),
  retire: statement((s: Building<DeviceKey & { addressVersion: number; now: Date }>) => {
    const t = s.table(pushDevices);
    return s.db
      .update(t)
      .set({ channelGone: true, sealedAddress: null, updateTime: s.param("now", t.updateTime) })
      .where(and(isDevice(s), eq(t.addressVersion, s.param("addressVersion", t.addressVersion))))
      .returning({ deviceId: t.deviceId });
  }),
  use: reading(
    pushDevices,
    statement((s: Building<DeviceKey & { now: Date }>) => {
      const t = s.table(pushDevices);
      return s.db
        .update(t)
        .set({ lastUseTime: s.param("now", t.lastUseTime) })
        .where(and(isDevice(s), eq(t.state, "active")))
        .returning();
    }),
  ),
  delete: deleteRows(pushDevices, isDevice),
  deleteAll: deleteRows(pushDevices, isOwner),
  purge: deleteEnded(pushDevices, "updateTime", (t) => sql`${t.state} = 'revoked'`),
};

/** Users' paired phones. */
export const pushDeviceRepository = (tx: Tx) => ({
  /** Active devices, of many users. */
  listHoldings: (span: UserSpan) => tx.run(statements.listHoldings, span),
  insert: (row: PushDeviceRow) => tx.run(statements.insert, row),
  deletePending: (owner: Owner) => tx.run(statements.deletePending, owner),
  find: async (key: DeviceKey, now: Date) => (await tx.run(statements.find, { ...key, now }))[0],
  /** The device of this id, whosever it is, while it is paired. */
  findActive: async (deviceId: string) => (await tx.run(statements.findActive, { deviceId }))[0],
  /** The pending device that a pairing token is for. */
  findPending: async (pairingDigest: Buffer, now: Date) =>
    (await tx.run(statements.findPending, { pairingDigest, now }))[0],
  /** A page of devices, oldest first, without pending ones that expired. */
  list: (owner: Owner, { now, ...page }: PageAsked & { readonly now: Date }) =>
    statements.list(tx, { ...owner, now }, page),
  /** All devices but pending ones that expired, oldest first. */
  listAll: (owner: Owner, now: Date) => tx.run(statements.listAll, { ...owner, now }),
  listActive: (owner: Owner) => tx.run(statements.listActive, owner),
  /** Pending to active, spending the pairing token: a row for exactly one of any number of callers. */
  pair: async (pairing: Pairing) =>
    (await tx.run(statements.pair, { ...pairing, pairingDigest: null, expireTime: null }))[0],
  /** Renames the device if it is still of this version. */
  rename: async (key: DeviceKey & { displayName: string; version: number }, now: Date) =>
    (await tx.run(statements.rename, { ...key, now }))[0],
  /** Ends a paired device, and forgets its key and address. */
  revoke: async (key: DeviceKey, now: Date) => (await tx.run(statements.revoke, { ...key, now }))[0],
  /** Puts another address in the place of the old one. */
  rotate: async (key: DeviceKey & Address, now: Date) => (await tx.run(statements.rotate, { ...key, now }))[0],
  /** Takes an address out of use that is gone, unless there is a newer one. */
  retire: (key: DeviceKey & { addressVersion: number }, now: Date) => tx.run(statements.retire, { ...key, now }),
  /** Notes that a paired device answered; undefined when it is paired no more. */
  use: async (key: DeviceKey, now: Date) => (await tx.run(statements.use, { ...key, now }))[0],
  /** Forgets a device, in whatever state. */
  delete: (key: DeviceKey) => tx.run(statements.delete, key),
  /** Forgets all devices; says how many were paired. */
  deleteAll: async (owner: Owner) =>
    (await tx.run(statements.deleteAll, owner)).filter(({ state }) => state === "active").length,
  /** Forgets some that were revoked before then; says how many. */
  purge: async (before: Date, limit: number) => (await tx.run(statements.purge, { before, limit })).length,
});

import { and, asc, eq, gt, ne, or, sql } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { deleteEnded } from "../../db/ended.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { after, type PageParams, type Position, pageParams, slice } from "../../db/page.ts";
import { isInSpan, type Span } from "../../db/span.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { pushDevices } from "./push.table.ts";

/** A row of the table. */
export type PushDeviceRow = ReturnType<typeof pushDevices>["$inferSelect"];
/** Which device. */
export type DeviceKey = Owner & { readonly deviceId: string };

type Address = Pick<PushDeviceRow, "channel" | "sealedAddress">;
type Pairing = DeviceKey &
  Address & {
    pairingDigest: Buffer;
    publicKey: Buffer;
    keyMac: Buffer;
    keyAlgorithm: PushDeviceRow["keyAlgorithm"];
    displayName: string;
    platform: string;
    now: Date;
  };

const isOwner = (s: Building<Owner>) => isOwnedBy(s, s.table(pushDevices));

const isDevice = (s: Building<DeviceKey>) => {
  const t = s.table(pushDevices);
  return and(isOwner(s), eq(t.deviceId, s.param("deviceId", t.deviceId)));
};

/** Not pending, or not yet forgotten. */
const isLive = (s: Building<{ now: Date }>) => {
  const t = s.table(pushDevices);
  return or(ne(t.state, "pending"), gt(t.expireTime, s.param("now", t.expireTime)));
};

const statements = {
  listHoldings: statement((s: Building<Span>) => {
    const t = s.table(pushDevices);
    return s.db
      .select({ userId: t.userId })
      .from(t)
      .where(and(isInSpan(s, t), eq(t.state, "active")));
  }),
  insert: statement((s: Building<PushDeviceRow>) => {
    const t = s.table(pushDevices);
    return s.db.insert(t).values(s.row(t)).returning({ deviceId: t.deviceId });
  }),
  deletePending: statement((s: Building<Owner>) => {
    const t = s.table(pushDevices);
    return s.db
      .delete(t)
      .where(and(isOwner(s), eq(t.state, "pending")))
      .returning({ deviceId: t.deviceId });
  }),
  find: statement((s: Building<DeviceKey & { now: Date }>) =>
    s.db
      .select()
      .from(s.table(pushDevices))
      .where(and(isDevice(s), isLive(s))),
  ),
  findActive: statement((s: Building<{ deviceId: string }>) => {
    const t = s.table(pushDevices);
    return s.db
      .select()
      .from(t)
      .where(and(eq(t.deviceId, s.param("deviceId", t.deviceId)), eq(t.state, "active")));
  }),
  findPending: statement((s: Building<{ pairingDigest: Buffer; now: Date }>) => {
    const t = s.table(pushDevices);
    return s.db
      .select()
      .from(t)
      .where(
        and(
          eq(t.pairingDigest, s.param("pairingDigest", t.pairingDigest)),
          eq(t.state, "pending"),
          gt(t.expireTime, s.param("now", t.expireTime)),
        ),
      );
  }),
  list: statement((s: Building<Owner & PageParams & { now: Date }>) => {
    const t = s.table(pushDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), isLive(s), after(s, t.createTime, t.deviceId)))
      .orderBy(asc(t.createTime), asc(t.deviceId))
      .limit(s.limit("limit"));
  }),
  listAll: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(pushDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), isLive(s)))
      .orderBy(asc(t.createTime), asc(t.deviceId));
  }),
  listActive: statement((s: Building<Owner>) => {
    const t = s.table(pushDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), eq(t.state, "active")))
      .orderBy(asc(t.createTime), asc(t.deviceId));
  }),
  pair: statement((s: Building<Pairing>) => {
    const t = s.table(pushDevices);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        state: "active",
        pairingDigest: null,
        expireTime: null,
        publicKey: s.param("publicKey", t.publicKey),
        keyMac: s.param("keyMac", t.keyMac),
        keyAlgorithm: s.param("keyAlgorithm", t.keyAlgorithm),
        channel: s.param("channel", t.channel),
        sealedAddress: s.param("sealedAddress", t.sealedAddress),
        addressVersion: sql`${t.addressVersion} + 1`,
        displayName: s.param("displayName", t.displayName),
        platform: s.param("platform", t.platform),
        updateTime: now,
        lastUseTime: now,
      })
      .where(
        and(
          isDevice(s),
          eq(t.state, "pending"),
          eq(t.pairingDigest, s.param("pairingDigest", t.pairingDigest)),
          gt(t.expireTime, s.param("now", t.expireTime)),
        ),
      )
      .returning();
  }),
  rename: statement((s: Building<DeviceKey & { displayName: string; version: number; now: Date }>) => {
    const t = s.table(pushDevices);
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
  revoke: statement((s: Building<DeviceKey & { now: Date }>) => {
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
  rotate: statement((s: Building<DeviceKey & Address & { now: Date }>) => {
    const t = s.table(pushDevices);
    const now = s.param("now", t.updateTime);
    return s.db
      .update(t)
      .set({
        channel: s.param("channel", t.channel),
        sealedAddress: s.param("sealedAddress", t.sealedAddress),
        addressVersion: sql`${t.addressVersion} + 1`,
        channelGone: false,
        updateTime: now,
        lastUseTime: now,
      })
      .where(and(isDevice(s), eq(t.state, "active")))
      .returning();
  }),
  retire: statement((s: Building<DeviceKey & { addressVersion: number; now: Date }>) => {
    const t = s.table(pushDevices);
    return s.db
      .update(t)
      .set({ channelGone: true, sealedAddress: null, updateTime: s.param("now", t.updateTime) })
      .where(and(isDevice(s), eq(t.addressVersion, s.param("addressVersion", t.addressVersion))))
      .returning({ deviceId: t.deviceId });
  }),
  use: statement((s: Building<DeviceKey & { now: Date }>) => {
    const t = s.table(pushDevices);
    return s.db
      .update(t)
      .set({ lastUseTime: s.param("now", t.lastUseTime) })
      .where(and(isDevice(s), eq(t.state, "active")))
      .returning();
  }),
  deleteAll: statement((s: Building<Owner>) => {
    const t = s.table(pushDevices);
    return s.db.delete(t).where(isOwner(s)).returning({ state: t.state });
  }),
  purge: deleteEnded(pushDevices, "updateTime", (t) => eq(t.state, "revoked")),
};

/** Users' paired phones. */
export const pushDeviceRepository = (tx: Tx) => ({
  /** Active devices, of many users. */
  listHoldings: (span: Span) => tx.run(statements.listHoldings, span),
  insert: (row: PushDeviceRow) => tx.run(statements.insert, row),
  deletePending: (owner: Owner) => tx.run(statements.deletePending, owner),
  find: async (key: DeviceKey, now: Date) => (await tx.run(statements.find, { ...key, now }))[0],
  /** The device of this id, whosever it is, while it is paired. */
  findActive: async (deviceId: string) => (await tx.run(statements.findActive, { deviceId }))[0],
  /** The pending device that a pairing token is for. */
  findPending: async (pairingDigest: Buffer, now: Date) =>
    (await tx.run(statements.findPending, { pairingDigest, now }))[0],
  /** A page of devices, oldest first, without pending ones that expired. */
  list: async (owner: Owner, { position, size, now }: { position: Position; size: number; now: Date }) => {
    const rows = await tx.run(statements.list, { ...owner, ...pageParams(position, size), now });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.deviceId }));
  },
  /** All devices but pending ones that expired, oldest first. */
  listAll: (owner: Owner, now: Date) => tx.run(statements.listAll, { ...owner, now }),
  listActive: (owner: Owner) => tx.run(statements.listActive, owner),
  /** Pending to active, spending the pairing token: a row for exactly one of any number of callers. */
  pair: async (pairing: Pairing) => (await tx.run(statements.pair, pairing))[0],
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
  /** Forgets all devices; says how many were paired. */
  deleteAll: async (owner: Owner) =>
    (await tx.run(statements.deleteAll, owner)).filter(({ state }) => state === "active").length,
  /** Forgets some that were revoked before then; says how many. */
  purge: async (before: Date, limit: number) => (await tx.run(statements.purge, { before, limit })).length,
});

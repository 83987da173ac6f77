import { and, desc, eq, gt, lte } from "drizzle-orm";
import type { Owner } from "../core/caller.ts";
import { isOwnedBy } from "../db/owned.ts";
import { before, type PageParams, type Position, pagedBack, slice } from "../db/page.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { trustedDevices } from "./trusted-devices.table.ts";

/** A trusted device as it is stored. */
export type TrustedDeviceRow = ReturnType<typeof trustedDevices>["$inferSelect"];
type Key = Owner & { trustedDeviceId: string };
type Standing = Owner & { epoch: number; now: Date };
type Rotation = Key & { counter: number; next: number; secretDigest: Buffer; previousDigest: Buffer; now: Date };

const isOwners = (s: Building<Owner>) => isOwnedBy(s, s.table(trustedDevices));

const isThis = (s: Building<Key>) => {
  const t = s.table(trustedDevices);
  return and(isOwners(s), eq(t.trustedDeviceId, s.param("trustedDeviceId", t.trustedDeviceId)));
};

/** Trusted at `now` under the user's present epoch. */
const stands = (s: Building<Standing>) => {
  const t = s.table(trustedDevices);
  return and(isOwners(s), eq(t.mfaEpoch, s.param("epoch", t.mfaEpoch)), gt(t.expireTime, s.param("now", t.expireTime)));
};

const statements = {
  insert: statement((s: Building<TrustedDeviceRow>) => {
    const t = s.table(trustedDevices);
    return s.db.insert(t).values(s.row(t)).returning({ trustedDeviceId: t.trustedDeviceId });
  }),
  findBySeries: statement((s: Building<Owner & { seriesDigest: Buffer }>) => {
    const t = s.table(trustedDevices);
    return s.db
      .select()
      .from(t)
      .where(and(isOwners(s), eq(t.seriesDigest, s.param("seriesDigest", t.seriesDigest))));
  }),
  find: statement((s: Building<Key & Standing>) =>
    s.db
      .select()
      .from(s.table(trustedDevices))
      .where(and(isThis(s), stands(s))),
  ),
  listStanding: statement((s: Building<Standing>) => {
    const t = s.table(trustedDevices);
    return s.db.select({ trustedDeviceId: t.trustedDeviceId }).from(t).where(stands(s));
  }),
  list: statement((s: Building<Standing & PageParams>) => {
    const t = s.table(trustedDevices);
    return s.db
      .select()
      .from(t)
      .where(and(stands(s), before(s, t.createTime, t.trustedDeviceId)))
      .orderBy(desc(t.createTime), desc(t.trustedDeviceId))
      .limit(s.limit("limit"));
  }),
  rotate: statement((s: Building<Rotation>) => {
    const t = s.table(trustedDevices);
    const now = s.param("now", t.rotateTime);
    return s.db
      .update(t)
      .set({
        counter: s.param("next", t.counter),
        secretDigest: s.param("secretDigest", t.secretDigest),
        previousDigest: s.param("previousDigest", t.previousDigest),
        rotateTime: now,
        lastUseTime: now,
      })
      .where(and(isThis(s), eq(t.counter, s.param("counter", t.counter))))
      .returning();
  }),
  delete: statement((s: Building<Key>) => {
    const t = s.table(trustedDevices);
    return s.db.delete(t).where(isThis(s)).returning({ mfaEpoch: t.mfaEpoch, expireTime: t.expireTime });
  }),
  deleteAll: statement((s: Building<Owner>) => {
    const t = s.table(trustedDevices);
    return s.db.delete(t).where(isOwners(s)).returning({ mfaEpoch: t.mfaEpoch, expireTime: t.expireTime });
  }),
  deleteExpired: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(trustedDevices);
    return s.db
      .delete(t)
      .where(and(isOwners(s), lte(t.expireTime, s.param("now", t.expireTime))))
      .returning({ trustedDeviceId: t.trustedDeviceId });
  }),
};

/** A user's trusted devices. */
export const trustedDeviceRepository = (tx: Tx) => ({
  insert: (row: TrustedDeviceRow) => tx.run(statements.insert, row),
  findBySeries: async (owner: Owner, seriesDigest: Buffer) =>
    (await tx.run(statements.findBySeries, { ...owner, seriesDigest }))[0],
  /** One that is trusted at present. */
  find: async (key: Key, standing: Omit<Standing, keyof Owner>) =>
    (await tx.run(statements.find, { ...key, ...standing }))[0],
  countStanding: async (standing: Standing) => (await tx.run(statements.listStanding, standing)).length,
  /** A page of those that are trusted at present, newest first. */
  list: async (standing: Standing, { position, size }: { position: Position; size: number }) => {
    const rows = await tx.run(statements.list, { ...standing, ...pagedBack(position, size) });
    return slice(rows, size, (row) => ({ time: row.createTime, id: row.trustedDeviceId }));
  },
  /** Puts the next secret in the place of one: a row for exactly one of any number of callers. */
  rotate: async (rotation: Omit<Rotation, "next">) =>
    (await tx.run(statements.rotate, { ...rotation, next: rotation.counter + 1 }))[0],
  delete: async (key: Key) => (await tx.run(statements.delete, key))[0],
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
  deleteExpired: async (owner: Owner, now: Date) => (await tx.run(statements.deleteExpired, { ...owner, now })).length,
});

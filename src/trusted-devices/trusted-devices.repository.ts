import { and, eq, gt } from "drizzle-orm";
import { type RowOf, reading } from "../db/bound-rows.ts";
import { hasExpired, isInTime, whereAll, whereEquals } from "../db/conditions.ts";
import { deleteRows, insert, type PageAsked, select, selectPage, setParams } from "../db/rows.ts";
import type { Owner } from "../db/store.ts";
import { type Building, statement, type Tx } from "../db/store.ts";
import { trustedDevices } from "./trusted-devices.table.ts";

/** A trusted device as it is stored. */
export type TrustedDeviceRow = RowOf<typeof trustedDevices>;
type Key = Owner & { trustedDeviceId: string };
/** `since`: trust that began then or earlier has ended by the tenant's settings. */
type Standing = Owner & { epoch: number; now: Date; since: Date };
type Rotation = Key & { counter: number; next: number; secretDigest: Buffer; previousDigest: Buffer; now: Date };

const isOwners = whereEquals(trustedDevices, "tenantId", "userId");
const isThis = whereEquals(trustedDevices, "tenantId", "userId", "trustedDeviceId");
const newestFirst = { time: "createTime", id: "trustedDeviceId", newestFirst: true } as const;

/** Trusted at `now` under the user's present epoch. */
const stands = whereAll(isOwners, isInTime(trustedDevices), (s: Building<{ epoch: number; since: Date }>) => {
  const t = s.table(trustedDevices);
  return and(eq(t.mfaEpoch, s.param("epoch", t.mfaEpoch)), gt(t.createTime, s.param("since", t.createTime)));
});

const statements = {
  insert: insert(trustedDevices),
  findBySeries: select(trustedDevices, whereEquals(trustedDevices, "tenantId", "userId", "seriesDigest")),
  find: select(trustedDevices, whereAll(isThis, stands)),
  listStanding: statement((s: Building<Standing>) => {
    const t = s.table(trustedDevices);
    return s.db.select({ trustedDeviceId: t.trustedDeviceId }).from(t).where(stands(s));
  }),
  list: selectPage(trustedDevices, stands, newestFirst),
  rotate: reading(
    trustedDevices,
    statement((s: Building<Rotation>) => {
      const t = s.table(trustedDevices);
      const now = s.param("now", t.rotateTime);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "secretDigest", "previousDigest"),
          counter: s.param("next", t.counter),
          rotateTime: now,
          lastUseTime: now,
        })
        .where(and(isThis(s), eq(t.counter, s.param("counter", t.counter))))
        .returning();
    }),
  ),
  delete: deleteRows(trustedDevices, isThis),
  deleteAll: deleteRows(trustedDevices, isOwners),
  deleteExpired: deleteRows(trustedDevices, whereAll(isOwners, hasExpired(trustedDevices))),
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
  list: (standing: Standing, page: PageAsked) => statements.list(tx, standing, page),
  /** Puts the next secret in the place of one: a row for exactly one of any number of callers. */
  rotate: async (rotation: Omit<Rotation, "next">) =>
    (await tx.run(statements.rotate, { ...rotation, next: rotation.counter + 1 }))[0],
  delete: async (key: Key) => (await tx.run(statements.delete, key))[0],
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
  deleteExpired: async (owner: Owner, now: Date) => (await tx.run(statements.deleteExpired, { ...owner, now })).length,
});

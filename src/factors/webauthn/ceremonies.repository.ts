import { and, eq, isNull } from "drizzle-orm";
import { type RowOf, reading } from "../../db/bound-rows.ts";
import { hasExpired, isInTime, whereAll, whereEquals } from "../../db/conditions.ts";
import { deleteRows, insert, select } from "../../db/rows.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { type CeremonyPurpose, webauthnCeremonies } from "./webauthn.table.ts";

/** A row of the table. */
export type CeremonyRow = RowOf<typeof webauthnCeremonies>;

/** What an answer must agree with before it is looked at. */
export type Taking = Owner & { purpose: CeremonyPurpose; sessionDigest: Buffer; challengeId: string; now: Date };

const isOwners = whereEquals(webauthnCeremonies, "tenantId", "userId");
const isCeremony = whereEquals(webauthnCeremonies, "tenantId", "userId", "ceremonyId");

/** How many of one user are kept: of their own, and of their challenges. */
const MOST = 20;

const isOpen = whereAll(
  whereEquals(webauthnCeremonies, "tenantId", "userId", "purpose", "sessionDigest", "challengeId"),
  isInTime(webauthnCeremonies),
  (s: Building<unknown>) => isNull(s.table(webauthnCeremonies).spendTime),
);

const statements = {
  insert: insert(webauthnCeremonies),
  deleteExpired: deleteRows(webauthnCeremonies, whereAll(isOwners, hasExpired(webauthnCeremonies))),
  deleteAll: deleteRows(webauthnCeremonies, isOwners),
  find: select(webauthnCeremonies, isCeremony),
  list: select(webauthnCeremonies, isOwners, { time: "createTime", id: "ceremonyId", newestFirst: true }),
  delete: deleteRows(webauthnCeremonies, isCeremony),
  take: reading(
    webauthnCeremonies,
    statement((s: Building<Taking & { ceremonyId: string }>) => {
      const t = s.table(webauthnCeremonies);
      return s.db
        .update(t)
        .set({ spendTime: s.param("now", t.spendTime) })
        .where(and(isOpen(s), eq(t.ceremonyId, s.param("ceremonyId", t.ceremonyId))))
        .returning();
    }),
  ),
  takeByChallenge: reading(
    webauthnCeremonies,
    statement((s: Building<Taking & { challengeDigest: Buffer }>) => {
      const t = s.table(webauthnCeremonies);
      return s.db
        .update(t)
        .set({ spendTime: s.param("now", t.spendTime) })
        .where(and(isOpen(s), eq(t.challengeDigest, s.param("challengeDigest", t.challengeDigest))))
        .returning();
    }),
  ),
};

/** A user's ceremonies. */
export const ceremonyRepository = (tx: Tx) => ({
  /**
   * Adds a ceremony. Those that ran out are forgotten, and of twenty of their own,
   * or of twenty of challenges, the oldest gives way: a page that is opened again and again begins one each time.
   */
  async add(row: CeremonyRow, now: Date): Promise<void> {
    const owner = { tenantId: row.tenantId, userId: row.userId };
    await tx.run(statements.deleteExpired, { ...owner, now });
    const isAlike = (one: CeremonyRow) => (one.challengeId === "") === (row.challengeId === "");
    const alike = (await tx.run(statements.list, owner)).filter(isAlike);
    // Those that were answered first: an answer that comes again finds none either way.
    const ranked = [...alike.filter((one) => one.spendTime === null), ...alike.filter((one) => one.spendTime !== null)];
    for (const { ceremonyId } of ranked.slice(MOST - 1)) await tx.run(statements.delete, { ...owner, ceremonyId });
    await tx.run(statements.insert, row);
  },
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
  find: async (owner: Owner, ceremonyId: string) => (await tx.run(statements.find, { ...owner, ceremonyId }))[0],
  delete: (owner: Owner, ceremonyId: string) => tx.run(statements.delete, { ...owner, ceremonyId }),
  /** Takes an open ceremony for one answer: the row for exactly one of any number of callers. */
  take: async (taking: Taking, ceremonyId: string) => (await tx.run(statements.take, { ...taking, ceremonyId }))[0],
  /** The same, by the challenge that the answer holds. */
  takeByChallenge: async (taking: Taking, challengeDigest: Buffer) =>
    (await tx.run(statements.takeByChallenge, { ...taking, challengeDigest }))[0],
});

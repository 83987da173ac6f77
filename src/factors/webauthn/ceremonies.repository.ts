import { and, eq, gt, isNull, lte } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { type Purpose, webauthnCeremonies } from "./webauthn.table.ts";

/** A row of the table. */
export type CeremonyRow = ReturnType<typeof webauthnCeremonies>["$inferSelect"];

/** What an answer must agree with before it is looked at. */
export type Taking = Owner & { purpose: Purpose; sessionDigest: Buffer; challengeId: string; now: Date };

type Key = Owner & { ceremonyId: string };

const isOpen = (s: Building<Taking>) => {
  const t = s.table(webauthnCeremonies);
  return and(
    isOwnedBy(s, t),
    eq(t.purpose, s.param("purpose", t.purpose)),
    eq(t.sessionDigest, s.param("sessionDigest", t.sessionDigest)),
    eq(t.challengeId, s.param("challengeId", t.challengeId)),
    isNull(t.spendTime),
    gt(t.expireTime, s.param("now", t.expireTime)),
  );
};

const isCeremony = (s: Building<Key>) => {
  const t = s.table(webauthnCeremonies);
  return and(isOwnedBy(s, t), eq(t.ceremonyId, s.param("ceremonyId", t.ceremonyId)));
};

const statements = {
  insert: statement((s: Building<CeremonyRow>) => {
    const t = s.table(webauthnCeremonies);
    return s.db.insert(t).values(s.row(t)).returning({ ceremonyId: t.ceremonyId });
  }),
  deleteExpired: statement((s: Building<Owner & { now: Date }>) => {
    const t = s.table(webauthnCeremonies);
    const ofOwner = isOwnedBy(s, t);
    return s.db
      .delete(t)
      .where(and(ofOwner, lte(t.expireTime, s.param("now", t.expireTime))))
      .returning({ ceremonyId: t.ceremonyId });
  }),
  deleteAll: statement((s: Building<Owner>) => {
    const t = s.table(webauthnCeremonies);
    return s.db.delete(t).where(isOwnedBy(s, t)).returning({ ceremonyId: t.ceremonyId });
  }),
  find: statement((s: Building<Key>) => s.db.select().from(s.table(webauthnCeremonies)).where(isCeremony(s))),
  delete: statement((s: Building<Key>) => {
    const t = s.table(webauthnCeremonies);
    return s.db.delete(t).where(isCeremony(s)).returning({ ceremonyId: t.ceremonyId });
  }),
  take: statement((s: Building<Taking & { ceremonyId: string }>) => {
    const t = s.table(webauthnCeremonies);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isOpen(s), eq(t.ceremonyId, s.param("ceremonyId", t.ceremonyId))))
      .returning();
  }),
  takeByChallenge: statement((s: Building<Taking & { challengeDigest: Buffer }>) => {
    const t = s.table(webauthnCeremonies);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isOpen(s), eq(t.challengeDigest, s.param("challengeDigest", t.challengeDigest))))
      .returning();
  }),
};

/** A user's ceremonies. */
export const ceremonyRepository = (tx: Tx) => ({
  insert: (row: CeremonyRow) => tx.run(statements.insert, row),
  /** Forgets what nobody can end any more, so that no user's rows pile up. */
  deleteExpired: (owner: Owner, now: Date) => tx.run(statements.deleteExpired, { ...owner, now }),
  deleteAll: (owner: Owner) => tx.run(statements.deleteAll, owner),
  find: async (owner: Owner, ceremonyId: string) => (await tx.run(statements.find, { ...owner, ceremonyId }))[0],
  delete: (owner: Owner, ceremonyId: string) => tx.run(statements.delete, { ...owner, ceremonyId }),
  /** Takes an open ceremony for one answer: the row for exactly one of any number of callers. */
  take: async (taking: Taking, ceremonyId: string) => (await tx.run(statements.take, { ...taking, ceremonyId }))[0],
  /** The same, by the challenge that the answer holds. */
  takeByChallenge: async (taking: Taking, challengeDigest: Buffer) =>
    (await tx.run(statements.takeByChallenge, { ...taking, challengeDigest }))[0],
});

import { and, eq, isNull } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { all, hasExpired, having, isInTime } from "../../db/conditions.ts";
import { deleteRows, insert, select } from "../../db/rows.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import { type Purpose, webauthnCeremonies } from "./webauthn.table.ts";

/** A row of the table. */
export type CeremonyRow = ReturnType<typeof webauthnCeremonies>["$inferSelect"];

/** What an answer must agree with before it is looked at. */
export type Taking = Owner & { purpose: Purpose; sessionDigest: Buffer; challengeId: string; now: Date };

const isOwners = having(webauthnCeremonies, "tenantId", "userId");
const isCeremony = having(webauthnCeremonies, "tenantId", "userId", "ceremonyId");

const isOpen = all(
  having(webauthnCeremonies, "tenantId", "userId", "purpose", "sessionDigest", "challengeId"),
  isInTime(webauthnCeremonies),
  (s: Building<unknown>) => isNull(s.table(webauthnCeremonies).spendTime),
);

const statements = {
  insert: insert(webauthnCeremonies),
  deleteExpired: deleteRows(webauthnCeremonies, all(isOwners, hasExpired(webauthnCeremonies))),
  deleteAll: deleteRows(webauthnCeremonies, isOwners),
  find: select(webauthnCeremonies, isCeremony),
  delete: deleteRows(webauthnCeremonies, isCeremony),
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

import { and, desc, eq, gt, isNull } from "drizzle-orm";
import type { Owner } from "../../core/caller.ts";
import { isOwnedBy } from "../../db/owned.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import type { ChannelName } from "./channels.ts";
import { otpChallenges, sendDecisions } from "./otp.table.ts";

/** A row of the table. */
export type OtpChallengeRow = ReturnType<typeof otpChallenges>["$inferSelect"];

/** A row of the table. */
export type SendDecisionRow = ReturnType<typeof sendDecisions>["$inferSelect"];

type Key = Owner & { challengeId: string };
type Of = Owner & { channel: ChannelName };
type Renewal = Key & Pick<OtpChallengeRow, "codeDigest" | "messageId" | "codeTime" | "resendAfterTime" | "expireTime">;

const isOwner = (s: Building<Owner>) => isOwnedBy(s, s.table(otpChallenges));

const isChallenge = (s: Building<Key>) => {
  const t = s.table(otpChallenges);
  return and(isOwner(s), eq(t.challengeId, s.param("challengeId", t.challengeId)));
};

const isOpen = (s: Building<{ now: Date }>) => {
  const t = s.table(otpChallenges);
  return and(isNull(t.spendTime), gt(t.expireTime, s.param("now", t.expireTime)));
};

const statements = {
  insert: statement((s: Building<OtpChallengeRow>) => {
    const t = s.table(otpChallenges);
    return s.db.insert(t).values(s.row(t)).returning({ challengeId: t.challengeId });
  }),
  find: statement((s: Building<Key>) => s.db.select().from(s.table(otpChallenges)).where(isChallenge(s))),
  listOpen: statement((s: Building<Of & { now: Date }>) => {
    const t = s.table(otpChallenges);
    return s.db
      .select()
      .from(t)
      .where(and(isOwner(s), eq(t.channel, s.param("channel", t.channel)), isOpen(s)))
      .orderBy(desc(t.codeTime), desc(t.challengeId));
  }),
  delete: statement((s: Building<Key>) => {
    const t = s.table(otpChallenges);
    return s.db.delete(t).where(isChallenge(s)).returning({ challengeId: t.challengeId });
  }),
  deleteOf: statement((s: Building<Of>) => {
    const t = s.table(otpChallenges);
    return s.db
      .delete(t)
      .where(and(isOwner(s), eq(t.channel, s.param("channel", t.channel))))
      .returning({ messageId: t.messageId });
  }),
  renew: statement((s: Building<Renewal & { now: Date }>) => {
    const t = s.table(otpChallenges);
    return s.db
      .update(t)
      .set({
        codeDigest: s.param("codeDigest", t.codeDigest),
        messageId: s.param("messageId", t.messageId),
        codeTime: s.param("codeTime", t.codeTime),
        resendAfterTime: s.param("resendAfterTime", t.resendAfterTime),
        expireTime: s.param("expireTime", t.expireTime),
      })
      .where(and(isChallenge(s), isOpen(s)))
      .returning();
  }),
  spend: statement((s: Building<Key & { codeDigest: Buffer; now: Date }>) => {
    const t = s.table(otpChallenges);
    return s.db
      .update(t)
      .set({ spendTime: s.param("now", t.spendTime) })
      .where(and(isChallenge(s), isOpen(s), eq(t.codeDigest, s.param("codeDigest", t.codeDigest))))
      .returning();
  }),
  insertDecision: statement((s: Building<SendDecisionRow>) => {
    const t = s.table(sendDecisions);
    return s.db.insert(t).values(s.row(t)).returning({ decisionId: t.decisionId });
  }),
};

/** Codes that were sent. */
export const otpChallengeRepository = (tx: Tx) => ({
  insert: (row: OtpChallengeRow) => tx.run(statements.insert, row),
  find: async (key: Key) => (await tx.run(statements.find, key))[0],
  /** Those of a channel whose code can still be typed, newest code first. */
  listOpen: (of: Of, now: Date) => tx.run(statements.listOpen, { ...of, now }),
  delete: (key: Key) => tx.run(statements.delete, key),
  /** Every one of a channel, spent or not. */
  deleteOf: (of: Of) => tx.run(statements.deleteOf, of),
  /** Puts a new code in the place of the older one; undefined when the challenge is not open any more. */
  renew: async (renewal: Renewal, now: Date) => (await tx.run(statements.renew, { ...renewal, now }))[0],
  /**
   * Spends the code of this digest: the row for exactly one of any number of callers; undefined for the others, and once
   * the code was replaced or has expired.
   */
  spend: async (code: Key & { codeDigest: Buffer }, now: Date) => (await tx.run(statements.spend, { ...code, now }))[0],
});

/** What was decided about sending. */
export const sendDecisionRepository = (tx: Tx) => ({
  insert: (row: SendDecisionRow) => tx.run(statements.insertDecision, row),
});

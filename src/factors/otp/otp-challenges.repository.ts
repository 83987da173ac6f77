import { and, eq, isNull } from "drizzle-orm";
import { type RowOf, reading, rewriting, type WithMac } from "../../db/bound-rows.ts";
import { isInTime, whereAll, whereEquals } from "../../db/conditions.ts";
import { deleteRows, insert, select, setParams } from "../../db/rows.ts";
import type { Owner } from "../../db/store.ts";
import { type Building, statement, type Tx } from "../../db/store.ts";
import type { ChannelName } from "./channels.ts";
import { otpChallenges, sendDecisions } from "./otp.table.ts";

/** A row of the table. */
export type OtpChallengeRow = RowOf<typeof otpChallenges>;

/** A row of the table. */
export type SendDecisionRow = ReturnType<typeof sendDecisions>["$inferSelect"];

type Key = Owner & { challengeId: string };
type Of = Owner & { channel: ChannelName };

const isOf = whereEquals(otpChallenges, "tenantId", "userId", "channel");
const isChallenge = whereEquals(otpChallenges, "tenantId", "userId", "challengeId");

const isOpen = whereAll(isInTime(otpChallenges), (s: Building<unknown>) => isNull(s.table(otpChallenges).spendTime));

const statements = {
  insert: insert(otpChallenges),
  find: select(otpChallenges, isChallenge),
  listOpen: select(otpChallenges, whereAll(isOf, isOpen), { time: "codeTime", id: "challengeId", newestFirst: true }),
  delete: deleteRows(otpChallenges, isChallenge),
  deleteOf: deleteRows(otpChallenges, isOf),
  renew: rewriting(
    otpChallenges,
    statement((s: Building<WithMac<OtpChallengeRow> & { now: Date }>) => {
      const t = s.table(otpChallenges);
      return s.db
        .update(t)
        .set({
          ...setParams(s, t, "codeDigest", "messageId", "codeTime", "resendAfterTime", "expireTime", "boundMac"),
        })
        .where(and(isChallenge(s), isOpen(s)))
        .returning();
    }),
  ),
  spend: reading(
    otpChallenges,
    statement((s: Building<Key & { codeDigest: Buffer; now: Date }>) => {
      const t = s.table(otpChallenges);
      return s.db
        .update(t)
        .set({ spendTime: s.param("now", t.spendTime) })
        .where(and(isChallenge(s), isOpen(s), eq(t.codeDigest, s.param("codeDigest", t.codeDigest))))
        .returning();
    }),
  ),
  insertDecision: insert(sendDecisions),
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
  renew: async (renewal: OtpChallengeRow, now: Date) => (await tx.run(statements.renew, { ...renewal, now }))[0],
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

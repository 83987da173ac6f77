import { isNotNull } from "drizzle-orm";
import { bindRows } from "../../db/bound-rows.ts";
import type { Dialect } from "../../db/dialect.ts";
import type { ChannelName } from "./channels.ts";

/** "former" was taken out of force, and is kept only until it has been told so. */
export type OtpAddressState = "pending" | "active" | "disabled" | "former";

/** What a code is for. */
export type OtpPurpose = "enroll" | "log_in" | "step_up";

/** Numbers and addresses that users get codes at. */
export const otpAddresses = (d: Dialect) =>
  d.table(
    "otp_addresses",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      factorId: d.text("factor_id").notNull(),
      channel: d.text("channel").$type<ChannelName>().notNull(),
      state: d.text("state").$type<OtpAddressState>().notNull(),
      sealedAddress: d.bytes("sealed_address").notNull(),
      /** A peppered digest: equal for equal addresses. */
      addressDigest: d.bytes("address_digest").notNull(),
      /** What lists show. */
      masked: d.text("masked").notNull(),
      country: d.text("country").notNull(),
      /** A peppered digest of what adjacent numbers have in common; empty for e-mail. */
      block: d.text("block").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      verifyTime: d.instant("verify_time"),
      lastUseTime: d.instant("last_use_time"),
      /** When a pending or former one is forgotten; null for those in use. */
      expireTime: d.instant("expire_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.factorId] }),
      d.index("otp_addresses_by_end").on(t.expireTime).where(isNotNull(t.expireTime)),
    ],
  );

/** Codes that were sent and can still be typed. */
export const otpChallenges = (d: Dialect) =>
  d.table(
    "otp_challenges",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      challengeId: d.text("challenge_id").notNull(),
      channel: d.text("channel").$type<ChannelName>().notNull(),
      factorId: d.text("factor_id").notNull(),
      purpose: d.text("purpose").$type<OtpPurpose>().notNull(),
      /**
       * What stands for the session that asked for it: SHA-256 of its id, base64url, and for a challenge's code `challenge/`
       * before that of the challenge's. A code typed in another is wrong. Empty where tokens name none. Rows from before
       * this was a digest hold the id itself: no session is theirs, and they run out within ten minutes.
       */
      sessionId: d.text("session_id").notNull(),
      /** HMAC under the pepper of code, challenge, purpose, session and user. */
      codeDigest: d.bytes("code_digest").notNull(),
      /** The newest message of the outbox with its code. */
      messageId: d.text("message_id").notNull(),
      createTime: d.instant("create_time").notNull(),
      /** When the code was made; one not newer than the last lock is dead. */
      codeTime: d.instant("code_time").notNull(),
      resendAfterTime: d.instant("resend_after_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      spendTime: d.instant("spend_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.challengeId] }),
      d.index("otp_challenges_by_end").on(t.expireTime),
    ],
  );

/** What was decided about sending, and why: for those who look into fraud. */
export const sendDecisions = (d: Dialect) =>
  d.table(
    "send_decisions",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      decisionId: d.text("decision_id").notNull(),
      channel: d.text("channel").$type<ChannelName>().notNull(),
      purpose: d.text("purpose").$type<OtpPurpose>().notNull(),
      /** "record" is sent although a budget was exceeded, as the tenant only records. */
      decision: d.text("decision").$type<"allow" | "record" | "deny">().notNull(),
      /** The budgets exceeded. */
      reasons: d.json<readonly string[]>("reasons").notNull(),
      masked: d.text("masked").notNull(),
      country: d.text("country").notNull(),
      ip: d.text("ip").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.decisionId] }),
      d.index("send_decisions_by_user").on(t.tenantId, t.userId, t.createTime),
      d.index("send_decisions_by_end").on(t.createTime),
      d.index("send_decisions_by_time").on(t.tenantId, t.createTime),
    ],
  );

const ofAddress = "says what is sealed for this row and no other: it can be spoilt, not chosen";

bindRows(
  otpAddresses,
  ["tenantId", "userId", "factorId", "channel", "verifyTime"],
  {
    state: "ends it, or takes it back to an earlier state: that it was proven is under the MAC",
    sealedAddress: ofAddress,
    addressDigest: ofAddress,
    masked: ofAddress,
    country: ofAddress,
    block: ofAddress,
    createTime: "shown, and asked nowhere",
    updateTime: "for how long notices still go to one that was replaced",
    lastUseTime: "shown, and asked nowhere",
    expireTime: "when one that is pending or was replaced is forgotten",
  },
  { broken: "absent", agrees: ({ state, verifyTime }) => (state === "pending") === (verifyTime === null) },
);

bindRows(
  otpChallenges,
  [
    ...(["tenantId", "userId", "challengeId", "channel", "factorId", "purpose", "sessionId", "codeDigest"] as const),
    ...(["createTime", "codeTime", "expireTime"] as const),
  ],
  {
    messageId: "which message is taken back when another is sent",
    resendAfterTime: "when another may be sent; budgets limit how many",
    spendTime: "back to null it is the row's earlier state",
  },
);

import { bindRows } from "../db/bound-rows.ts";
import type { Dialect } from "../db/dialect.ts";

/** Hosted prompts: which browser may prove a challenge, and where the proof goes. Holds digests of secrets only. */
export const prompts = (d: Dialect) =>
  d.table(
    "prompts",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      promptId: d.text("prompt_id").notNull(),
      /** Its challenge, which is redeemed by the code only. */
      challengeId: d.text("challenge_id").notNull(),
      /** The backend that created it. */
      clientId: d.text("client_id").notNull(),
      returnUrl: d.text("return_url").notNull(),
      /** The backend's own, repeated at the return address. */
      state: d.text("state").notNull(),
      /** SHA-256 of the code verifier, base64url. */
      codeChallenge: d.text("code_challenge").notNull(),
      locale: d.text("locale").notNull(),
      application: d.text("application").notNull(),
      /** The address and the browser that the log-in was begun from, as the backend saw them. */
      ip: d.text("ip").notNull(),
      userAgent: d.text("user_agent").notNull(),
      /** Of the secret in the prompt's address. */
      handleDigest: d.bytes("handle_digest").notNull(),
      /** Of the cookie of the browser that opened it; null before. */
      cookieDigest: d.bytes("cookie_digest"),
      /** Of the newest code; null before the proof. */
      codeDigest: d.bytes("code_digest"),
      codeExpireTime: d.instant("code_expire_time"),
      /** When the code was presented, by whomever, or the prompt was cancelled: nothing comes of it any more. */
      endTime: d.instant("end_time"),
      createTime: d.instant("create_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.promptId] }),
      // Only the prompt itself says whose it is.
      d.uniqueIndex("prompts_id").on(t.promptId),
      d.index("prompts_by_end").on(t.expireTime),
    ],
  );

bindRows(
  prompts,
  [
    ...(["tenantId", "userId", "promptId", "challengeId", "clientId", "returnUrl", "state", "codeChallenge"] as const),
    ...(["locale", "application", "ip", "userAgent", "handleDigest", "cookieDigest", "codeDigest"] as const),
    ...(["codeExpireTime", "createTime", "expireTime"] as const),
  ],
  { endTime: "ends it; back to null it is the row's earlier state" },
  { broken: "absent" },
);

import { bindRows } from "../../db/bound-rows.ts";
import type { Dialect } from "../../db/dialect.ts";

/** What the authenticator is told whose passkeys are: nothing that a stranger could read a name from. */
export const webauthnUsers = (d: Dialect) =>
  d.table(
    "webauthn_users",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      /** 64 random bytes (WebAuthn §14.6.1), the same at every relying party and never changed. */
      userHandle: d.bytes("user_handle").notNull(),
      /** The name that authenticators show, as last registered with; for the browser's Signal API. */
      userName: d.text("user_name").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [d.primaryKey({ columns: [t.tenantId, t.userId] })],
  );

/** Passkeys and security keys: public halves, proven by the registration itself, so that no row is ever pending. */
export const webauthnCredentials = (d: Dialect) =>
  d.table(
    "webauthn_credentials",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      credentialId: d.text("credential_id").notNull(),
      /** The authenticator's own id, up to 1023 bytes. */
      webauthnId: d.bytes("webauthn_id").notNull(),
      rpId: d.text("rp_id").notNull(),
      /** COSE_Key. */
      publicKey: d.bytes("public_key").notNull(),
      /** COSE algorithm: -7, -8 or -257. */
      algorithm: d.integer("algorithm").notNull(),
      /** A MAC over whose key this is: a row written by somebody else than us, or moved, proves nothing. */
      rowMac: d.bytes("row_mac").notNull(),
      /** The signature counter, uint32; 0 for authenticators that keep none. Lowered by an administrator only. */
      counter: d.counter("counter").notNull(),
      /** Whether the user was verified at registration (uvInitialized). Never raised later: a found key has no PIN yet. */
      userVerified: d.boolean("user_verified").notNull(),
      backupEligible: d.boolean("backup_eligible").notNull(),
      /** False for an import without the flag: the first assertion says it. Null, in older rows, is known. */
      backupKnown: d.boolean("backup_known"),
      /** Whether it signed with another flag BE than before. Null, in older rows, is false. */
      eligibilityChanged: d.boolean("eligibility_changed"),
      backedUp: d.boolean("backed_up").notNull(),
      transports: d.json<readonly string[]>("transports").notNull(),
      /** "platform", "cross-platform" or empty: what the browser said. */
      attachment: d.text("attachment").notNull(),
      discoverable: d.boolean("discoverable").notNull(),
      aaguid: d.text("aaguid").notNull(),
      /** Whether its attestation led to a root of the metadata. */
      attested: d.boolean("attested").notNull(),
      attestationFormat: d.text("attestation_format").notNull(),
      cloneWarning: d.boolean("clone_warning").notNull(),
      displayName: d.text("display_name").notNull(),
      version: d.counter("version").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      lastUseTime: d.instant("last_use_time"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.credentialId] }),
      // Of all tenants: no credential is registered twice, to anyone (WebAuthn §7.1).
      d.uniqueIndex("webauthn_credentials_by_webauthn_id").on(t.webauthnId),
    ],
  );

/** What a ceremony is for. */
export type CeremonyPurpose = "register" | "authenticate";

/** How much user verification a ceremony insists on. */
export type Insistence = "discouraged" | "preferred" | "required";

/** Registrations and authentications under way: five minutes, once. */
export const webauthnCeremonies = (d: Dialect) =>
  d.table(
    "webauthn_ceremonies",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      ceremonyId: d.text("ceremony_id").notNull(),
      purpose: d.text("purpose").$type<CeremonyPurpose>().notNull(),
      /** SHA-256 of the challenge, which itself is not kept. */
      challengeDigest: d.bytes("challenge_digest").notNull(),
      /** SHA-256 of the session it began in; only that session ends it. */
      sessionDigest: d.bytes("session_digest").notNull(),
      /** The pending challenge that it proves; empty for a proof of its own. */
      challengeId: d.text("challenge_id").notNull(),
      /** The digest of the action inside the challenge; null without one. */
      actionDigest: d.bytes("action_digest"),
      rpId: d.text("rp_id").notNull(),
      userVerification: d.text("user_verification").$type<Insistence>().notNull(),
      /** Of a registration: whether the credential must be found without a user name. */
      discoverable: d.text("discoverable").$type<Insistence>().notNull(),
      /** Of a registration: the only attachment admitted; empty for either. */
      attachment: d.text("attachment").notNull(),
      /** Of a registration: what to call the credential; empty for the model's name. */
      displayName: d.text("display_name").notNull(),
      /** Of a registration: the name that the authenticator was given. */
      userName: d.text("user_name").notNull(),
      createTime: d.instant("create_time").notNull(),
      expireTime: d.instant("expire_time").notNull(),
      /** When an answer came, right or wrong; another one is not looked at. */
      spendTime: d.instant("spend_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.ceremonyId] }),
      d.index("webauthn_ceremonies_by_challenge").on(t.tenantId, t.userId, t.challengeDigest),
      d.index("webauthn_ceremonies_by_end").on(t.expireTime),
    ],
  );

bindRows(
  webauthnCeremonies,
  [
    ...(["tenantId", "userId", "ceremonyId", "purpose", "challengeDigest", "sessionDigest", "challengeId"] as const),
    ...(["actionDigest", "rpId", "userVerification", "discoverable", "attachment", "displayName", "userName"] as const),
    ...(["createTime", "expireTime"] as const),
  ],
  { spendTime: "back to null it is the row's earlier state" },
);

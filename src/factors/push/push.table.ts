import { isNotNull, sql } from "drizzle-orm";
import { bindRows } from "../../db/bound-rows.ts";
import type { Dialect } from "../../db/dialect.ts";

/** Where a device hears of challenges, as it is stored. */
export type PushChannel = "poll" | "web-push" | "fcm" | "apns" | "push-webhook";

/** What the phone shows about a request. */
export interface PushContext {
  readonly ip: string;
  readonly location: string;
  readonly application: string;
  readonly userAgent: string;
  readonly renderedAction: string;
}

/** Paired phones: pending until one answers the pairing code. */
export const pushDevices = (d: Dialect) =>
  d.table(
    "push_devices",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      deviceId: d.text("device_id").notNull(),
      displayName: d.text("display_name").notNull(),
      /** Of a revoked one only the fact is kept: neither key nor address. */
      state: d.text("state").$type<"pending" | "active" | "revoked">().notNull(),
      channel: d.text("channel").$type<PushChannel>().notNull(),
      /** Whether its provider reported the address gone; then the device polls. */
      channelGone: d.boolean("channel_gone").notNull(),
      /** Null where it polls. */
      sealedAddress: d.bytes("sealed_address"),
      /** Grows with every new address, so that one that is gone retires no newer one. */
      addressVersion: d.counter("address_version").notNull(),
      keyAlgorithm: d.text("key_algorithm").$type<"ES256" | "ED25519" | "">().notNull(),
      /** SubjectPublicKeyInfo, DER; null before and after use. */
      publicKey: d.bytes("public_key"),
      /** Binds the key to this device of this user: a key that somebody else wrote here signs nothing. */
      keyMac: d.bytes("key_mac"),
      platform: d.text("platform").notNull(),
      /** The peppered digest of the pairing token; null once it is spent. */
      pairingDigest: d.bytes("pairing_digest"),
      /** SHA-256 of the session that started the pairing, or of its log-in's time: this device never approves its requests. */
      sessionDigest: d.bytes("session_digest"),
      /** Whether pairing was started without a second factor, as the user had none. */
      first: d.boolean("first").notNull(),
      version: d.counter("version").notNull(),
      createTime: d.instant("create_time").notNull(),
      updateTime: d.instant("update_time").notNull(),
      lastUseTime: d.instant("last_use_time"),
      /** When a pending one is forgotten; null once it is paired. */
      expireTime: d.instant("expire_time"),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.deviceId] }),
      d.uniqueIndex("push_devices_by_id").on(t.deviceId),
      d.index("push_devices_by_pairing").on(t.pairingDigest),
      d.index("push_devices_revoked").on(t.updateTime).where(sql`${t.state} = 'revoked'`),
      d.index("push_devices_by_end").on(t.expireTime).where(isNotNull(t.expireTime)),
    ],
  );

/** Requests for approval, and how they were answered. Never holds the number. */
export const pushChallenges = (d: Dialect) =>
  d.table(
    "push_challenges",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      pushId: d.text("push_id").notNull(),
      /** A UUIDv7, for the places of pages. */
      rowId: d.text("row_id").notNull(),
      /** The generic challenge that an approval proves: of the same id for the first that is asked for it. */
      challengeId: d.text("challenge_id").notNull(),
      /** The device that was asked; empty when all were. */
      deviceId: d.text("device_id").notNull(),
      /** The backend that asked; empty for the user. */
      createdBy: d.text("created_by").notNull(),
      sessionDigest: d.bytes("session_digest"),
      /** As it was written last; what time, a lock or a change of factors ended still says "pending" or "approved". */
      state: d.text("state").$type<"pending" | "approved" | "denied" | "cancelled" | "failed" | "redeemed">().notNull(),
      nonce: d.bytes("nonce").notNull(),
      /** Peppered, bound to challenge and user; null once it is answered. */
      numberDigest: d.bytes("number_digest"),
      numberLength: d.integer("number_length").$type<2 | 6>().notNull(),
      context: d.json<PushContext>("context").notNull(),
      actionDigest: d.bytes("action_digest"),
      /** Numbers that were let in to be judged. */
      attempts: d.integer("attempts").notNull(),
      /** Those that were wrong. */
      wrongNumbers: d.integer("wrong_numbers").notNull(),
      denyReason: d.text("deny_reason").$type<"NOT_ME" | "MISTAKE" | "OTHER" | "">().notNull(),
      decidedDeviceId: d.text("decided_device_id").notNull(),
      createTime: d.instant("create_time").notNull(),
      /** Until when it can be answered; of an approved one, until when it can be redeemed. */
      expireTime: d.instant("expire_time").notNull(),
      decideTime: d.instant("decide_time"),
      /** From creation to answer, for the median. */
      answerMs: d.integer("answer_ms"),
      updateTime: d.instant("update_time").notNull(),
      boundMac: d.bytes("bound_mac"),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.pushId] }),
      d.index("push_challenges_by_user").on(t.tenantId, t.userId, t.createTime, t.rowId),
      d.index("push_challenges_by_time").on(t.tenantId, t.createTime, t.rowId),
      d.index("push_challenges_by_end").on(t.createTime),
      d.index("push_challenges_by_challenge").on(t.tenantId, t.userId, t.challengeId),
    ],
  );

/** How often the limits against bombing refused a request, by user and hour. */
export const pushBlocks = (d: Dialect) =>
  d.table(
    "push_blocks",
    {
      tenantId: d.text("tenant_id").notNull(),
      userId: d.text("user_id").notNull(),
      hour: d.instant("hour").notNull(),
      count: d.integer("count").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.userId, t.hour] }),
      d.index("push_blocks_by_end").on(t.hour),
      d.index("push_blocks_by_time").on(t.tenantId, t.hour, t.userId),
    ],
  );

/** The keys by which a tenant's messages are known to push services (RFC 8292). */
export const vapidKeys = (d: Dialect) =>
  d.table("vapid_keys", {
    tenantId: d.text("tenant_id").primaryKey().notNull(),
    /** The uncompressed point, to look at: what browsers get is worked out from the private half. */
    publicKey: d.bytes("public_key").notNull(),
    /** PKCS #8, sealed. */
    sealedPrivateKey: d.bytes("sealed_private_key").notNull(),
    createTime: d.instant("create_time").notNull(),
  });

const keyed = "the key has a MAC of its own, which names device, user and tenant; without one nothing is signed";
const addressed = "where the phone hears of requests; what it does about them it signs";
const shown = "shown to its user, and asked nowhere";

bindRows(
  pushDevices,
  ["tenantId", "userId", "deviceId", "pairingDigest", "sessionDigest", "first", "createTime", "expireTime"],
  {
    state: "ends it, or takes it back to an earlier state: that it was paired, and so has no end, is under the MAC",
    keyAlgorithm: keyed,
    publicKey: keyed,
    keyMac: keyed,
    channel: addressed,
    channelGone: addressed,
    sealedAddress: addressed,
    addressVersion: addressed,
    displayName: shown,
    platform: shown,
    version: shown,
    updateTime: shown,
    lastUseTime: shown,
  },
  { broken: "absent", agrees: ({ state, expireTime }) => (state === "pending") === (expireTime !== null) },
);

const answered = "an approval proves the challenge in the same unit, and it is that one's MAC that says so";

bindRows(
  pushChallenges,
  [
    ...(["tenantId", "userId", "pushId", "challengeId", "deviceId", "createdBy", "sessionDigest", "nonce"] as const),
    ...(["numberLength", "context", "actionDigest", "createTime"] as const),
  ],
  {
    rowId: "the place in lists",
    state: answered,
    denyReason: answered,
    decidedDeviceId: answered,
    decideTime: answered,
    answerMs: answered,
    numberDigest: "by our keys, over the number, user and request: another one matches nothing",
    attempts: "an older count is the row's earlier state",
    wrongNumbers: "an older count is the row's earlier state",
    expireTime: "the challenge that it is for has an end of its own, under its MAC",
    updateTime: "shown, and asked nowhere",
  },
);

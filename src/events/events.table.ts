import { isNotNull, isNull } from "drizzle-orm";
import type { EventType, FailureReason } from "../../gen/mfa/v1/event_pb.js";
import type { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Dialect } from "../db/dialect.ts";

/** Events of users' factors and log-ins, in order: the outbox for backends and webhooks. */
export const events = (d: Dialect) =>
  d.table(
    "events",
    {
      tenantId: d.text("tenant_id").notNull(),
      eventId: d.text("event_id").notNull(),
      /** The sequence number in the tenant's stream, from 1; null until the sequencer gives it, after the commit. */
      position: d.counter("position"),
      userId: d.text("user_id").notNull(),
      /** Names of the contract's enum values, so that stored rows never change their meaning. */
      type: d.text("type").$type<keyof typeof EventType>().notNull(),
      factorType: d.text("factor_type").$type<keyof typeof FactorType>().notNull(),
      failureReason: d.text("failure_reason").$type<keyof typeof FailureReason>().notNull(),
      /** After a refused proof, the attempts left before a lock; 0 otherwise. */
      attemptsRemaining: d.integer("attempts_remaining").notNull().default(0),
      /** The factor instance's id, or the receipt's id of USER_ERASED; empty where the event is about the user. */
      factorId: d.text("factor_id").notNull(),
      /** SHA-256 of the challenge's id, base64url; empty without one. */
      challengeDigest: d.text("challenge_digest").notNull().default(""),
      /** The user's address, agent and application, as far as known. */
      ip: d.text("ip").notNull().default(""),
      userAgent: d.text("user_agent").notNull().default(""),
      application: d.text("application").notNull().default(""),
      /** The principal's kind. */
      actorType: d.text("actor_type").notNull().default("UNSPECIFIED"),
      /** The actor; empty where that is the user. */
      actorId: d.text("actor_id").notNull().default(""),
      /** The user's epoch after the event; 0 where it did not change. */
      mfaEpoch: d.counter("mfa_epoch").notNull().default(0),
      rpc: d.text("rpc").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.eventId] }),
      d.uniqueIndex("events_of_tenant").on(t.tenantId, t.position).where(isNotNull(t.position)),
      /** As small as the backlog, and in the order in which events are numbered. */
      d.index("events_unplaced").on(t.tenantId, t.eventId).where(isNull(t.position)),
      d.index("events_by_time").on(t.tenantId, t.createTime, t.eventId),
      d.index("events_by_user").on(t.tenantId, t.userId, t.createTime, t.type),
    ],
  );

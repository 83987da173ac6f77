import type { EventType, FailureReason } from "../../gen/mfa/v1/event_pb.js";
import type { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Dialect } from "../db/dialect.ts";

/** What happened to users' factors and log-ins, in order: the outbox that backends and webhooks read. */
export const events = (d: Dialect) =>
  d.table(
    "events",
    {
      tenantId: d.text("tenant_id").notNull(),
      eventId: d.text("event_id").notNull(),
      /** The place in the tenant's stream, from 1; null until it is placed, after its commit (`placing.ts`). */
      position: d.counter("position"),
      userId: d.text("user_id").notNull(),
      /** The enums' names in the contract, so that a number never changes its meaning under stored rows. */
      type: d.text("type").$type<keyof typeof EventType>().notNull(),
      factorType: d.text("factor_type").$type<keyof typeof FactorType>().notNull(),
      failureReason: d.text("failure_reason").$type<keyof typeof FailureReason>().notNull(),
      /** After a refused proof, how many more would be judged before a lock; 0 otherwise. */
      attemptsRemaining: d.integer("attempts_remaining").notNull().default(0),
      /** A device's id; empty where nothing narrower than the user is meant. */
      factorId: d.text("factor_id").notNull(),
      /** SHA-256 of the challenge's id, base64url; empty without one. */
      challengeDigest: d.text("challenge_digest").notNull().default(""),
      /** The user's address, browser and application, as far as they are known. */
      ip: d.text("ip").notNull().default(""),
      userAgent: d.text("user_agent").notNull().default(""),
      application: d.text("application").notNull().default(""),
      /** The principal's kind. */
      actorType: d.text("actor_type").notNull().default("UNSPECIFIED"),
      /** Who caused it; empty where that is the user. */
      actorId: d.text("actor_id").notNull().default(""),
      /** The user's epoch after it; 0 where it did not change. */
      mfaEpoch: d.counter("mfa_epoch").notNull().default(0),
      rpc: d.text("rpc").notNull(),
      createTime: d.instant("create_time").notNull(),
    },
    (t) => [
      d.primaryKey({ columns: [t.tenantId, t.eventId] }),
      d.uniqueIndex("events_by_position").on(t.position, t.tenantId),
      d.index("events_of_tenant").on(t.tenantId, t.position),
      d.index("events_by_time").on(t.tenantId, t.createTime, t.eventId),
      d.index("events_by_user").on(t.tenantId, t.userId),
    ],
  );

import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Event, EventSchema, EventType, FailureReason } from "../../gen/mfa/v1/event_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { cursorOf } from "./event-stream.ts";
import type { EventRow } from "./events.repository.ts";

/** Makes the contract's message of an event, for backends and webhooks. */
export const toEvent = (row: EventRow): Event =>
  create(EventSchema, {
    eventId: row.eventId,
    cursor: cursorOf(row.position ?? 0, row),
    type: EventType[row.type],
    userId: row.userId,
    factorType: FactorType[row.factorType],
    ...(row.type === "USER_ERASED" ? { receiptId: row.factorId } : { factorId: row.factorId }),
    challengeDigest: row.challengeDigest,
    failureReason: FailureReason[row.failureReason],
    attemptsRemaining: row.attemptsRemaining,
    ip: row.ip,
    userAgent: row.userAgent,
    application: row.application,
    actorType: Principal[row.actorType as keyof typeof Principal],
    actorId: row.actorId,
    mfaEpoch: BigInt(row.mfaEpoch),
    createTime: timestampFromDate(row.createTime),
  });

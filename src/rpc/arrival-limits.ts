import { constants, type ServerHttp2Stream } from "node:http2";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Status,
} from "@grpc/grpc-js";
import type { LimitName, ListenerLimits, OnLimit } from "../core/listener-limits.ts";
import { Refusal } from "../core/refusal.ts";
import { sameLimit } from "../core/same-limit.ts";
import { refusalToError } from "./errors.ts";
import { toStatus } from "./grpc-status.ts";
import { type PartialStatusObject, watchOwnAnswers } from "./own-answers.ts";

type CallLimits = Pick<ListenerLimits, "maxMetadataBytes" | "arrivalMs" | "maxUnaryMs" | "maxStreamMs" | "lingerMs">;

const BYTES_PER_HEADER = 32;

function sizeOf(metadata: Metadata): number {
  let size = 0;
  for (const [name, values] of Object.entries(metadata.toJSON())) {
    for (const value of values) size += name.length + value.length + BYTES_PER_HEADER;
  }
  return size;
}

/** grpc-js can end a call but not its stream: a client that leaves its half open keeps that for as long as it likes. */
const streamOf = (call: ServerInterceptingCallInterface) =>
  (call as unknown as { readonly stream: ServerHttp2Stream }).stream;

/** What an interceptor of a listener reports. */
export interface ArrivalReports {
  /** A call came, from this peer. */
  readonly onCall: (address: string, port: number) => void;
  readonly onLimit: OnLimit;
}

/**
 * Ends calls that a stranger could keep open for ever: before authentication, without a body, without an end; and those
 * that grpc-js would answer by itself. Must stand first among the interceptors.
 */
export function limitArrivals(limits: CallLimits, { onCall, onLimit }: ArrivalReports): ServerInterceptor {
  // Streams are many and stay: they cost no timer each once they have arrived.
  const streams = sameLimit(limits.maxStreamMs);
  return ({ requestStream }, call) => {
    const { remoteAddress = "", remotePort = 0 } = call.getConnectionInfo();
    onCall(remoteAddress, remotePort);
    const stream = streamOf(call);
    const { refusal, speakOurselves } = watchOwnAnswers(call, onLimit);
    let arrived = false;
    let messages = 0;
    const end = (status: PartialStatusObject) => {
      // Nothing is waited for any more: what comes behind our status changes nothing about its end.
      arrived = true;
      speakOurselves();
      call.sendStatus(status);
      clearTimeout(timer);
      timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), limits.lingerMs);
    };
    const late = (limit: LimitName) => {
      onLimit(limit);
      end({ code: Status.DEADLINE_EXCEEDED, details: "the call took too long" });
    };
    const miscounted = () => {
      onLimit("message_count");
      end(toStatus(refusalToError(new Refusal("MALFORMED_MESSAGE"))));
    };
    // One timer for both spans: almost every unary call is over before it fires.
    let timer: NodeJS.Timeout | undefined = setTimeout(() => {
      if (!arrived) return late("arrival");
      timer = setTimeout(() => late("unary"), limits.maxUnaryMs);
    }, limits.arrivalMs);
    let ended = () => {};
    const begun = () => {
      if (arrived) return;
      arrived = true;
      clearTimeout(timer);
      timer = undefined;
      ended = streams.begin(() => late("stream"));
    };
    stream.once("close", () => {
      clearTimeout(timer);
      ended();
    });

    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, pass) {
            if (refusal) return end(refusal);
            if (sizeOf(metadata) <= limits.maxMetadataBytes) return pass(metadata);
            onLimit("metadata");
            end({ code: Status.RESOURCE_EXHAUSTED, details: "the metadata is too large" });
          },
          onReceiveMessage(message, pass) {
            messages += 1;
            // Whether a stream has a second message, only its handler knows.
            if (requestStream) begun();
            else if (messages > 1) return miscounted();
            pass(message);
          },
          onReceiveHalfClose(pass) {
            if (requestStream) begun();
            else if (messages === 0) return miscounted();
            arrived = true;
            pass();
          },
        }),
      sendMetadata(metadata, next) {
        metadata.set("grpc-accept-encoding", "identity");
        next(metadata);
      },
      sendStatus(status, next) {
        speakOurselves();
        next(status);
      },
    });
  };
}

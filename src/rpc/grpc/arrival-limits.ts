import { constants, type ServerHttp2Stream } from "node:http2";
import {
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Status,
} from "@grpc/grpc-js";
import { Refusal } from "../../core/refusal.ts";
import type { LimitName, ListenerLimits, OnLimit } from "../limits/listener-limits.ts";
import { createSharedTimeout } from "../limits/shared-timeout.ts";
import { refusalToError } from "../serve/errors.ts";
import { type PartialStatusObject, watchBuiltinErrors } from "./builtin-errors.ts";
import { toGrpcStatus } from "./error-status.ts";

type CallLimits = Pick<ListenerLimits, "arrivalMs" | "maxUnaryMs" | "maxStreamMs" | "lingerMs">;

/** grpc-js can end a call but not its stream: a client that leaves its half open keeps the stream open. */
const streamOf = (call: ServerInterceptingCallInterface) =>
  (call as unknown as { readonly stream: ServerHttp2Stream }).stream;

/**
 * Ends calls that an unauthenticated client could keep open, without a body or an end, and those that grpc-js would
 * answer by itself. Must be the first interceptor.
 */
export function limitArrivals(limits: CallLimits, onLimit: OnLimit): ServerInterceptor {
  // Streams are many and stay: they cost no timer each once they have arrived.
  const streams = createSharedTimeout(limits.maxStreamMs);
  return ({ requestStream }, call) => {
    const stream = streamOf(call);
    const { refusal, speakOurselves } = watchBuiltinErrors(call, onLimit);
    let arrived = false;
    let messages = 0;
    const end = (status: PartialStatusObject) => {
      // Nothing more is awaited: messages after our status change nothing.
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
      end(toGrpcStatus(refusalToError(new Refusal("MALFORMED_MESSAGE"))));
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
            pass(metadata);
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

import { constants, type ServerHttp2Stream } from "node:http2";
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status,
} from "@grpc/grpc-js";
import type { ListenerLimits } from "./limits.ts";

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

/**
 * Ends calls that a stranger could keep open for ever: before authentication, without a body, without an end. Must
 * stand first among the interceptors. `onCall` hears of each call and the peer it came from.
 */
export function limitArrivals(limits: CallLimits, onCall: (address: string, port: number) => void): ServerInterceptor {
  return ({ requestStream }, call) => {
    const { remoteAddress = "", remotePort = 0 } = call.getConnectionInfo();
    onCall(remoteAddress, remotePort);
    const stream = streamOf(call);
    let arrived = false;
    const end = (code: status, details: string) => {
      call.sendStatus({ code, details });
      clearTimeout(timer);
      timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), limits.lingerMs);
    };
    const late = () => end(status.DEADLINE_EXCEEDED, "the call took too long");
    // One timer for both spans: almost every call is over before it fires.
    let timer = setTimeout(() => {
      if (!arrived) return late();
      timer = setTimeout(late, requestStream ? limits.maxStreamMs : limits.maxUnaryMs);
    }, limits.arrivalMs);
    stream.once("close", () => clearTimeout(timer));

    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, pass) {
            if (sizeOf(metadata) <= limits.maxMetadataBytes) return pass(metadata);
            end(status.RESOURCE_EXHAUSTED, "the metadata is too large");
          },
          onReceiveMessage(message, pass) {
            // Whether a stream has a second message, only its handler knows.
            if (requestStream) arrived = true;
            pass(message);
          },
          onReceiveHalfClose(pass) {
            arrived = true;
            pass();
          },
        }),
    });
  };
}

import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { status as GrpcStatus, type StatusObject } from "@grpc/grpc-js";
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.js";
import { Refusal } from "../../core/refusal.ts";
import type { ListenerLimits, OnLimit } from "../limits/listener-limits.ts";
import { createSharedTimeout } from "../limits/shared-timeout.ts";
import { refusalToError } from "../serve/errors.ts";
import { toGrpcStatus } from "./error-status.ts";
import { readFirstMessage } from "./first-message.ts";
import type { HealthState } from "./health.ts";
import { endWithStatus, GRPC_HEAD } from "./stream-status.ts";

/** The path of the RPC. */
export const WATCH_PATH = "/grpc.health.v1.Health/Watch";

/** The unread bytes that a slow client may accumulate: a few statuses. */
const MAX_UNREAD_BYTES = 64;

const MALFORMED = toGrpcStatus(refusalToError(new Refusal("MALFORMED_MESSAGE")));
const STOPPING = { code: GrpcStatus.UNAVAILABLE, details: "the server is stopping" };
const LATE = { code: GrpcStatus.DEADLINE_EXCEEDED, details: "the call took too long" };

/** A message in gRPC's framing; there are few and they are constant. */
function frameOf(status: Status): Buffer {
  const body = toBinary(HealthCheckResponseSchema, create(HealthCheckResponseSchema, { status }));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}
const frames = new Map(
  [Status.UNKNOWN, Status.SERVING, Status.NOT_SERVING, Status.SERVICE_UNKNOWN].map((one) => [one, frameOf(one)]),
);

/** The state of an open watch. */
interface Watched {
  readonly service: string;
  told: Status | undefined;
}

/**
 * Serves `grpc.health.v1.Health/Watch` on the HTTP/2 stream itself. Unauthenticated clients may hold these streams open
 * for an hour: a grpc-js call costs 48 KB, a stream here 2 KB. One listener serves all of them.
 */
export function createHealthWatch(
  state: HealthState,
  limits: Pick<ListenerLimits, "arrivalMs" | "maxStreamMs" | "lingerMs">,
  { onLimit, stopping }: { readonly onLimit: OnLimit; readonly stopping: AbortSignal },
): (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void {
  const arrivals = createSharedTimeout(limits.arrivalMs);
  const lives = createSharedTimeout(limits.maxStreamMs);
  const end = endWithStatus(limits.lingerMs);
  const open = new Map<ServerHttp2Stream, Watched>();

  const tell = (stream: ServerHttp2Stream, watched: Watched) => {
    const status = state.get(watched.service) ?? Status.SERVICE_UNKNOWN;
    if (status === watched.told || stream.destroyed) return;
    if (stream.writableLength > MAX_UNREAD_BYTES) {
      onLimit("linger");
      return stream.destroy();
    }
    watched.told = status;
    stream.write(frames.get(status));
  };
  const finish = (stream: ServerHttp2Stream, status: Pick<StatusObject, "code" | "details">) => {
    open.delete(stream);
    end(stream, status);
  };
  state.onChange(() => {
    for (const [stream, watched] of open) tell(stream, watched);
  });
  stopping.addEventListener("abort", () => {
    for (const stream of open.keys()) finish(stream, STOPPING);
  });

  const begin = (stream: ServerHttp2Stream, body: Buffer) => {
    let service: string;
    try {
      ({ service } = fromBinary(HealthCheckRequestSchema, body));
    } catch {
      return end(stream, MALFORMED);
    }
    if (stopping.aborted) return end(stream, STOPPING);
    // Names that are not served share the answer, and are not kept.
    const watched = { service: state.get(service) === undefined ? "\0" : service, told: undefined };
    open.set(stream, watched);
    const forget = lives.begin(() => {
      onLimit("stream");
      finish(stream, LATE);
    });
    stream.once("close", () => {
      forget();
      open.delete(stream);
    });
    stream.respond(GRPC_HEAD, { waitForTrailers: true });
    tell(stream, watched);
  };

  return (stream, headers) => {
    stream.on("error", () => {}); // the close follows
    const arrived = arrivals.begin(() => {
      onLimit("arrival");
      end(stream, LATE);
    });
    stream.once("close", arrived);
    readFirstMessage(stream, headers, (outcome) => {
      arrived();
      stream.off("close", arrived);
      if (stream.headersSent || stream.closed) return;
      if ("refusal" in outcome) end(stream, outcome.refusal);
      else begin(stream, outcome.body);
    });
  };
}

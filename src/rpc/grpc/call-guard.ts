import type { IncomingHttpHeaders } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { Refusal } from "../../core/refusal.ts";
import type { ClientAddress } from "../access/client-address.ts";
import { overloaded } from "../limits/admission.ts";
import { limitAnonymousStreams } from "../limits/anonymous-streams.ts";
import { dropEndlessTimeouts } from "../limits/client-timeouts.ts";
import { peerNameOf } from "../limits/idle-sockets.ts";
import type { ListenerLimits, OnLimit } from "../limits/listener-limits.ts";
import type { Load } from "../limits/load.ts";
import { priorityOf } from "../limits/priorities.ts";
import type { Draining } from "../serve/draining.ts";
import { refusalToError, stopping, tooLarge } from "../serve/errors.ts";
import { toGrpcStatus } from "./error-status.ts";
import { WATCH_PATH } from "./health-watch.ts";
import { answerHttp2, hintError } from "./other-protocols.ts";
import type { StreamGuard } from "./stream-guard.ts";
import { endWithStatus } from "./stream-status.ts";

const BYTES_PER_HEADER = 32;
const RETRY_MS = 30_000;
const HEALTH = "/grpc.health.v1.Health/";
/** The refusal of a call that arrives during the stop. */
export const STOPPING = toGrpcStatus(stopping());
const OVERLOADED = toGrpcStatus(refusalToError(overloaded()));
const FULL = toGrpcStatus(refusalToError(new Refusal("RATE_LIMITED", { retryAfterMs: RETRY_MS })));

/** The size of a call's headers by the measure of RFC 9113. */
function sizeOf(headers: IncomingHttpHeaders): number {
  let size = 0;
  for (const name in headers) {
    const value = headers[name];
    for (const one of Array.isArray(value) ? value : [String(value)])
      size += name.length + one.length + BYTES_PER_HEADER;
  }
  return size;
}

/** Connect's form of single headers, without building them all. */
const headerOf = (headers: IncomingHttpHeaders) => ({
  get: (name: string) => [headers[name] ?? null].flat().join(", ") || null,
});

/** The address for limits by source; "" for a proxy's peer without a client address. */
export const sourceBehind = ({ ip }: ClientAddress, peer: string, behindProxy = false): string =>
  behindProxy && ip === peer ? "" : ip;

/** Dependencies of a listener's guard. */
export interface CallGuardOptions {
  readonly limits: ListenerLimits;
  readonly onLimit: OnLimit;
  /** A call came, from this peer. */
  readonly onCall: (address: string, port: number) => void;
  /** Answers `grpc.health.v1.Health/Watch`. */
  readonly watch: (stream: Parameters<StreamGuard>[0], headers: IncomingHttpHeaders) => void;
  /** Counts a cancelled stream; returns false when no call is to begin on the connection. */
  readonly begins: (stream: Parameters<StreamGuard>[0], authorization: string | undefined) => boolean;
  readonly draining: Draining;
  readonly load: Pick<Load, "calls" | "streams">;
  /** The RPCs behind the gate, by path. */
  readonly methods: ReadonlyMap<string, DescMethod>;
  readonly sourceOf: (peer: string, header: Pick<Headers, "get">) => string;
  /** The text for clients of other protocols. */
  readonly hint: () => string;
}

/**
 * Checks the headers of each call before grpc-js allocates anything: oversized metadata and too many unauthenticated
 * streams are refused here.
 */
export function guardCalls(options: CallGuardOptions): StreamGuard {
  const { limits, onLimit, onCall, begins, draining, load, methods, watch, sourceOf } = options;
  const end = endWithStatus(limits.lingerMs);
  const anonymous = limitAnonymousStreams(limits, onLimit);
  const large = toGrpcStatus(tooLarge("metadata", limits.maxMetadataBytes));

  /** Answers a request of another protocol with the port that serves it. */
  const turnAway = (stream: Parameters<StreamGuard>[0], headers: IncomingHttpHeaders) => {
    stream.on("error", () => {}); // the close follows
    const hint = options.hint();
    if (headers["content-type"]?.startsWith("application/grpc-web")) end(stream, toGrpcStatus(hintError(hint)));
    else answerHttp2(stream, hint, limits.lingerMs);
  };

  return (stream, headers, begin) => {
    const { remoteAddress = "", remotePort = 0 } = stream.session?.socket ?? {};
    onCall(remoteAddress, remotePort);
    if (!begins(stream, headers.authorization)) return;
    const refuse = (status: typeof large) => {
      stream.on("error", () => {}); // the close follows
      end(stream, status);
    };
    const isGrpc = /^application\/grpc(?![\w-])/i.test(headers["content-type"] ?? "");
    if (!isGrpc) return turnAway(stream, headers);
    if (sizeOf(headers) > limits.maxMetadataBytes) {
      onLimit("metadata");
      return refuse(large);
    }
    dropEndlessTimeouts(headers);
    const path = headers[":path"] ?? "";
    const isWatch = path === WATCH_PATH;
    if (draining.refuses && !path.startsWith(HEALTH)) return refuse(STOPPING);
    if (!isWatch) draining.begin(stream);
    // Never refused: health is asked for in exactly this situation.
    if (!isWatch && path.startsWith(HEALTH)) return begin();
    const isAnonymous = isWatch || path.startsWith("/grpc.reflection.");
    const method = methods.get(path);
    const held = method && method.methodKind !== "unary" ? load.streams : load.calls;
    const close = isAnonymous
      ? anonymous.open(sourceOf(remoteAddress, headerOf(headers)))
      : held.open(peerNameOf(remoteAddress, remotePort), method ? priorityOf(method) : 2);
    if (!close) return refuse(isAnonymous ? FULL : OVERLOADED);
    stream.once("close", close);
    if (isWatch) watch(stream, headers);
    else begin();
  };
}

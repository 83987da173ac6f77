import { constants, type ServerHttp2Stream } from "node:http2";
import type { StatusObject } from "@grpc/grpc-js";
import { createSharedTimeout } from "../limits/shared-timeout.ts";

/** The head of every gRPC answer that is given without grpc-js. */
export const GRPC_HEAD = { ":status": 200, "content-type": "application/grpc", "grpc-accept-encoding": "identity" };

/** A status as the headers that carry it. */
export function statusHeaders({ code, details, metadata }: Partial<StatusObject> & Pick<StatusObject, "code">) {
  return { ...metadata?.toHttp2Headers(), "grpc-status": code, "grpc-message": encodeURI(details ?? "") };
}

/** Ends streams with a status without grpc-js; a client that leaves its half open loses the stream after `lingerMs`. */
export function endWithStatus(lingerMs: number) {
  const lingering = createSharedTimeout(lingerMs);
  return (stream: ServerHttp2Stream, status: Parameters<typeof statusHeaders>[0]): void => {
    if (stream.destroyed || stream.closed) return;
    const headers = statusHeaders(status);
    if (stream.headersSent) {
      stream.once("wantTrailers", () => stream.sendTrailers(headers));
      stream.end();
    } else {
      stream.respond({ ...GRPC_HEAD, ...headers }, { endStream: true });
    }
    // What its client still sends is read and dropped.
    stream.resume();
    stream.once(
      "close",
      lingering.begin(() => stream.close(constants.NGHTTP2_CANCEL)),
    );
  };
}

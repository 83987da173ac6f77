import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { constants, type Http2SecureServer, Http2ServerRequest, type ServerHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { LimitName, ListenerLimits, OnLimit } from "../core/listener-limits.ts";
import { limitResets } from "./resets.ts";
import type { Sources } from "./sources.ts";
import { nameOf, Strangers } from "./strangers.ts";

/** The peers of the browsers' listener, within limits. */
export interface Peers {
  /** How many sockets are open. */
  count(): number;
  /** A request came, of which only the headers are there. */
  arrived(request: IncomingMessage, response: ServerResponse, streams: boolean): void;
  /** Accepts nothing more and resolves when every socket is closed: by itself, or after `graceMs` by us. */
  close(graceMs: number): Promise<void>;
}

/** A session of HTTP/2 that has no request open is somebody's spare; the same time as on gRPC. */
const IDLE_MS = 5 * 60_000;

/** node's own limits for HTTP/1.1, looked at every second, where it would look every thirty. */
export const timeoutsOf = ({ firstCallMs, arrivalMs, lingerMs }: ListenerLimits) => ({
  headersTimeout: firstCallMs,
  requestTimeout: arrivalMs + lingerMs,
  connectionsCheckingInterval: 1_000,
});

/** Ends a request whose peer takes too long, whatever the protocol. */
function cut(request: IncomingMessage): void {
  if (request instanceof Http2ServerRequest) request.stream.close(constants.NGHTTP2_CANCEL);
  else request.socket.destroy();
}

/** Calls `late` unless something happens on the session now and then: open requests keep it, half-sent headers do not. */
function limitIdling(session: ServerHttp2Session, late: () => void): void {
  let open = 0;
  let timer = setTimeout(late, IDLE_MS);
  session.on("stream", (stream) => {
    open += 1;
    clearTimeout(timer);
    stream.once("close", () => {
      open -= 1;
      if (open === 0 && !session.destroyed) timer = setTimeout(late, IDLE_MS);
    });
  });
  session.once("close", () => clearTimeout(timer));
}

/**
 * Holds the peers of a server of node's to limits. Over TLS node has none for HTTP/2, and no word for closing what is
 * open, so the sockets are counted here.
 */
export function limitPeers(
  server: Server | Http2SecureServer,
  limits: ListenerLimits,
  onLimit: OnLimit,
  sources: Pick<Sources, "admit" | "cut">,
): Peers {
  const sockets = new Set<Socket>();
  const strangers = new Strangers();
  server.maxConnections = limits.maxConnections;
  server.on("drop", () => onLimit("connections"));
  server.on("connection", (socket: Socket) => {
    if (!sources.admit(socket)) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    strangers.add(socket, limits.firstCallMs, onLimit);
  });
  limitResets(server as Http2SecureServer, (address) => {
    onLimit("resets");
    sources.cut(address);
  });
  server.on("session", (session: ServerHttp2Session) =>
    limitIdling(session, () => {
      onLimit("idle");
      session.destroy();
    }),
  );
  return {
    count: () => sockets.size,
    arrived(request, response, streams) {
      strangers.forget(nameOf(request.socket.remoteAddress, request.socket.remotePort));
      const after = (ms: number, limit: LimitName) =>
        setTimeout(() => {
          onLimit(limit);
          cut(request);
        }, ms);
      let timer = after(limits.arrivalMs, "arrival");
      request.once("end", () => {
        clearTimeout(timer);
        if (!response.writableEnded)
          timer = streams ? after(limits.maxStreamMs, "stream") : after(limits.maxUnaryMs, "unary");
      });
      response.once("close", () => clearTimeout(timer));
    },
    close: (graceMs) =>
      new Promise((resolve) => {
        const last = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
          resolve();
        }, graceMs);
        server.close(() => {
          clearTimeout(last);
          resolve();
        });
        strangers.destroy();
      }),
  };
}

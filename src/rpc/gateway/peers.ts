import type { IncomingMessage, Server, ServerResponse } from "node:http";
import {
  constants,
  type Http2SecureServer,
  type Http2Server,
  Http2ServerRequest,
  type ServerHttp2Session,
} from "node:http2";
import type { Socket } from "node:net";
import { guardStreams } from "../grpc/stream-guard.ts";
import { Connections, type PeerKind } from "../limits/connections.ts";
import { IdleSockets, peerNameOf } from "../limits/idle-sockets.ts";
import type { LimitName, ListenerLimits, OnLimit } from "../limits/listener-limits.ts";
import { limitResets, type PeerReports } from "../limits/rapid-reset.ts";
import type { Sources } from "../limits/sources.ts";

/** The peers of the browsers' listener, within limits. */
export interface Peers {
  /** How many sockets are open. */
  count(): number;
  /** A request whose headers have arrived. `endStream` ends a stream at its time limit. */
  arrived(request: IncomingMessage, response: ServerResponse, endStream: (() => void) | undefined): void;
  /** The kind of peer by the credential verified on a socket. */
  rise(socket: Pick<Socket, "remoteAddress" | "remotePort">, standing: PeerKind): void;
  /** Accepts nothing more and resolves when every socket is closed, after `graceMs` by us. */
  close(graceMs: number): Promise<void>;
}

/** The idle limit of an HTTP/2 session without requests; the same as on gRPC. */
const IDLE_MS = 5 * 60_000;

/** node's own limits for HTTP/1.1, looked at every second, where it would look every thirty. */
export const timeoutsOf = ({ firstCallMs, arrivalMs, lingerMs }: ListenerLimits) => ({
  headersTimeout: firstCallMs,
  requestTimeout: arrivalMs + lingerMs,
  connectionsCheckingInterval: 1_000,
});

/** Ends a request whose peer takes too long, on any protocol. */
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
  /** The server that the sessions of HTTP/2 begin at: the same one over TLS. */
  http2: Http2Server | Http2SecureServer,
  limits: ListenerLimits,
  onLimit: OnLimit,
  sources: Pick<Sources, "admit" | "cut" | "isCut" | "prove">,
  reports: PeerReports,
): Peers {
  const sockets = new Set<Socket>();
  const strangers = new IdleSockets();
  server.maxConnections = limits.maxConnections;
  server.on("drop", () => onLimit("connections"));
  server.on("connection", (socket: Socket) => {
    if (!sources.admit(socket)) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    strangers.add(socket, limits.firstCallMs, onLimit);
  });
  const connections = new Connections();
  const sessions = new Set<ServerHttp2Session>();
  (http2 as Http2Server).on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.once("close", () => sessions.delete(session));
  });
  const begins = limitResets(http2 as Http2Server, { connections, sources, onLimit, ...reports });
  guardStreams(http2 as Http2Server, (stream, { authorization }, begin) => {
    if (begins(stream, authorization)) begin();
  });
  (http2 as Http2Server).on("session", (session: ServerHttp2Session) =>
    limitIdling(session, () => {
      onLimit("idle");
      session.destroy();
    }),
  );
  return {
    count: () => sockets.size,
    arrived(request, response, endStream) {
      strangers.forget(peerNameOf(request.socket.remoteAddress, request.socket.remotePort));
      const after = (ms: number, limit: LimitName) =>
        setTimeout(() => {
          onLimit(limit);
          cut(request);
        }, ms);
      const lateStream = (end: () => void) => {
        onLimit("stream");
        end();
        timer = after(limits.lingerMs, "linger");
      };
      let timer = after(limits.arrivalMs, "arrival");
      request.once("end", () => {
        clearTimeout(timer);
        if (response.writableEnded) return;
        timer = endStream
          ? setTimeout(() => lateStream(endStream), limits.maxStreamMs)
          : after(limits.maxUnaryMs, "unary");
      });
      response.once("close", () => clearTimeout(timer));
    },
    rise({ remoteAddress = "", remotePort = 0 }, standing) {
      connections.from(peerNameOf(remoteAddress, remotePort))?.rise(standing);
      if (standing === "backend") sources.prove(remoteAddress, remotePort);
    },
    close: (graceMs) =>
      new Promise((resolve) => {
        const last = setTimeout(() => {
          for (const socket of sockets) socket.destroy();
          resolve();
        }, graceMs);
        server.close(() => {
          clearTimeout(last);
          clearTimeout(silent);
          resolve();
        });
        // node closes what is idle over HTTP/1.1 only.
        for (const session of sessions) session.close();
        // The first call of a connection just made is on its way.
        const silent = setTimeout(() => strangers.destroy(), Math.min(limits.noticeMs, graceMs));
      }),
  };
}

import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Caller } from "../../core/caller.ts";
import type { Identify } from "../access/certificate-identity.ts";
import { CertifiedPeers } from "../access/certified-peers.ts";
import { sortByFirstBytes } from "../limits/first-bytes.ts";
import { IdleSockets, peerNameOf } from "../limits/idle-sockets.ts";
import type { ListenerLimits, OnLimit } from "../limits/listener-limits.ts";
import type { Sources } from "../limits/sources.ts";
import type { TlsMaterial } from "./tls-files.ts";

/** The settings and consumers of a listening port. */
export interface SocketOptions {
  readonly host: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly tls: TlsMaterial | undefined;
  /** Requires client certificates of the CA in `tls`, and identifies them. */
  readonly identify: Identify | undefined;
  readonly limits: Pick<ListenerLimits, "maxConnections" | "firstCallMs" | "lingerMs">;
  readonly onLimit: OnLimit;
  readonly sources: Pick<Sources, "admit">;
  /** Takes over an accepted socket that speaks HTTP/2; with TLS, after the handshake. */
  readonly onSocket: (socket: Socket) => void;
  /** Takes over a socket of another protocol. */
  readonly onOther: (socket: Socket) => void;
}

/** A listening port whose every socket is known. */
export interface Sockets {
  readonly port: number;
  /** How many are open. */
  count(): number;
  /** The peer made a call, so its socket stays. */
  called(address: string, port: number): void;
  /** Who the certificate of a peer ("address:port") says it is; undefined when nobody, and when it has expired. */
  certified(peer: string): Caller | undefined;
  /** New connections get this certificate; open ones keep what they have. */
  renew(tls: TlsMaterial): void;
  /** Accepts nothing more and resolves when every socket is closed, after `graceMs` by us. */
  close(graceMs: number): Promise<void>;
}

// A reset by the peer, a failed handshake: the close follows, and there is nobody to tell.
const ignore = () => {};

/** A peer that never ends its half would keep the socket for ever after we have said goodbye. */
function limitLinger(socket: Socket, ms: number, onLimit: OnLimit): void {
  let timer: NodeJS.Timeout | undefined;
  socket.once("finish", () => {
    if (socket.destroyed) return;
    timer = setTimeout(() => {
      onLimit("linger");
      socket.destroy();
    }, ms);
  });
  socket.once("close", () => clearTimeout(timer));
}

async function listening(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  // From here on an error means one failed accept (no file descriptor left), not a failed listener.
  server.on("error", ignore);
  return (server.address() as { port: number }).port;
}

/**
 * Listens and hands on sockets, within limits. grpc-js' own listener has none, and forgets its sessions when channelz
 * is off: a stop could not close them. TLS ends here too: the injector of grpc-js hides the sockets it wraps, so that
 * nobody would see their end.
 */
export async function listenForSockets(options: SocketOptions): Promise<Sockets> {
  const { host, port, tls, identify, limits, onLimit, sources, onSocket, onOther } = options;
  const clients = identify && { requestCert: true, rejectUnauthorized: true };
  // HTTP/1.1 is agreed on only to be told which port speaks it.
  const secure = tls && createTlsServer({ ...tls, ...clients, ALPNProtocols: ["h2", "http/1.1"] });
  const server = secure ?? createServer();
  server.maxConnections = limits.maxConnections;
  server.on("drop", () => onLimit("connections"));
  const open = new Set<Socket>();
  const strangers = new IdleSockets();
  const certified = new CertifiedPeers();
  server.on("connection", (socket: Socket) => {
    socket.on("error", ignore);
    if (!sources.admit(socket)) return void socket.destroy();
    open.add(socket);
    socket.once("close", () => open.delete(socket));
    strangers.add(socket, limits.firstCallMs, onLimit);
  });
  server.on(secure ? "secureConnection" : "connection", (socket: Socket) => {
    if (socket.destroyed) return;
    socket.on("error", ignore);
    if (identify) certified.add(socket as TLSSocket, identify);
    limitLinger(socket, limits.lingerMs, onLimit);
    sortByFirstBytes(socket, { onHttp2: onSocket, onOther });
  });
  return {
    port: await listening(server, host, port),
    count: () => open.size,
    called: (peer, peerPort) => strangers.forget(peerNameOf(peer, peerPort)),
    certified: (peer) => certified.callerOf(peer),
    renew: (renewed) => secure?.setSecureContext(renewed),
    close: (graceMs) =>
      new Promise((resolve) => {
        const cut = setTimeout(() => {
          for (const socket of open) socket.destroy();
          resolve();
        }, graceMs);
        server.close(() => {
          clearTimeout(cut);
          resolve();
        });
        strangers.destroy();
      }),
  };
}

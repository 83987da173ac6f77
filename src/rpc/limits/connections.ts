import type { ServerHttp2Session } from "node:http2";
import { peerNameOf } from "./idle-sockets.ts";

/**
 * The kind of peer of an HTTP/2 connection, by the best credential verified on it: backend (or administrator), user, or
 * stranger.
 */
export type PeerKind = "stranger" | "user" | "backend";

const ORDER: readonly PeerKind[] = ["stranger", "user", "backend"];

/** An open HTTP/2 connection of a listener. */
export class Connection {
  readonly address: string;
  readonly port: number;
  #standing: PeerKind = "stranger";
  /** The last credential presented while the connection was a stranger's; verified only before it would be closed. */
  shown: string | undefined;

  constructor(address: string, port: number) {
    this.address = address;
    this.port = port;
  }

  get standing(): PeerKind {
    return this.#standing;
  }

  /** Returns true when the kind has risen. */
  rise(standing: PeerKind): boolean {
    if (ORDER.indexOf(standing) <= ORDER.indexOf(this.#standing)) return false;
    this.#standing = standing;
    this.shown = undefined;
    return true;
  }
}

/** The open HTTP/2 connections of a listener, by session and by peer ("address:port"). */
export class Connections {
  readonly #bySession = new WeakMap<ServerHttp2Session, Connection>();
  readonly #byPeer = new Map<string, Connection>();

  /** The connection of a session; a new one until its session closes. */
  of(session: ServerHttp2Session): Connection {
    const known = this.#bySession.get(session);
    if (known) return known;
    const { remoteAddress = "", remotePort = 0 } = session.socket;
    const connection = new Connection(remoteAddress, remotePort);
    const name = peerNameOf(remoteAddress, remotePort);
    this.#bySession.set(session, connection);
    this.#byPeer.set(name, connection);
    session.once("close", () => {
      if (this.#byPeer.get(name) === connection) this.#byPeer.delete(name);
    });
    return connection;
  }

  /** The connection of a peer; undefined of one without HTTP/2. */
  from(peer: string): Connection | undefined {
    return this.#byPeer.get(peer);
  }
}

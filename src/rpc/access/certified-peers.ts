import type { TLSSocket } from "node:tls";
import type { Caller } from "../../core/caller.ts";
import { peerNameOf } from "../limits/idle-sockets.ts";
import type { CertificateIdentity, Identify } from "./certificate-identity.ts";

/** The peers on open sockets with a client certificate. */
export class CertifiedPeers {
  readonly #byPeer = new Map<string, CertificateIdentity | undefined>();

  /** Stores the identity of a socket's certificate until it closes. */
  add(socket: TLSSocket, identify: Identify): void {
    const certificate = socket.getPeerX509Certificate();
    const identity = socket.authorized && certificate ? identify(certificate) : undefined;
    const name = peerNameOf(socket.remoteAddress, socket.remotePort);
    // Also without an identity: an earlier socket on the same port may have had one, and its close may not have been seen yet.
    this.#byPeer.set(name, identity);
    socket.once("close", () => {
      if (this.#byPeer.get(name) === identity) this.#byPeer.delete(name);
    });
  }

  /** Returns the caller that the certificate of a peer ("address:port") stands for; undefined for none, and an expired one. */
  callerOf(name: string): Caller | undefined {
    const identity = this.#byPeer.get(name);
    return identity && Date.now() < identity.expiresMs ? identity.caller : undefined;
  }
}

import type { Socket } from "node:net";
import type { OnLimit } from "./listener-limits.ts";

/** A peer, as grpc-js names that of a call. */
export const peerNameOf = (address = "", port = 0) => `${address}:${port}`;

/** Sockets nobody has made a call on, each with the timer that will close it. */
export class IdleSockets {
  readonly #byPeer = new Map<string, { readonly socket: Socket; readonly timer: NodeJS.Timeout }>();

  add(socket: Socket, ms: number, onLimit: OnLimit): void {
    const name = peerNameOf(socket.remoteAddress, socket.remotePort);
    const expel = () => {
      onLimit("first_call");
      socket.destroy();
    };
    this.#byPeer.set(name, { socket, timer: setTimeout(expel, ms) });
    socket.once("close", () => this.forget(name));
  }

  forget(name: string): void {
    clearTimeout(this.#byPeer.get(name)?.timer);
    this.#byPeer.delete(name);
  }

  destroy(): void {
    for (const { socket } of this.#byPeer.values()) socket.destroy();
  }
}

import { constants, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";

/**
 * Calls that a connection may take back, at once and a second (CVE-2023-44487): each costs us more than its peer. Node
 * allows a thousand at once, and by its own measure ends a connection only after all that it has read of it.
 */
export const RESETS = { streamResetBurst: 200, streamResetRate: 33 };

/** Ends sessions whose peer takes back calls in bulk, and tells where each came from. */
export function limitResets(server: Pick<Http2Server, "on">, onFlood: (address: string) => void): void {
  server.on("session", (session: ServerHttp2Session) => {
    const address = session.socket.remoteAddress ?? "";
    let left = RESETS.streamResetBurst;
    let at = performance.now();
    let ended = false;
    const count = () => {
      const now = performance.now();
      left = Math.min(RESETS.streamResetBurst, left + ((now - at) / 1000) * RESETS.streamResetRate) - 1;
      at = now;
      if (left >= 0 || ended) return;
      ended = true;
      // Hundreds more may have been read already and would each begin a call.
      session.removeAllListeners("stream");
      session.destroy();
      onFlood(address);
    };
    session.prependListener("stream", (stream: ServerHttp2Stream) => {
      if (stream.closed) return count();
      stream.once("close", () => {
        // A connection that breaks takes its calls along; that is nobody's doing.
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR && !session.destroyed) count();
      });
    });
  });
}

import type { Server } from "node:http";
import type { Http2Server } from "node:http2";
import type { Socket } from "node:net";
import { sortByFirstBytes } from "../limits/first-bytes.ts";

/** Has a listening server for HTTP/1.1 hand the connections that begin with HTTP/2's preface (h2c) to another one. */
export function shareCleartext(http1: Server, http2: Http2Server): void {
  const begin = http1.listeners("connection") as ((this: Server, socket: Socket) => void)[];
  http1.removeAllListeners("connection");
  http1.on("connection", (socket: Socket) => {
    // A reset before the first bytes: the close follows, and there is nobody to tell.
    socket.on("error", () => {});
    sortByFirstBytes(socket, {
      onHttp2: (one) => http2.emit("connection", one),
      onOther: (one) => {
        for (const listener of begin) listener.call(http1, one);
      },
    });
  });
}

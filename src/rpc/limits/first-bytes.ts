import type { Socket } from "node:net";

/** How every connection of HTTP/2 begins (RFC 9113 §3.4), as far as it differs from the methods of HTTP/1.1. */
const PREFACE = Buffer.from("PRI");

/** What becomes of a connection by how it begins. */
export interface ByFirstBytes {
  readonly onHttp2: (socket: Socket) => void;
  readonly onOther: (socket: Socket) => void;
}

/** Whether bytes begin HTTP/2; undefined while they are too few to say. */
function isHttp2(begun: Buffer): boolean | undefined {
  if (begun.length >= PREFACE.length) return begun.subarray(0, PREFACE.length).equals(PREFACE);
  return PREFACE.subarray(0, begun.length).equals(begun) ? undefined : false;
}

/** Waits for the first bytes of a connection, puts them back, and hands it on by what they begin. */
export function sortByFirstBytes(socket: Socket, { onHttp2, onOther }: ByFirstBytes): void {
  let begun: Buffer = Buffer.alloc(0);
  const look = (chunk: Buffer) => {
    begun = begun.length === 0 ? chunk : Buffer.concat([begun, chunk]);
    const found = isHttp2(begun);
    if (found === undefined) return;
    socket.off("data", look);
    socket.pause();
    socket.unshift(begun);
    if (found) onHttp2(socket);
    else onOther(socket);
    process.nextTick(() => socket.resume());
  };
  socket.on("data", look);
}

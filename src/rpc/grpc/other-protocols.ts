import { constants, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";

/** Where else the service listens, and what it speaks there. */
export interface OtherPort {
  readonly kind: string;
  readonly port: number;
}

/** The services that listeners of a kind serve by Connect, gRPC-Web and JSON. */
const SERVICES: Readonly<Record<string, string>> = {
  gateway: "MfaService",
  admin: "AdminMfaService",
  internal: "InternalMfaService",
};

/** Says in one line what the port speaks, and which ports speak Connect, gRPC-Web and JSON. */
export function hintOf(others: readonly OtherPort[]): string {
  const known = others.flatMap(({ kind, port }) => (SERVICES[kind] ? `${SERVICES[kind]} on port ${port}` : []));
  const where = known.length > 0 ? known.join(", ") : "none is open";
  return `this port speaks gRPC over HTTP/2 only; Connect, gRPC-Web and JSON: ${where}`;
}

const bodyOf = (hint: string) => `${JSON.stringify({ code: "unimplemented", message: hint })}\n`;

/** The same as an error of gRPC-Web. */
export const hintError = (hint: string) => new ConnectError(hint, Code.Unimplemented);

/** Answers a peer that begins in HTTP/1.1 and closes the connection; one that begins in anything else is just closed. */
export function answerHttp1(socket: Socket, hint: string): void {
  const body = bodyOf(hint);
  const head = [
    "HTTP/1.1 415 Unsupported Media Type",
    ...["content-type: application/json", `content-length: ${Buffer.byteLength(body)}`, "connection: close"],
  ];
  // What the peer still sends is read and dropped.
  socket.on("data", () => {});
  socket.once("data", (first: Buffer) => {
    const isHttp = /^[A-Z]{3}/.test(first.subarray(0, 3).toString("latin1"));
    if (isHttp) socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
    else socket.destroy();
  });
}

/** Answers a request of Connect, or any other over HTTP/2 that is no gRPC. */
export function answerHttp2(stream: ServerHttp2Stream, hint: string, lingerMs: number): void {
  if (stream.destroyed || stream.closed) return;
  const body = bodyOf(hint);
  stream.respond({ ":status": 415, "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  stream.end(body);
  // What its client still sends is read and dropped, for a while.
  stream.resume();
  const timer = setTimeout(() => stream.close(constants.NGHTTP2_CANCEL), lingerMs);
  stream.once("close", () => clearTimeout(timer));
}

import type { Server } from "node:http";
import type { Socket } from "node:net";
import { Code, ConnectError } from "@connectrpc/connect";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { tooLarge } from "../serve/errors.ts";

/** What a request over HTTP/1.1 is answered that cannot be read: a line of status and an error. */
type Answer = readonly [status: string, error: ConnectError];

const UNREADABLE: Answer = [
  "400 Bad Request",
  new ConnectError("this is no request of HTTP/1.1 that can be read", Code.InvalidArgument),
];

const answersFor = (maxMetadataBytes: number): ReadonlyMap<string, Answer> =>
  new Map([
    ["HPE_HEADER_OVERFLOW", ["431 Request Header Fields Too Large", tooLarge("metadata", maxMetadataBytes)]],
    ["ERR_HTTP_REQUEST_TIMEOUT", ["408 Request Timeout", new ConnectError("too slow", Code.DeadlineExceeded)]],
  ]);

const textOf = ([status, error]: Answer): string => {
  const body = `${JSON.stringify(errorToJson(error, undefined))}\n`;
  const head = ["content-type: application/json", `content-length: ${Buffer.byteLength(body)}`, "connection: close"];
  return `HTTP/1.1 ${status}\r\n${head.join("\r\n")}\r\n\r\n${body}`;
};

/**
 * Has a server say why it cannot read a request over HTTP/1.1, headers beyond what node reads among them: node's own
 * answers have no body. Then the connection ends.
 */
export function answerUnreadable(
  server: Pick<Server, "on">,
  { maxMetadataBytes, lingerMs }: { readonly maxMetadataBytes: number; readonly lingerMs: number },
): void {
  const answers = answersFor(maxMetadataBytes);
  const answered = new WeakSet<Socket>();
  /** Connections with a response that is not complete: more bytes would be read as a part of it. */
  const answering = new WeakSet<Socket>();
  server.on("request", ({ socket }, response) => {
    answering.add(socket);
    response.once("finish", () => answering.delete(socket));
  });
  server.on("clientError", (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket; // what node hands over, also where it is a TLSSocket
    if (answered.has(socket)) return;
    answered.add(socket);
    if (!socket.writable || answering.has(socket)) return void socket.destroy();
    // What the peer still sends is dropped for a while: a reset would take the answer away from it.
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    socket.once("close", () => clearTimeout(timer));
    socket.end(textOf(answers.get(error.code ?? "") ?? UNREADABLE));
  });
}

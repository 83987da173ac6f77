import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { errorToJson } from "@connectrpc/connect/protocol-connect";
import { Refusal } from "../../core/refusal.ts";
import { toGrpcStatus } from "../grpc/error-status.ts";
import type { Served } from "../grpc/server.ts";
import { statusHeaders } from "../grpc/stream-status.ts";
import { refusalToError, tooLarge } from "../serve/errors.ts";

const UNARY = "application/json, application/proto, application/grpc-web+proto, application/grpc-web+json";
const STREAM = "application/connect+json, application/connect+proto, application/grpc-web+proto";

/**
 * Refuses a request by its headers, in the caller's protocol: gRPC-Web by a status in the headers, which its clients read;
 * all others by a status of HTTP and Connect's JSON.
 */
export function refuseRequest(
  request: IncomingMessage,
  response: ServerResponse,
  { error, status, headers = {} }: { error: ConnectError; status: number; headers?: Record<string, string> },
): void {
  const type = request.headers["content-type"] ?? "";
  // What its client still sends is read and dropped.
  request.resume();
  if (type.startsWith("application/grpc-web")) {
    const sent = statusHeaders(toGrpcStatus(error)) as unknown as Record<string, string>;
    response.writeHead(200, { ...sent, "content-type": type }).end();
    return;
  }
  const body = JSON.stringify(errorToJson(error, undefined));
  response.writeHead(status, { ...headers, "content-type": "application/json" }).end(body);
}

/** The refusal of a request that is no POST. */
export const NO_METHOD = {
  error: new ConnectError("an RPC is called by POST", Code.Unimplemented),
  status: 405,
  headers: { allow: "POST, OPTIONS" },
};

/** The refusal of a path that is no RPC of a listener. */
export function noSuchPath(services: readonly Pick<Served, "service">[]): ConnectError {
  const paths = services.map(({ service }) => `/${service.typeName}/<Name>`).join(", ");
  return new ConnectError(`no RPC of this listener has this path: it takes POST ${paths}`, Code.Unimplemented);
}

/** Refuses a body of a form that is not taken. Returns false when the form is taken. */
export function refuseForm(request: IncomingMessage, response: ServerResponse, handler: UniversalHandler): boolean {
  const type = request.headers["content-type"] ?? "";
  // Connect counts the text mode among what it knows, and then answers 415 without a word.
  if (handler.supportedContentType(type) && !type.startsWith("application/grpc-web-text")) return false;
  const taken = handler.method.methodKind === "unary" ? UNARY : STREAM;
  const text = `the content-type is none of those that are taken: ${taken}`;
  const error = refusalToError(new Refusal("ENCODING_REFUSED", { metadata: { taken } }), text);
  refuseRequest(request, response, { error, status: 415, headers: { "accept-post": taken } });
  return true;
}

const BYTES_PER_HEADER = 32;
const HEADERS_TOO_LARGE = 431;

/** The size of headers by the measure of RFC 9113. */
const sizeOf = (headers: IncomingHttpHeaders): number =>
  Object.entries(headers).reduce(
    (size, [name, value]) =>
      [value ?? ""].flat().reduce((sum, one) => sum + name.length + one.length + BYTES_PER_HEADER, size),
    0,
  );

/** Refuses headers that are larger than `maxBytes`. Returns false when they are not. */
export function refuseMetadata(request: IncomingMessage, response: ServerResponse, maxBytes: number): boolean {
  if (sizeOf(request.headers) <= maxBytes) return false;
  refuseRequest(request, response, { error: tooLarge("metadata", maxBytes), status: HEADERS_TOO_LARGE });
  return true;
}

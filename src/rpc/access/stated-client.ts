import type { Message } from "@bufbuild/protobuf";
import { type ClientContext, ClientContextSchema } from "../../../gen/mfa/v1/client_context_pb.js";
import { type ClientOrigin, printable } from "../../core/client-origin.ts";
import { parseIp } from "../../core/ip-address.ts";
import { Refusal } from "../../core/refusal.ts";

const isContext = (value: unknown): value is ClientContext =>
  typeof value === "object" &&
  value !== null &&
  "$typeName" in value &&
  value.$typeName === ClientContextSchema.typeName;

const contextOf = (request: Message) => ("client" in request && isContext(request.client) ? request.client : undefined);

/** Whether the request has the field `client`. */
export const statesClient = (request: Message): boolean => contextOf(request) !== undefined;

/** Returns the user's address and agent from the request's field `client`; nothing without it. */
export function statedClient(request: Message): ClientOrigin {
  const context = contextOf(request);
  const stated = context?.ip ?? "";
  const ip = stated === "" ? undefined : parseIp(stated);
  if (stated !== "" && !ip) throw new Refusal("INVALID_FIELD", { metadata: { field: "client.ip" } });
  return {
    ip: ip?.text ?? "",
    trusted: ip !== undefined,
    userAgent: printable(context?.userAgent ?? ""),
    application: printable(context?.application ?? ""),
  };
}

import type { ClientContext } from "../../gen/mfa/v1/client_context_pb.js";
import type { RiskSignal } from "../../gen/mfa/v1/risk_pb.js";
import { type ClientOrigin, printable } from "../core/client-origin.ts";
import { parseIp } from "../core/ip-address.ts";

/** Reads where a log-in is said to come from; what says nothing, or nothing that can be read, is not trusted. */
export function originOf(client: ClientContext | undefined): ClientOrigin {
  const ip = parseIp(client?.ip ?? "");
  return {
    ip: ip?.text ?? "",
    trusted: ip !== undefined,
    userAgent: printable(client?.userAgent ?? ""),
    application: printable(client?.application ?? ""),
  };
}

/** Reads what a caller knows; its detail is kept and not judged. */
export const signalOf = ({ name, value, detail }: RiskSignal) => ({ name, value, detail });

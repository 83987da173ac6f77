import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type ConnectError, type ContextValues } from "@connectrpc/connect";
import type { Logger } from "pino";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import { callerKey, logIdKey, logIdOf } from "./call.ts";

/** What is known of a call when it ends. */
export interface EndedCall {
  readonly method: DescMethod;
  readonly requestHeader: Pick<Headers, "get">;
  readonly values: ContextValues;
  /** Of performance.now(). */
  readonly startedMs: number;
  /** Absent when it ended well. */
  readonly error?: ConnectError | undefined;
}

/** Writes one line for each call that ended. */
export type LogCall = (call: EndedCall) => void;

/** Whose names may stand in a log: the ids of users, and of those who act for them, are personal data. */
const inOwnName = new Set([Principal.ADMIN, Principal.SERVICE]);

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** The reason that the caller was told, where there is one. */
export function reasonOf({ details }: ConnectError): string | undefined {
  for (const detail of details) {
    if ("desc" in detail && detail.desc === ErrorInfoSchema) return (detail.value as { reason?: string }).reason;
  }
  return undefined;
}

/**
 * The log of calls: a list of fields, each named here, so that nothing else of a call can get in. No payloads, no
 * tokens, and of users not even their ids. A client's own request id (x-request-id) and trace (W3C Trace Context) are
 * taken where they look like one.
 */
export function createCallLog(log: Logger): LogCall {
  return ({ method, requestHeader, values, startedMs, error }) => {
    const caller = values.get(callerKey);
    log.info(
      {
        rpc: `${method.parent.typeName}/${method.name}`,
        code: error ? Code[error.code] : "OK",
        reason: error && reasonOf(error),
        ms: Math.round((performance.now() - startedMs) * 10) / 10,
        request: values.get(logIdKey) || logIdOf(requestHeader),
        trace: TRACEPARENT.exec(requestHeader.get("traceparent") ?? "")?.[1],
        tenant: caller?.tenantId,
        principal: caller && Principal[caller.principal],
        caller: caller && inOwnName.has(caller.principal) ? caller.subject : undefined,
      },
      "call",
    );
  };
}

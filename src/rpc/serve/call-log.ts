import type { DescMethod } from "@bufbuild/protobuf";
import { Code, type ConnectError, type ContextValues } from "@connectrpc/connect";
import type { Logger } from "pino";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import { denialOf } from "../access/denial.ts";
import { callIdKey, callIdOf, identifiedKey, inOwnName } from "./call.ts";
import { errorInfoOf, errorReasonOf } from "./errors.ts";

/** An ended call. */
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

const TRACEPARENT = /^[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;

/**
 * The log of calls: a list of fields, each named here, so that nothing else of a call can get in. No payloads, no
 * tokens, and of users not even their ids. A client's own request id (x-request-id) and trace (W3C Trace Context) are
 * taken where they look like one.
 */
export function createCallLog(log: Logger): LogCall {
  return ({ method, requestHeader, values, startedMs, error }) => {
    const caller = values.get(identifiedKey);
    const reason = error && errorReasonOf(error);
    const denial = caller && error && denialOf(errorInfoOf(error), method, caller);
    log.info(
      {
        rpc: `${method.parent.typeName}/${method.name}`,
        code: error ? Code[error.code] : "OK",
        reason,
        missingScope: denial?.missingScope,
        denial: denial?.text,
        ms: Math.round((performance.now() - startedMs) * 10) / 10,
        callId: values.get(callIdKey) || callIdOf(requestHeader),
        trace: TRACEPARENT.exec(requestHeader.get("traceparent") ?? "")?.[1],
        tenant: caller?.tenantId,
        principal: caller && Principal[caller.principal],
        caller: caller && inOwnName.has(caller.principal) ? caller.subject : undefined,
      },
      "call",
    );
  };
}

import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import type { Authenticate } from "./authentication.ts";
import { authorise, type IsEnrolled } from "./authorisation.ts";
import { callerKey } from "./call.ts";
import { policyOf } from "./policy.ts";

/** What is known of a call before its body is read. */
export interface Arrival {
  readonly method: DescMethod;
  readonly requestHeader: Pick<Headers, "get">;
  readonly values: ContextValues;
}

/** Lets a call in or throws its refusal. Every transport runs it before it decodes a byte of the body. */
export type Gate = (arrival: Arrival) => Promise<void>;

/** Who is it, and may they? The answer to the first stays in the context for the handlers. */
export function createGate(authenticate: Authenticate, isEnrolled: IsEnrolled, clock: () => Date): Gate {
  return async ({ method, requestHeader, values }) => {
    const now = clock();
    const caller = await authenticate(requestHeader.get("authorization"), now);
    await authorise(caller, policyOf(method), now, isEnrolled);
    values.set(callerKey, caller);
  };
}

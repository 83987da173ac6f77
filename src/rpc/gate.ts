import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";
import { printable } from "../core/client-origin.ts";
import { Refusal } from "../core/refusal.ts";
import { asksForStepUp, authorise, type IsEnrolled } from "./authorisation.ts";
import { callerKey, clientKey, identifiedKey, inOwnName } from "./call.ts";
import type { ClientAddress } from "./client-address.ts";
import type { Credential, Showing, VerifyHeader } from "./credentials.ts";
import { policyOf } from "./policy.ts";
import type { LimitRates } from "./rates.ts";
import type { TellRefused } from "./refused-calls.ts";

/** What is known of a call before its body is read. */
export interface Arrival {
  readonly method: DescMethod;
  readonly requestHeader: Pick<Headers, "get">;
  readonly values: ContextValues;
  /** Where it comes from. */
  readonly address: ClientAddress;
  /** Where clients have certificates: who this one's says that the peer is. Known from the socket, not by a header. */
  readonly certified?: Certified | undefined;
}

/** The caller that a verified certificate stands for; none where it is on nobody's list. */
export interface Certified {
  readonly caller: Caller | undefined;
}

/** Lets a call in or throws its refusal. Every transport runs it before it decodes a byte of the body. */
export type Gate = (arrival: Arrival) => Promise<void>;

/** Takes an assertion for the fresh second factor that an RPC asks for; throws ASSERTION_REJECTED. */
export type Raise = (
  caller: Caller,
  assertion: string,
  raising: { readonly rpc: string; readonly maxAgeMs: number | undefined; readonly now: Date },
) => Promise<Caller>;

/** Where an assertion is carried that stands for a fresh second factor. */
export const ASSERTION_HEADER = "mfa-assertion";

/** What a user can do about a missing second factor: prove one by StepUp for this one RPC. */
const withHint = (refusal: Refusal, { name }: DescMethod): Refusal =>
  refusal.metadata.acr_values === "aal2"
    ? new Refusal(refusal.reason, { metadata: { ...refusal.metadata, challenge_hint: `mfa.rpc ${name}` } })
    : refusal;

/** A certificate lets the peer in and speaks for it; a token, where there is one, says whom it calls for. */
async function credentialOf(
  { requestHeader, certified }: Arrival,
  verify: VerifyHeader,
  showing: Showing,
): Promise<Credential> {
  if (certified && !certified.caller) throw new Refusal("INVALID_CREDENTIAL");
  const authorization = requestHeader.get("authorization");
  if (certified?.caller && authorization === null) return { caller: certified.caller };
  return verify(authorization, showing);
}

/** Who is it, and may they? The answer to the first stays in the context for the handlers. */
export function createGate(
  verify: VerifyHeader,
  limit: LimitRates,
  isEnrolled: IsEnrolled,
  {
    clock,
    raise,
    tellRefused,
  }: { readonly clock: () => Date; readonly raise: Raise; readonly tellRefused: TellRefused },
): Gate {
  /** The caller as they may call: raised by an assertion where their token does not do. */
  async function allowed({ method, requestHeader }: Arrival, caller: Caller, now: Date): Promise<Caller> {
    const policy = policyOf(method);
    try {
      await authorise(caller, policy, now, isEnrolled);
      return caller;
    } catch (refusal) {
      if (caller.principal !== Principal.USER || !asksForStepUp(refusal)) throw refusal;
      const assertion = requestHeader.get(ASSERTION_HEADER);
      if (assertion === null) throw withHint(refusal, method);
      const raised = await raise(caller, assertion, { rpc: method.name, maxAgeMs: policy.maxAgeMs, now });
      await authorise(raised, policy, now, isEnrolled);
      return raised;
    }
  }

  return async (arrival) => {
    const { method, values, address, requestHeader } = arrival;
    const userAgent = printable(requestHeader.get("user-agent") ?? "");
    values.set(clientKey, { ...address, userAgent, application: "" });
    const now = clock();
    limit.source(address.ip);
    const { caller, confirm } = await credentialOf(arrival, verify, { method, now }).catch((thrown: unknown) => {
      if (thrown instanceof Refusal) limit.charge(address.ip);
      throw thrown;
    });
    values.set(identifiedKey, caller);
    // Backends and administrators' consoles make the calls of many.
    if (!inOwnName.has(caller.principal)) limit.charge(address.ip);
    limit.caller(caller);
    const allowedCaller = await allowed(arrival, caller, now).catch(async (thrown: unknown) => {
      await tellRefused(thrown, { ...arrival, caller });
      throw thrown;
    });
    await confirm?.();
    values.set(callerKey, allowedCaller);
  };
}

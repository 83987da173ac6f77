import type { DescMethod } from "@bufbuild/protobuf";
import type { ContextValues } from "@connectrpc/connect";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { printable } from "../../core/client-origin.ts";
import type { Raise } from "../../core/raise.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PeerKind } from "../limits/connections.ts";
import type { LimitRates } from "../limits/rates.ts";
import type { TellRefused } from "../serve/call.ts";
import { callerKey, clientKey, identifiedKey, inOwnName, raisedKey, throughBackendKey } from "../serve/call.ts";
import { asksForStepUp, authorize, type IsEnrolled } from "./authorization.ts";
import type { ClientAddress } from "./client-address.ts";
import type { Credential, Showing, VerifyHeader } from "./credentials.ts";
import { explained } from "./denial.ts";
import { rpcPolicyOf } from "./policy.ts";

/** A call before its body is read. */
export interface Arrival {
  readonly method: DescMethod;
  readonly requestHeader: Pick<Headers, "get">;
  readonly values: ContextValues;
  /** The client's address. */
  readonly address: ClientAddress;
  /** On mTLS listeners: the identity of the peer's certificate, from the socket rather than a header. */
  readonly certified?: Certified | undefined;
}

/** Returns the caller of a verified certificate; undefined for an unlisted one. */
export interface Certified {
  readonly caller: Caller | undefined;
}

/** Returns the kind of peer by its verified credential, also where the call was then refused. */
export function peerKindOf(values: ContextValues): PeerKind {
  const identified = values.get(identifiedKey);
  if (identified && inOwnName.has(identified.principal)) return "backend";
  return values.get(callerKey) ? "user" : "stranger";
}

/**
 * The gate: authenticates and authorizes a call, or throws its refusal. Every transport runs it before it decodes the
 * body.
 */
export type Gate = (arrival: Arrival) => Promise<void>;

/** The header of an assertion in place of a fresh second factor. */
export const ASSERTION_HEADER = "mfa-assertion";

/** The header of a backend's own credential, beside its user's token. */
export const BACKEND_HEADER = "mfa-backend-authorization";

/** The hint for a missing second factor: StepUp for this RPC. */
const withHint = (refusal: Refusal, { name }: DescMethod): Refusal =>
  refusal.metadata.acr_values === "aal2"
    ? new Refusal(refusal.reason, { metadata: { ...refusal.metadata, challenge_hint: `mfa.rpc ${name}` } })
    : refusal;

/** Tickets, devices' signatures and cookies of prompts are looked up in the store: a source that has used up its rate gets no look. */
const costsStore = ({ requestHeader }: Arrival): boolean =>
  /^(ticket|device|prompt) /i.test(requestHeader.get("authorization") ?? "");

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

/** What else a gate needs. */
interface GateOptions {
  readonly clock: () => Date;
  readonly raise: Raise;
  readonly tellRefused: TellRefused;
  /** Whether denied callers learn what they lack: in dev mode only. */
  readonly tellsCaller: boolean;
}

/**
 * Whether a backend of the user's tenant makes the call: by its credential or certificate, or as a trusted proxy that
 * passes nobody on. Throws INVALID_CREDENTIAL for a credential of anybody else.
 */
async function isThroughBackend(
  { requestHeader, certified, address }: Arrival,
  { tenantId, principal }: Caller,
  show: (header: string) => Promise<Credential>,
): Promise<boolean> {
  if (inOwnName.has(principal)) return false;
  const header = requestHeader.get(BACKEND_HEADER);
  if (header === null) return certified?.caller?.tenantId === tenantId || address.ofProxy === true;
  // Tickets and signatures of devices are used up by being shown, and are no backend's.
  const shown = /^bearer /i.test(header) ? await show(header) : undefined;
  const backend = shown?.caller;
  if (backend?.principal !== Principal.SERVICE || backend.tenantId !== tenantId) {
    throw new Refusal("INVALID_CREDENTIAL");
  }
  await shown?.confirm?.();
  return true;
}

/** Who is it, and may they? The answer to the first stays in the context for the handlers. */
export function createGate(
  verify: VerifyHeader,
  limit: LimitRates,
  isEnrolled: IsEnrolled,
  { clock, raise, tellRefused, tellsCaller }: GateOptions,
): Gate {
  /** The caller as they may call: raised by an assertion where their token does not do. */
  async function allowed({ method, requestHeader, values }: Arrival, caller: Caller, now: Date): Promise<Caller> {
    const policy = rpcPolicyOf(method);
    try {
      await authorize(caller, policy, now, isEnrolled);
      return caller;
    } catch (refusal) {
      if (caller.principal !== Principal.USER || !asksForStepUp(refusal)) throw refusal;
      const assertion = requestHeader.get(ASSERTION_HEADER);
      if (assertion === null) throw withHint(refusal, method);
      const raised = await raise(caller, assertion, { rpc: method.name, maxAgeMs: policy.maxAgeMs });
      await authorize(raised.caller, policy, now, isEnrolled);
      values.set(raisedKey, raised);
      return raised.caller;
    }
  }

  /** Counts a call of a user or a stranger; throws RATE_LIMITED when their place has used up its allowance. */
  const takeOfSource = (ip: string) => {
    limit.source(ip);
    limit.charge(ip);
  };

  return async (arrival) => {
    const { method, values, address, requestHeader } = arrival;
    const userAgent = printable(requestHeader.get("user-agent") ?? "");
    values.set(clientKey, { ip: address.ip, trusted: address.trusted, userAgent, application: "" });
    const now = clock();
    const beforeLook = () => limit.source(address.ip);
    if (costsStore(arrival)) beforeLook();
    const showing = { method, now, ip: address.ip, beforeLook };
    const refuse = (thrown: unknown): never => {
      if (thrown instanceof Refusal) takeOfSource(address.ip);
      throw thrown;
    };
    const { caller, confirm } = await credentialOf(arrival, verify, showing).catch(refuse);
    const show = (header: string) => verify(header, showing);
    values.set(throughBackendKey, await isThroughBackend(arrival, caller, show).catch(refuse));
    values.set(identifiedKey, caller);
    // Backends and administrators' consoles make the calls of many: strangers at their address take nothing from them.
    if (!inOwnName.has(caller.principal)) takeOfSource(address.ip);
    limit.caller(caller);
    const allowedCaller = await allowed(arrival, caller, now).catch(async (thrown: unknown) => {
      await tellRefused(thrown, { ...arrival, caller });
      throw tellsCaller ? explained(thrown, method, caller) : thrown;
    });
    await confirm?.();
    values.set(callerKey, allowedCaller);
  };
}

import type {
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { createContextKey, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { Acr, Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { type Caller, type Owner, ownerOf } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Store, Tx } from "../db/store.ts";
import { onceOnly } from "../protection/request-ids.ts";
import { userRepository } from "../users/users.repository.ts";
import { stepUp } from "./authorisation.ts";
import { type Policy, policyOf } from "./policy.ts";

/** What answers one RPC: a message in, a message or a refusal out; a stream of messages where the RPC streams. */
export type Handler<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O> | Refusal>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : never;

/** The handlers that a feature gives to a service: `satisfies Handlers<typeof MfaService>` checks names and types. */
export type Handlers<S extends DescService> = { readonly [M in keyof S["method"]]?: Handler<S["method"][M]> };

/** The names of the RPCs of a service. */
export type RpcName<S extends DescService> = keyof S["method"] & string;

/** Where the gate leaves the verified caller for the handlers. */
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });

/** What serving needs of the process. */
export interface Serving {
  readonly store: Store;
  readonly clock: () => Date;
  /** Whether a user holds a second factor, as the unit sees it. */
  readonly hasFactor: (tx: Tx, owner: Owner) => Promise<boolean>;
}

/** No unary call runs longer, whatever deadline its client asks for. */
const MAX_UNARY_MS = 30_000;

function withinDeadline<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Refusal("DEADLINE")), MAX_UNARY_MS);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/**
 * Asks again, inside the unit, what let a user in without a second factor: that they had none to show. Between the
 * gate and the unit another call may have enrolled one.
 */
async function confirmFirstEnrolment(tx: Tx, policy: Policy, { caller, now }: Call, { hasFactor }: Serving) {
  if (policy.acr !== Acr.AAL2_IF_ENROLLED || caller.principal !== Principal.USER || caller.acr === "aal2") return;
  await userRepository(tx).serialise(ownerOf(caller), now);
  if (await hasFactor(tx, ownerOf(caller))) throw stepUp("aal2", policy);
}

function startCall(method: DescMethod, request: Message, caller: Caller, serving: Serving): Call {
  const { store, clock } = serving;
  const requestId = "requestId" in request && typeof request.requestId === "string" ? request.requestId : "";
  const reads = method.idempotency === Idempotency.NO_SIDE_EFFECTS;
  // The first unit that succeeds takes the request id for the call; later units of it are not repeats.
  let claimed = requestId === "";
  const unit = async <T>(work: (tx: Tx) => Promise<T>): Promise<T> => {
    if (reads) return store.read(work);
    const result = await store.write(async (tx) => {
      await confirmFirstEnrolment(tx, policyOf(method), call, serving);
      return claimed ? work(tx) : onceOnly(tx, { ...call, requestId }, () => work(tx));
    });
    claimed = true;
    return result;
  };
  const rpc = `${method.parent.typeName}/${method.name}`;
  const call: Call = { caller, now: clock(), rpc, trail: { entries: 0 }, unit };
  return call;
}

/** Fails to compile, naming the RPC, when one of `Names` has neither a handler nor a place in `notBuilt`. */
type Complete<Names extends string, Answered> =
  Exclude<Names, Answered> extends never ? unknown : { readonly neitherBuiltNorListed: Exclude<Names, Answered> };

const refuse = () => Promise.reject(new Refusal("NOT_BUILT"));

/**
 * Makes a Connect implementation of handlers, the same for every transport. Authorisation already ran: a call without
 * a caller is refused here all the same. An RPC listed in `notBuilt` answers NOT_BUILT; a missing RPC, a misspelt one
 * and a built one that is still listed do not compile.
 */
export function serve<S extends DescService, const H extends Handlers<S>, const N extends Exclude<RpcName<S>, keyof H>>(
  service: S,
  handlers: H,
  notBuilt: readonly N[] & Complete<RpcName<S>, keyof H | N>,
  serving: Serving,
): ServiceImpl<S> {
  const answer = (method: DescMethod) => {
    const missing = (notBuilt as readonly string[]).includes(method.localName);
    const handler = missing ? refuse : handlers[method.localName as RpcName<S>];
    if (!handler) throw new Error(`${service.typeName}/${method.name} has no handler`);

    const begin = (request: Message, context: HandlerContext): Call => {
      const caller = context.values.get(callerKey);
      if (!caller) throw new Refusal("INVALID_CREDENTIAL");
      return startCall(method, request, caller, serving);
    };
    if (method.methodKind === "server_streaming" && !missing) {
      const stream = handler as unknown as (request: Message, call: Call) => AsyncIterable<Message>;
      return (request: Message, context: HandlerContext) => stream(request, begin(request, context));
    }
    const unary = handler as (request: Message, call: Call) => Promise<object>;
    return async (request: Message, context: HandlerContext) => {
      const call = begin(request, context);
      const reply = await withinDeadline(unary(request, call));
      if (reply instanceof Refusal) throw reply;
      if (policyOf(method).audited && call.trail.entries === 0) throw new Error(`${call.rpc} left no audit entry`);
      return reply;
    };
  };
  const methods = service.methods.map((method) => [method.localName, answer(method)] as const);
  return Object.fromEntries(methods) as unknown as ServiceImpl<S>;
}

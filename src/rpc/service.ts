import type {
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Once } from "../protection/request-ids.ts";
import { type Serving, startCall } from "./call.ts";
import { keepsReply, namedUser, replyFromBytes, replyToBytes } from "./kept-replies.ts";
import { policyOf } from "./policy.ts";

/** What answers one RPC: a message in, a message or a refusal out; a stream of messages where the RPC streams. */
export type Handler<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O> | Refusal>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : never;

/** The handlers that a feature gives to a service: `satisfies Handlers<typeof MfaService>` checks names and types. */
export type Handlers<S extends DescService> = { readonly [M in keyof S["method"]]?: Handler<S["method"][M]> };

function withinDeadline<T>(work: Promise<T>, { maxWorkMs, onLimit }: Serving): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      onLimit("work");
      reject(new Refusal("DEADLINE"));
    }, maxWorkMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

/** Fails to compile, naming the RPC, when one of a service has no handler. */
type Complete<S extends DescService, H> =
  Exclude<keyof S["method"], keyof H> extends never
    ? unknown
    : { readonly missing: Exclude<keyof S["method"], keyof H> };

/**
 * Ends with the signal even while the source waits, and lets the source go however the stream ends. Between two messages
 * it holds none: a generator would, and `Promise.race` with one promise for the whole stream would hold them all.
 */
function until<T>(signal: AbortSignal, source: AsyncIterable<T>): AsyncIterableIterator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const over: IteratorResult<T> = { done: true, value: undefined };
  let isOver = false;
  let waiting: ((over: IteratorResult<T>) => void) | undefined;
  const end = () => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", end);
    waiting?.(over);
    // Not awaited: a generator that still waits returns only when its wait is over.
    void iterator.return?.().catch(() => {});
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  const next = () =>
    new Promise<IteratorResult<T>>((resolve, reject) => {
      if (isOver) return resolve(over);
      waiting = resolve;
      iterator.next().then(
        (found) => {
          waiting = undefined;
          if (found.done) end();
          resolve(found);
        },
        (thrown: unknown) => {
          waiting = undefined;
          end();
          reject(thrown);
        },
      );
    });
  return {
    next,
    return: async () => {
      end();
      return over;
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

/** Answers a repeat by the first one's reply, where the contract has no secret in it, and keeps the reply of a first. */
async function answerOnce(method: DescMethod, once: Once, handle: () => Promise<object>): Promise<object> {
  const keeps = keepsReply(method);
  try {
    const reply = await handle();
    if (reply instanceof Refusal) await once.release();
    else if (keeps) await once.keep((owner) => replyToBytes(method, reply, owner));
    return reply;
  } catch (thrown) {
    if (!keeps || !(thrown instanceof Refusal) || thrown.reason !== "REQUEST_REPEATED") throw thrown;
    const kept = await once.repeat();
    return kept instanceof Refusal ? kept : replyFromBytes(method, kept);
  }
}

/** The messages of a stream; how it fails is told first. */
async function* telling(stream: AsyncIterable<object>, tell: (thrown: unknown) => Promise<void>) {
  try {
    yield* stream;
  } catch (thrown) {
    await tell(thrown);
    throw thrown;
  }
}

/**
 * Makes a Connect implementation of handlers, the same for every transport. Authorisation already ran. A missing RPC or
 * a misspelt one does not compile.
 */
export function serve<S extends DescService, const H extends Handlers<S>>(
  service: S,
  handlers: H & Complete<S, H>,
  serving: Serving,
): ServiceImpl<S> {
  /** Tells of a call that fails once it has ended by itself: one past its deadline may still come to something. */
  const tell = (thrown: unknown, method: DescMethod, request: Message, context: HandlerContext, { caller }: Call) => {
    const { values, requestHeader } = context;
    return serving.tellRefused(thrown, { method, values, requestHeader, caller, userId: namedUser(request) });
  };
  const unary = (method: DescMethod, handler: (request: Message, call: Call) => Promise<object>) => {
    return async (request: Message, context: HandlerContext) => {
      const { call, once } = startCall(method, request, context, serving);
      const answer = async () => {
        try {
          const reply = await (once ? answerOnce(method, once, () => handler(request, call)) : handler(request, call));
          if (reply instanceof Refusal) throw reply;
          return reply;
        } catch (thrown) {
          await tell(thrown, method, request, context, call);
          throw thrown;
        }
      };
      return withinDeadline(answer(), serving);
    };
  };
  const stream = (method: DescMethod, handler: (request: Message, call: Call) => AsyncIterable<object>) => {
    const isAudited = policyOf(method).audited;
    return (request: Message, context: HandlerContext) => {
      const { call } = startCall(method, request, context, serving);
      const messages = handler(request, call);
      if (!isAudited) return until(context.signal, messages);
      return until(
        context.signal,
        telling(messages, (thrown) => tell(thrown, method, request, context, call)),
      );
    };
  };
  const answer = (method: DescMethod) => {
    const handler = handlers[method.localName as keyof S["method"]];
    // The type of a handler follows its method's kind; the two lose sight of each other in this loop.
    return method.methodKind === "unary" ? unary(method, handler as never) : stream(method, handler as never);
  };
  const methods = service.methods.map((method) => [method.localName, answer(method)] as const);
  return Object.fromEntries(methods) as unknown as ServiceImpl<S>;
}

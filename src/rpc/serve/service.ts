import type { DescMethod, DescService, Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type { Call } from "../../core/call.ts";
import type { Complete } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Once } from "../../idempotency/keys.ts";
import { keepsReply, namedUser, replyFromBytes, replyToBytes } from "../../idempotency/replies.ts";
import { rpcPolicyOf } from "../access/policy.ts";
import { type Serving, type Started, startCall } from "./call.ts";

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

/** Returns why we ended a stream; undefined where its client has left. */
function endOf({ reason }: AbortSignal): ConnectError | undefined {
  const isOurs = reason instanceof ConnectError && OUR_ENDS.has(reason.code);
  return isOurs ? reason : undefined;
}
const OUR_ENDS: ReadonlySet<Code> = new Set([Code.DeadlineExceeded, Code.Unavailable]);

/**
 * Ends a stream with its signal, also while the source waits, as a failure where we ended it; and releases the source
 * in every case. It holds no message between two: a generator would, and `Promise.race` with one promise for the whole
 * stream would hold all.
 */
function until<T>(signal: AbortSignal, source: AsyncIterable<T>): AsyncIterableIterator<T> {
  const iterator = source[Symbol.asyncIterator]();
  const over: IteratorResult<T> = { done: true, value: undefined };
  let isOver = false;
  let waiting: { resolve(over: IteratorResult<T>): void; reject(thrown: unknown): void } | undefined;
  const end = () => {
    if (isOver) return;
    isOver = true;
    signal.removeEventListener("abort", end);
    const failed = signal.aborted ? endOf(signal) : undefined;
    if (failed) waiting?.reject(failed);
    else waiting?.resolve(over);
    // Not awaited: a generator that still waits returns only when its wait is over.
    void iterator.return?.().catch(() => {});
  };
  if (signal.aborted) end();
  else signal.addEventListener("abort", end, { once: true });
  const next = () =>
    new Promise<IteratorResult<T>>((resolve, reject) => {
      if (isOver) {
        const failed = signal.aborted ? endOf(signal) : undefined;
        return failed ? reject(failed) : resolve(over);
      }
      waiting = { resolve, reject };
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

/** Answers a repeat with the stored reply, for replies without secrets, and stores the reply of a first call. */
async function answerOnce(method: DescMethod, once: Once, handle: () => Promise<object>): Promise<object> {
  const keeps = keepsReply(method);
  try {
    const reply = await handle();
    if (reply instanceof Refusal) await once.release();
    else if (keeps) await once.keep((owner) => replyToBytes(method, reply, owner));
    return reply;
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    // A refusal from any unit releases the key, so that a retry can succeed.
    if (thrown.reason !== "REQUEST_REPEATED") await once.release();
    if (!keeps || thrown.reason !== "REQUEST_REPEATED") throw thrown;
    const kept = await once.repeat();
    return kept instanceof Refusal ? kept : replyFromBytes(method, kept);
  }
}

/** Runs a call authorized by an assertion: success uses it up, a refusal keeps it. */
async function answerRaised({ call, raised }: Started, handle: () => Promise<object>): Promise<object> {
  if (!raised) return handle();
  const release = await raised.begin(call);
  try {
    const reply = await handle();
    if (reply instanceof Refusal) await raised.giveBack();
    else await raised.conclude();
    return reply;
  } catch (thrown) {
    if (thrown instanceof Refusal) await raised.giveBack();
    throw thrown;
  } finally {
    release();
  }
}

/** The messages of a stream authorized by an assertion, which is used up before the first. */
async function* streamRaised({ call, raised }: Started, stream: AsyncIterable<object>) {
  const release = await raised?.begin(call);
  try {
    await raised?.conclude();
  } finally {
    release?.();
  }
  yield* stream;
}

/** Passes the stream through; audits a failure before rethrowing it. */
async function* telling(stream: AsyncIterable<object>, tell: (thrown: unknown) => Promise<void>) {
  try {
    yield* stream;
  } catch (thrown) {
    await tell(thrown);
    throw thrown;
  }
}

/**
 * Makes a Connect implementation of handlers, the same for every transport. Authorization already ran. A missing RPC or
 * a misspelt one does not compile.
 */
export function serve<S extends DescService>(service: S, handlers: Complete<S>, serving: Serving): ServiceImpl<S> {
  /** Audits a failed call after it has ended: one past its deadline may still commit. */
  const tell = (thrown: unknown, method: DescMethod, request: Message, context: HandlerContext, { caller }: Call) => {
    const { values, requestHeader } = context;
    return serving.tellRefused(thrown, { method, values, requestHeader, caller, userId: namedUser(request) });
  };
  const unary = (method: DescMethod, handler: (request: Message, call: Call) => Promise<object>) => {
    return async (request: Message, context: HandlerContext) => {
      const started = startCall(method, request, context, serving);
      const { call, once } = started;
      const handle = () => (once ? answerOnce(method, once, () => handler(request, call)) : handler(request, call));
      const answer = async () => {
        try {
          const reply = await answerRaised(started, handle);
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
    const isAudited = rpcPolicyOf(method).audited;
    return (request: Message, context: HandlerContext) => {
      const started = startCall(method, request, context, serving);
      const { call } = started;
      const messages = started.raised ? streamRaised(started, handler(request, call)) : handler(request, call);
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

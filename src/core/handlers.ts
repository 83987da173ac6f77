import type {
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Call } from "./call.ts";
import type { Refusal } from "./refusal.ts";

/** What answers one RPC: a message in, a message or a refusal out; a stream of messages where the RPC streams. */
export type Handler<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O> | Refusal>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : never;

/** A handler for every RPC of a service. */
export type Complete<S extends DescService> = { readonly [M in keyof S["method"]]: Handler<S["method"][M]> };

/** The handlers that a feature gives to a service: `satisfies Handlers<typeof MfaService>` checks names and types. */
export type Handlers<S extends DescService> = { readonly [M in keyof S["method"]]?: Handler<S["method"][M]> };

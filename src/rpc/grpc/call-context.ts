import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Metadata, ServerDuplexStream, ServerUnaryCall } from "@grpc/grpc-js";
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";
import { ASSERTION_HEADER } from "../access/gate.ts";

/** A call as grpc-js hands it over; bodies stay bytes until the gate has opened. */
export type GrpcCall = ServerUnaryCall<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** The headers of a grpc-js call in the form that Connect's interceptors and handlers expect. */
export function toHeaders(metadata: Metadata): Headers {
  const headers = new Headers();
  for (const [key, value] of Object.entries(metadata.getMap())) {
    headers.set(key, typeof value === "string" ? value : value.toString("base64"));
  }
  return headers;
}

/** The reverse of `toHeaders`. */
export function toMetadata(headers: Headers): GrpcMetadata {
  const metadata = new GrpcMetadata();
  headers.forEach((value, key) => {
    metadata.set(key, key.endsWith("-bin") ? Buffer.from(value, "base64") : value);
  });
  return metadata;
}

function remainingMs(call: GrpcCall): number | undefined {
  const deadline = Number(call.getDeadline());
  return Number.isFinite(deadline) ? Math.max(0, deadline - Date.now()) : undefined;
}

/**
 * Connect's HandlerContext over a grpc-js call. Headers and the abort signal are made when somebody asks for them:
 * built for each call, they cost more than most handlers.
 */
export class GrpcContext implements HandlerContext {
  readonly service;
  readonly method: DescMethod;
  readonly protocolName = "grpc";
  readonly requestMethod = "POST";
  readonly values = createContextValues();
  readonly #call: GrpcCall;
  #controller: AbortController | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  constructor(method: DescMethod, call: GrpcCall) {
    this.service = method.parent;
    this.method = method;
    this.#call = call;
  }

  get url(): string {
    return `http://localhost/${this.service.typeName}/${this.method.name}`;
  }

  /** Made anew each time: kept, they would cost each open stream as much as its caller. */
  get requestHeader(): Headers {
    return toHeaders(this.#call.metadata);
  }

  /** Single headers, without building them all. */
  readonly arrived = {
    get: (name: string): string | null => {
      const values = this.#call.metadata.get(name);
      return values.length > 0 ? values.join(", ") : null;
    },
  };

  /** Lets go of what the gate has seen: an open stream would hold it for as long as it lasts. */
  forgetCredentials(): void {
    this.#call.metadata.remove("authorization");
    this.#call.metadata.remove(ASSERTION_HEADER);
  }

  /** The other end of the connection: "address:port". */
  get peer(): string {
    return this.#call.getPeer();
  }

  get responseHeader(): Headers {
    this.#responseHeader ??= new Headers();
    return this.#responseHeader;
  }

  get responseTrailer(): Headers {
    this.#responseTrailer ??= new Headers();
    return this.#responseTrailer;
  }

  /** Aborted when the client is gone, and by `abort`. Its own: one made of several costs each open stream 2 KB more. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#call.cancelled) this.abort();
      else this.#call.once("cancelled", () => this.abort());
    }
    return this.#controller.signal;
  }

  /** Ends what would otherwise outlive the server: streams. */
  abort(): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(new ConnectError("the call was cancelled", Code.Canceled));
  }

  timeoutMs(): number | undefined {
    return remainingMs(this.#call);
  }

  /** The response headers that a handler or an interceptor set; undefined when nobody asked for them. */
  sentHeader(): GrpcMetadata | undefined {
    return this.#responseHeader && toMetadata(this.#responseHeader);
  }

  /** The response trailers, likewise. */
  sentTrailer(): GrpcMetadata | undefined {
    return this.#responseTrailer && toMetadata(this.#responseTrailer);
  }
}

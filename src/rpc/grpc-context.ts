import type { DescMethod } from "@bufbuild/protobuf";
import { Code, ConnectError, createContextValues, type HandlerContext } from "@connectrpc/connect";
import type { Metadata, ServerDuplexStream, ServerUnaryCall } from "@grpc/grpc-js";
import { Metadata as GrpcMetadata } from "@grpc/grpc-js";

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
  readonly #shutdown: AbortSignal | undefined;
  #signal: AbortSignal | undefined;
  #requestHeader: Headers | undefined;
  #responseHeader: Headers | undefined;
  #responseTrailer: Headers | undefined;

  /** `shutdown` ends calls that would otherwise outlive the server: streams. */
  constructor(method: DescMethod, call: GrpcCall, shutdown?: AbortSignal) {
    this.service = method.parent;
    this.method = method;
    this.#call = call;
    this.#shutdown = shutdown;
  }

  get url(): string {
    return `http://localhost/${this.service.typeName}/${this.method.name}`;
  }

  get requestHeader(): Headers {
    this.#requestHeader ??= toHeaders(this.#call.metadata);
    return this.#requestHeader;
  }

  /** Single headers, without building them all. */
  readonly arrived = {
    get: (name: string): string | null => {
      const values = this.#call.metadata.get(name);
      return values.length > 0 ? values.join(", ") : null;
    },
  };

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

  get signal(): AbortSignal {
    if (!this.#signal) {
      const controller = new AbortController();
      const cancel = () => controller.abort(new ConnectError("the call was cancelled", Code.Canceled));
      if (this.#call.cancelled) cancel();
      else this.#call.once("cancelled", cancel);
      this.#signal = this.#shutdown ? AbortSignal.any([controller.signal, this.#shutdown]) : controller.signal;
    }
    return this.#signal;
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

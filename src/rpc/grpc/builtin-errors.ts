import { type ServerInterceptingCallInterface, status as Status, type StatusObject } from "@grpc/grpc-js";
import { Refusal } from "../../core/refusal.ts";
import { MAX_MESSAGE_BYTES, type OnLimit } from "../limits/listener-limits.ts";
import { refusalToError, tooLarge } from "../serve/errors.ts";
import { toGrpcStatus } from "./error-status.ts";

/** A status, its metadata as may be. */
export type PartialStatusObject = Pick<StatusObject, "code" | "details"> & Partial<StatusObject>;

/** Private fields of a grpc-js call. */
interface Accepted {
  /** `grpc-encoding`, taken out of the metadata. */
  readonly incomingEncoding?: string;
  sendStatus(status: PartialStatusObject): void;
}

/** The refusal of a message that is compressed. */
export const COMPRESSED = toGrpcStatus(
  refusalToError(new Refusal("ENCODING_REFUSED", { metadata: { taken: "identity" } })),
);

/** The refusal of a message over the size limit. */
export const TOO_LARGE = toGrpcStatus(tooLarge("message", MAX_MESSAGE_BYTES));

/** Our texts for errors that grpc-js makes below every interceptor: its own texts repeat what the client sent. */
function inOurWords({ code, details }: PartialStatusObject, onLimit: OnLimit): PartialStatusObject {
  if (code === Status.INTERNAL && details.startsWith("Invalid grpc-timeout")) {
    onLimit("timeout_header");
    return { code: Status.INVALID_ARGUMENT, details: "grpc-timeout is no timeout" };
  }
  if (code === Status.RESOURCE_EXHAUSTED) {
    onLimit("message_size");
    return TOO_LARGE;
  }
  if (code === Status.DEADLINE_EXCEEDED) return { code, details: "the call's own deadline has passed" };
  // A message marked as compressed without an encoding, or with an unknown one.
  if (code === Status.UNIMPLEMENTED || details.includes("decompress")) {
    onLimit("compression");
    return COMPRESSED;
  }
  return { code, details: "internal error" };
}

/**
 * Replaces errors that grpc-js answers before any interceptor: INTERNAL to a bad timeout, with its text, and to a body
 * that does not decompress. Compressed messages are refused. Uses private fields of grpc-js, here only; tests hold
 * them. Returns the refusal that is due at once, and a function that lets our own statuses pass.
 */
export function watchBuiltinErrors(call: ServerInterceptingCallInterface, onLimit: OnLimit) {
  const accepted = call as unknown as Accepted;
  const send = accepted.sendStatus.bind(call);
  let ours = false;
  accepted.sendStatus = (status) => send(ours ? status : inOurWords(status, onLimit));
  const compressed = (accepted.incomingEncoding ?? "identity") !== "identity";
  if (compressed) onLimit("compression");
  return {
    refusal: compressed ? COMPRESSED : undefined,
    /** Lets statuses pass unchanged from here on. */
    speakOurselves: () => {
      ours = true;
    },
  };
}

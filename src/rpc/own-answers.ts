import { type ServerInterceptingCallInterface, status as Status, type StatusObject } from "@grpc/grpc-js";
import { MAX_MESSAGE_BYTES, type OnLimit } from "../core/listener-limits.ts";

/** A status, its metadata as may be. */
export type PartialStatusObject = Pick<StatusObject, "code" | "details"> & Partial<StatusObject>;

/** What grpc-js keeps to itself of a call that it has just accepted. */
interface Accepted {
  /** `grpc-encoding`, taken out of the metadata. */
  readonly incomingEncoding?: string;
  deadline: number;
  readonly deadlineTimer?: NodeJS.Timeout | null;
  sendStatus(status: PartialStatusObject): void;
}

const COMPRESSED = { code: Status.UNIMPLEMENTED, details: "compressed messages are not taken" };

/** What grpc-js says by itself, below every interceptor, in our words: its own repeat what the client sent. */
function inOurWords({ code, details }: PartialStatusObject, onLimit: OnLimit): PartialStatusObject {
  if (code === Status.INTERNAL && details.startsWith("Invalid grpc-timeout")) {
    onLimit("timeout_header");
    return { code: Status.INVALID_ARGUMENT, details: "grpc-timeout is no timeout" };
  }
  if (code === Status.RESOURCE_EXHAUSTED) {
    onLimit("message_size");
    return { code, details: `the message is larger than ${MAX_MESSAGE_BYTES / 1024} KiB` };
  }
  if (code === Status.DEADLINE_EXCEEDED) return { code, details: "the call's own deadline has passed" };
  // A message that claims to be compressed without saying how, or how we do not know.
  if (code === Status.UNIMPLEMENTED || details.includes("decompress")) {
    onLimit("compression");
    return COMPRESSED;
  }
  return { code, details: "internal error" };
}

/**
 * Watches over what grpc-js answers before anybody can intercept it: INTERNAL to a bad timeout, with its text, and to a
 * body that does not decompress. Nothing compressed is taken, as on the gateway, so nothing can swell. Uses private
 * fields of grpc-js, in this one place; tests hold them. Returns the refusal that is due at once, and the way for
 * statuses of our own.
 */
export function watchOwnAnswers(call: ServerInterceptingCallInterface, onLimit: OnLimit) {
  const accepted = call as unknown as Accepted;
  const send = accepted.sendStatus.bind(call);
  let ours = false;
  accepted.sendStatus = (status) => send(ours ? status : inOurWords(status, onLimit));
  // More milliseconds than 31 bits hold turn into a deadline long past; what is longer than any limit of ours is none.
  if (accepted.deadline < Date.now() - 1_000 && accepted.deadlineTimer) {
    clearTimeout(accepted.deadlineTimer);
    accepted.deadline = Number.POSITIVE_INFINITY;
  }
  const compressed = (accepted.incomingEncoding ?? "identity") !== "identity";
  if (compressed) onLimit("compression");
  return {
    refusal: compressed ? COMPRESSED : undefined,
    /** Lets statuses pass as they are from here on. */
    speakOurselves: () => {
      ours = true;
    },
  };
}

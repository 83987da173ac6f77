import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import { reasonOf, retryAfterOf } from "./errors.ts";

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

const isIdempotent = (level: Level) => level === Level.IDEMPOTENT || level === Level.NO_SIDE_EFFECTS;

/** Whether the same call may be sent again: what was refused before it was begun always, else what is idempotent. */
function mayRepeat(error: unknown, level: Level): boolean {
  if (!(error instanceof ConnectError)) return false;
  if (reasonOf(error) === "OVERLOADED") return true; // nothing was done
  return isIdempotent(level) && (error.code === Code.Unavailable || reasonOf(error) === "CONFLICT");
}

const pauseBefore = (error: unknown, attempt: number) =>
  retryAfterOf(error) ?? FIRST_PAUSE_MS * 2 ** attempt * (0.5 + Math.random());

/** Waits, unless the call ends before: then there is no use in another attempt. */
const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal.addEventListener("abort", stop, { once: true });
  });

/**
 * Sends a unary call again where that can do no harm, with a pause that grows or is as long as the service asks for. The
 * deadline of the call goes for all attempts together; a pause of more than five seconds is left to the caller.
 */
export function retrying(retries: number): Interceptor {
  return (next) => async (request) => {
    if (request.stream) return next(request);
    for (let attempt = 0; ; attempt++) {
      try {
        return await next(request);
      } catch (error) {
        const waitMs = pauseBefore(error, attempt);
        const isOver = attempt >= retries || request.signal.aborted || waitMs > LONGEST_PAUSE_MS;
        if (isOver || !mayRepeat(error, request.method.idempotency)) throw error;
        await pause(waitMs, request.signal).catch(() => Promise.reject(error));
      }
    }
  };
}

import { constants, type ServerHttp2Stream } from "node:http2";

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/**
 * The stop of a gRPC listener. It goes on listening while calls end, so that health can be queried; for `noticeMs` it
 * still accepts calls, since those of new connections may be on their way.
 */
export class Draining {
  readonly #noticeMs: number;
  readonly #running = new Set<ServerHttp2Stream>();
  /** Answered streams whose client has not ended its half. */
  readonly #answered = new Set<ServerHttp2Stream>();
  #refuses = false;
  #isIdle: (() => void) | undefined;

  constructor(noticeMs: number) {
    this.#noticeMs = noticeMs;
  }

  /** Whether calls other than health are refused. */
  get refuses(): boolean {
    return this.#refuses;
  }

  /** Counts a call that the stop waits for. */
  begin(stream: ServerHttp2Stream): void {
    if (this.#refuses) return;
    this.#running.add(stream);
    stream.once("finish", () => {
      if (!stream.destroyed) this.#answered.add(stream);
      this.#end(stream);
    });
    stream.once("close", () => {
      this.#answered.delete(stream);
      this.#end(stream);
    });
  }

  /** A call ends with its reply, since a client may leave its half open. */
  #end(stream: ServerHttp2Stream): void {
    this.#running.delete(stream);
    if (this.#running.size === 0) this.#isIdle?.();
  }

  /** Closes answered streams that their clients leave open. */
  letGo(): void {
    for (const stream of this.#answered) stream.close(constants.NGHTTP2_NO_ERROR);
  }

  /** Refuses calls after the notice, and resolves when the last is answered, after `graceMs` at the latest. */
  async finish(graceMs: number): Promise<void> {
    const noticeMs = Math.min(this.#noticeMs, graceMs);
    await wait(noticeMs);
    this.#refuses = true;
    if (this.#running.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#isIdle = resolve;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, graceMs - noticeMs);
    });
    await Promise.race([idle, late]);
    clearTimeout(timer);
  }
}

import type { Http2Server, IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";

/** What stands before the streams of a server: calls `begin` for those that go on, and answers the others itself. */
export type StreamGuard = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, begin: () => void) => void;

type Listener = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => void;

/** Puts a guard before whatever a server does with new streams, so that what is refused costs only the stream. */
export function guardStreams(
  server: Pick<Http2Server, "on" | "listeners" | "removeAllListeners">,
  guard: StreamGuard,
): void {
  const behind = server.listeners("stream") as Listener[];
  server.removeAllListeners("stream");
  server.on("stream", (stream, headers, ...rest: unknown[]) => {
    guard(stream, headers, () => {
      for (const listener of behind) listener.call(server, stream, headers, ...rest);
    });
  });
}

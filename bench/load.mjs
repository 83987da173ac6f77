// Keeps so many calls in flight against a server for a while, and tells how many were answered and how long they took.
import { connect } from "node:http2";

const CONNECTIONS = 4;

/** A caller of one gRPC method over a few raw HTTP/2 connections: nothing but the frames, so that it is not measured. */
export function grpcCaller(port, path) {
  const sessions = [];
  // Opened when there is a call: the service lets go of sockets that have none.
  const session = (n) => {
    if (!sessions[n] || sessions[n].destroyed || sessions[n].closed) {
      sessions[n] = connect(`http://127.0.0.1:${port}`);
      sessions[n].on("error", () => {});
    }
    return sessions[n];
  };
  const fixed = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
  let turn = 0;
  return {
    call: (message, token) =>
      new Promise((resolve, reject) => {
        const headers = token ? { ...fixed, authorization: `Bearer ${token}` } : fixed;
        const stream = session(turn++ % CONNECTIONS).request(headers);
        let status;
        let reason;
        stream.on("response", (head) => {
          status = head["grpc-status"];
          reason = head["grpc-message"];
        });
        stream.on("trailers", (trailers) => {
          status = trailers["grpc-status"];
          reason = trailers["grpc-message"];
        });
        stream.on("error", reject);
        const parts = [];
        stream.on("data", (part) => parts.push(part));
        const answer = () => (parts.length > 1 ? Buffer.concat(parts) : (parts[0] ?? Buffer.alloc(5))).subarray(5);
        stream.on("close", () =>
          status === "0" ? resolve(answer()) : reject(new Error(`grpc-status ${status}: ${reason}`)),
        );
        const frame = Buffer.allocUnsafe(5 + message.length);
        frame[0] = 0;
        frame.writeUInt32BE(message.length, 1);
        frame.set(message, 5);
        stream.end(frame);
      }),
    close: () => {
      for (const open of sessions) open?.destroy();
    },
  };
}

/** Runs `call` for `ms` milliseconds with `inFlight` of them open at once, or until it answers false: nothing is left. */
export async function load(call, { inFlight, ms }) {
  const times = [];
  let failed = 0;
  let problem;
  const started = performance.now();
  let left = true;
  const worker = async () => {
    while (left && performance.now() - started < ms) {
      const begun = performance.now();
      try {
        left = (await call()) !== false && left;
        if (left) times.push(performance.now() - begun);
      } catch (error) {
        failed++;
        problem = error;
      }
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  const seconds = (performance.now() - started) / 1000;
  times.sort((a, b) => a - b);
  const at = (share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];
  return { rate: times.length / seconds, calls: times.length, p50: at(0.5), p99: at(0.99), failed, problem };
}

// What Node's own HTTP/2 does at best: a stream answered with fixed bytes and gRPC's trailers, nothing decoded.
import { createServer } from "node:http2";

const reply = Buffer.from([0, 0, 0, 0, 40, ...Buffer.alloc(40, 120)]);
const server = createServer();
server.on("stream", (stream) => {
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
    stream.end(reply);
  });
  stream.resume();
});
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
process.on("message", ({ id, ask }) => {
  process.send({ id, answer: { cpu: () => process.cpuUsage(), rss: () => process.memoryUsage.rss() }[ask]?.() });
  if (ask === "stop") process.exit(0);
});
process.on("disconnect", () => process.exit(0));

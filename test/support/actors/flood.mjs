// Keeps so many proofs in flight over gRPC until it is told to stop: <port> <token> <in flight> <connections>.
// On SIGTERM it writes how many calls ended with which gRPC status.
import { connect } from "node:http2";

const [port, token, inFlight, connections] = process.argv.slice(2);
const counts = {};
let user = 0;

/** A VerifyUserTotpCodeRequest in gRPC's framing, each for another user: whoever is locked is refused for that. */
function message() {
  user += 1;
  const name = Buffer.from(`flood-${user}`);
  const code = Buffer.from("123456");
  const body = Buffer.concat([Buffer.from([0x0a, name.length]), name, Buffer.from([0x12, code.length]), code]);
  return Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]);
}

const headers = {
  ":method": "POST",
  ":path": "/mfa.v1.InternalMfaService/VerifyUserTotpCode",
  "content-type": "application/grpc",
  te: "trailers",
  authorization: `Bearer ${token}`,
};

function call(session) {
  if (session.destroyed) return;
  const stream = session.request(headers);
  let code = "none";
  const note = (fields) => {
    code = String(fields["grpc-status"] ?? code);
  };
  stream.on("response", note).on("trailers", note);
  stream.on("error", () => {});
  stream.on("close", () => {
    counts[code] = (counts[code] ?? 0) + 1;
    // A client that is refused comes again when it was told to.
    setTimeout(() => call(session), code === "8" ? 1_000 : 0);
  });
  stream.resume().end(message());
}

for (let n = 0; n < Number(connections); n += 1) {
  const session = connect(`http://127.0.0.1:${port}`).on("error", () => {});
  session.once("connect", () => {
    for (let m = 0; m < Number(inFlight) / Number(connections); m += 1) call(session);
  });
}
process.stdout.write("flooding\n");
process.on("SIGTERM", () => {
  process.stdout.write(`counts ${JSON.stringify(counts)}\n`, () => process.exit(0));
});

// A receiver of webhooks that answers 204 to whatever it is sent.
import { createServer } from "node:https";
import { selfSigned } from "../test/support/fakes/certificates.ts";

const { cert, key } = selfSigned();
const server = createServer({ cert, key }, (request, response) => {
  request.resume();
  request.on("end", () => response.writeHead(204).end());
});
server.listen(0, "localhost", () => process.send({ port: server.address().port, ca: cert.toString() }));

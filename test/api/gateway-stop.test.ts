import { once } from "node:events";
import { connect } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { listenGateway } from "../../src/rpc/gateway/gateway.ts";
import { selfSigned } from "../support/fakes/certificates.ts";

test.each([
  ["in clear", () => undefined],
  ["over TLS", selfSigned],
])("a stop of the gateway %s does not wait for a socket that asks for nothing", async (_, certificate) => {
  const pem = certificate();
  const gateway = await listenGateway({
    services: [],
    gate: async () => {},
    host: "127.0.0.1",
    port: 0,
    origins: [],
    onUnexpected: () => {},
    tls: pem && { cert: Buffer.from(pem.cert), key: Buffer.from(pem.key) },
  });
  const socket = connect(gateway.port, "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  const closed = once(socket, "close");
  await gateway.drain(100);
  expect(await closed).toHaveLength(1);
});

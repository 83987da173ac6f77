import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { status } from "@grpc/grpc-js";
import { expect, onTestFinished, test } from "vitest";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { failure, grpcClient } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

test("/readyz turns from 200 to 503 as soon as the service is told to stop, and /livez does not", async () => {
  const service = await serviceForTest(sqlite);
  /** A connection whose next request is under way already: no drain takes it for idle. */
  const halfway = async (path: string) => {
    const socket = connect(service.adminPort, "127.0.0.1").setEncoding("utf8");
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => {});
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\nGET ${path} HTTP/1.1\r\n`);
    const [first] = await once(socket, "data");
    return { socket, first: String(first) };
  };
  const probes = await Promise.all(["/readyz", "/livez"].map(halfway));
  expect(probes.map(({ first }) => first.slice(0, 12))).toEqual(["HTTP/1.1 200", "HTTP/1.1 200"]);
  const stopped = service.server.stop();
  const answers = await Promise.all(
    probes.map(async ({ socket }) => {
      socket.write("host: x\r\nconnection: close\r\n\r\n");
      const [second] = await once(socket, "data");
      return String(second).slice(0, 12);
    }),
  );
  expect(answers).toEqual(["HTTP/1.1 503", "HTTP/1.1 200"]);
  await stopped;
});

test("while calls drain, readiness and health are asked over new connections, other calls are refused, and what runs is answered", async () => {
  const service = await serviceForTest(sqlite);
  const token = await service.user("ann");
  // A call that runs for as long as its message does not end.
  const session = connectHttp2(`http://127.0.0.1:${service.port}`).on("error", () => {});
  onTestFinished(() => session.destroy());
  await once(session, "connect");
  const running = session.request({
    ...{ ":method": "POST", ":path": "/mfa.v1.MfaService/ListTotpDevices", te: "trailers" },
    ...{ "content-type": "application/grpc", authorization: `Bearer ${token}` },
  });
  running.on("error", () => {});
  const ended = new Promise<unknown>((resolve) => running.on("trailers", (fields) => resolve(fields["grpc-status"])));
  await new Promise((resolve) => session.ping(resolve));
  let isStopped = false;
  const stopped = service.server.stop().then(() => {
    isStopped = true;
  });
  const ready = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/readyz`)).status;
  const health = () => grpcClient(Health, service.port);
  const calls = grpcClient(MfaService, service.port, token);
  onTestFinished(calls.close);
  await expect
    .poll(async () => failure(calls.rpcs.listTotpDevices({})))
    .toMatchObject({ code: status.UNAVAILABLE, reason: "STOPPING" });
  for (let n = 0; n < 3; n += 1) {
    const { rpcs, close } = health();
    expect([await ready(), (await rpcs.check({})).status]).toEqual([503, Status.NOT_SERVING]);
    close();
  }
  expect((await fetch(`http://127.0.0.1:${service.adminPort}/livez`)).status).toBe(200);
  expect(isStopped).toBe(false);
  running.resume().end(Buffer.alloc(5));
  expect(await ended).toBe("0");
  await stopped;
  await expect(ready()).rejects.toThrow();
});

test("calls of connections that are made as the service is told to stop are answered", async () => {
  const service = await serviceForTest(sqlite, { limits: { noticeMs: 2_000 } });
  const token = await service.user("ann");
  const stopped = service.server.stop();
  const calls = grpcClient(MfaService, service.port, token);
  onTestFinished(calls.close);
  const headers = { "content-type": "application/json", authorization: `Bearer ${token}` };
  const url = `http://127.0.0.1:${service.gatewayPort}/mfa.v1.MfaService/ListTotpDevices`;
  const [reply, answer] = await Promise.all([
    calls.rpcs.listTotpDevices({}),
    fetch(url, { method: "POST", headers, body: "{}" }),
  ]);
  expect([reply.devices, answer.status]).toEqual([[], 200]);
  await stopped;
});

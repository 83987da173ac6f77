import { once } from "node:events";
import { connect, constants } from "node:http2";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test } from "vitest";
import { newServiceKey } from "../../src/crypto/service-key.ts";
import { createKey } from "../support/actors/service-keys.ts";
import { engines } from "../support/engine/engines.ts";
import { times } from "../support/engine/races.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const VERIFY = "/mfa.v1.InternalMfaService/VerifyUserTotpCode";
const LIST = "/mfa.v1.MfaService/ListTotpDevices";
const bytes = (body: Buffer) => body;

const hitsOf = async ({ adminPort }: ServiceUnderTest, limit: string) => {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return Number(new RegExp(`mfa_limit_hits_total\\{limit="${limit}"\\} (\\d+)`).exec(text)?.[1] ?? 0);
};

/** A gRPC client with a connection of its own: calls with an empty message, which end with a code. */
function caller(service: ServiceUnderTest, path: string, token: string) {
  const channel = new Client(`127.0.0.1:${service.port}`, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  onTestFinished(() => channel.close());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${token}`);
  return (deadlineMs = 60_000) =>
    new Promise<status>((resolve) => {
      const options = { deadline: Date.now() + deadlineMs };
      channel.makeUnaryRequest(path, bytes, bytes, Buffer.alloc(0), metadata, options, (error: ServiceError | null) =>
        resolve(error ? error.code : status.OK),
      );
    });
}

/** Opens calls over a connection of its own and takes each back at once; answers how the connection does after that. */
async function takeBack(service: ServiceUnderTest, calls: number, token?: string) {
  const session = connect(`http://127.0.0.1:${service.port}`);
  let isClosed = false;
  session.on("error", () => {});
  session.once("close", () => {
    isClosed = true;
  });
  onTestFinished(() => session.destroy());
  // Until then a client of node's holds back what is more than a hundred streams.
  await once(session, "remoteSettings");
  const headers = { ":method": "POST", ":path": LIST, "content-type": "application/grpc", te: "trailers" };
  for (let n = 0; n < calls && !isClosed; n += 1) {
    const stream = session.request({ ...headers, ...(token && { authorization: `Bearer ${token}` }) });
    stream.on("error", () => {});
    stream.close(constants.NGHTTP2_CANCEL);
  }
  const ping = new Promise<boolean>((resolve) => {
    session.once("close", () => resolve(false));
    if (isClosed || !session.ping((error) => resolve(!error))) resolve(false);
  });
  return { session, isAnswered: await ping, isClosed: () => isClosed };
}

describe("calls that are taken back", () => {
  test("a backend whose deadlines pass by the thousand keeps its connection, its address, and its next call is answered", async () => {
    const service = await serviceForTest(sqlite);
    const call = caller(service, VERIFY, await service.backend("mfa.verify"));
    const ends = await Promise.all(times(1_500, () => call(3)));
    // Those that got through in time were asked for no user.
    const due = [status.DEADLINE_EXCEEDED, status.INVALID_ARGUMENT];
    expect(ends.filter((code) => !due.includes(code))).toEqual([]);
    expect(ends.filter((code) => code === status.DEADLINE_EXCEEDED).length).toBeGreaterThan(300);
    expect(await call()).toBe(status.INVALID_ARGUMENT);
    const anew = caller(service, VERIFY, await service.backend("mfa.verify"));
    expect(await anew()).toBe(status.INVALID_ARGUMENT);
    for (const limit of ["resets", "resets_backend", "cut_source"]) expect(await hitsOf(service, limit)).toBe(0);
  });

  test("a stranger's connection is cut and its source waits, which metrics and log tell", async () => {
    const service = await serviceForTest(sqlite);
    const { isAnswered } = await takeBack(service, 400);
    expect(isAnswered).toBe(false);
    expect(await hitsOf(service, "resets")).toBe(1);
    const anew = connect(`http://127.0.0.1:${service.port}`);
    anew.on("error", () => {});
    await once(anew, "close");
    expect(await hitsOf(service, "cut_source")).toBe(1);
    const told = service.log.filter((line) => line.includes("rapid reset"));
    expect(told.map((line) => JSON.parse(line))).toMatchObject([{ peer: "stranger", connections: 1 }]);
    expect(told.join()).not.toContain("127.0.0.1");
  });

  test("a token that is none makes nobody of a stranger", async () => {
    const service = await serviceForTest(sqlite);
    const { session, isClosed } = await takeBack(service, 400, "junk");
    if (!isClosed()) await once(session, "close");
    expect(await hitsOf(service, "resets")).toBe(1);
    expect(await hitsOf(service, "resets_user")).toBe(0);
  });

  test("at the address of a known backend a stranger is cut sooner, and shuts nobody out", async () => {
    const service = await serviceForTest(sqlite);
    const token = await service.backend("mfa.verify");
    const known = caller(service, VERIFY, token);
    expect(await known()).toBe(status.INVALID_ARGUMENT);
    for (const calls of [400, 100, 100]) expect((await takeBack(service, calls)).isAnswered).toBe(false);
    expect(await hitsOf(service, "resets")).toBe(3);
    expect(await known()).toBe(status.INVALID_ARGUMENT);
    expect(await caller(service, VERIFY, token)()).toBe(status.INVALID_ARGUMENT);
    expect(await hitsOf(service, "cut_source")).toBe(0);
  });

  test("a backend that calls with a service key is known by it from its first call on, an invented key is nobody's", async () => {
    const service = await serviceForTest(sqlite);
    const { secret } = await createKey(service, ["mfa.verify"]);
    expect((await takeBack(service, 400, secret)).isAnswered).toBe(true);
    expect(await hitsOf(service, "resets")).toBe(0);
    const { session, isClosed } = await takeBack(service, 400, newServiceKey());
    if (!isClosed()) await once(session, "close");
    expect(await hitsOf(service, "resets")).toBe(1);
  });

  test("a user who takes back calls in bulk is told goodbye, and a new connection is answered", async () => {
    const service = await serviceForTest(sqlite);
    const token = await service.user("ann");
    const { session, isClosed } = await takeBack(service, 800, token);
    if (!isClosed()) await once(session, "close");
    expect(await hitsOf(service, "resets_user")).toBe(1);
    expect(await hitsOf(service, "resets")).toBe(0);
    expect(await caller(service, LIST, token)()).toBe(status.OK);
  });

  test("a stranger who holds all places of an address makes room for the backend that is known there", async () => {
    const service = await serviceForTest(sqlite, { limits: { maxConnectionsPerSource: 5 } });
    const token = await service.backend("mfa.verify");
    const first = caller(service, VERIFY, token);
    expect(await first()).toBe(status.INVALID_ARGUMENT);
    const strangers = times(6, () => connect(`http://127.0.0.1:${service.port}`).on("error", () => {}));
    onTestFinished(() => {
      for (const session of strangers) session.destroy();
    });
    await Promise.all(strangers.map((session) => once(session, "connect")));
    expect(await caller(service, VERIFY, token)()).toBe(status.INVALID_ARGUMENT);
    expect(await first()).toBe(status.INVALID_ARGUMENT);
    expect(await hitsOf(service, "connections_source")).toBeGreaterThanOrEqual(2);
  });
});

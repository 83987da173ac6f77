import { once } from "node:events";
import { create, fromBinary, getOption, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Client, credentials, status } from "@grpc/grpc-js";
import { eq } from "drizzle-orm";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflectionRequestSchema } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { access, Principal } from "../../gen/mfa/v1/options_pb.js";
import { type Building, statement } from "../../src/db/store.ts";
import { events } from "../../src/events/events.table.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { type CallFailed, failure, grpcClient, rawCaller, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];

/** The same for a single call that is expected to fail. */
async function sendRaw(port: number, path: string, body: Buffer, token?: string): Promise<CallFailed> {
  const failed = await rawCaller(port)(path, body, token && `Bearer ${token}`);
  if (!failed) throw new Error("the call was expected to fail");
  return failed;
}

const listVerified = statement((s: Building<Record<never, never>>) => {
  const t = s.table(events);
  return s.db.select({ userId: t.userId }).from(t).where(eq(t.type, "PROOF_SUCCEEDED"));
});

const VERIFY = "/mfa.v1.MfaService/VerifyTotpCode";

describe("transport", () => {
  test("a malformed body is INVALID_ARGUMENT, and without a credential nobody looks at it", async () => {
    const service = await serviceForTest(sqlite);
    const junk = Buffer.from([0x0a, 0xff, 0xff]);
    const stranger = await sendRaw(service.port, VERIFY, junk);
    expect(stranger).toMatchObject({ code: status.UNAUTHENTICATED, reason: "INVALID_CREDENTIAL" });
    const known = await sendRaw(service.port, VERIFY, junk, await service.user("ann"));
    expect(known).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "MALFORMED_MESSAGE" });
  });

  test("a message over 64 KiB is refused", async () => {
    const service = await serviceForTest(sqlite);
    const refused = await sendRaw(service.port, VERIFY, Buffer.alloc(64 * 1024 + 1), await service.user("ann"));
    expect(refused.code).toBe(status.RESOURCE_EXHAUSTED);
  });

  test("random bodies never end in INTERNAL", async () => {
    const service = await serviceForTest(sqlite);
    const token = await service.user("ann");
    let seed = 7;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed;
    };
    const bodies = Array.from({ length: 200 }, () =>
      Buffer.from(Array.from({ length: random() % 60 }, () => random() % 256)),
    );
    const codes = await Promise.all(
      bodies.map(async (body) => (await sendRaw(service.port, VERIFY, body, token)).code),
    );
    expect(codes.filter((code) => code !== status.INVALID_ARGUMENT)).toEqual([]);
  });

  test("a field that breaks its rule is named, its value is not", async () => {
    const service = await serviceForTest(sqlite);
    const refused = await failure(service.mfa.verifyTotpCode({ code: "12345x" }, await service.user("ann")));
    expect(refused).toMatchObject({ code: status.INVALID_ARGUMENT, reason: "INVALID_FIELD" });
    expect(refused.metadata).toEqual({ field: "code" });
    expect(refused.message).toContain("the field code breaks its rule");
    expect(refused.message).not.toContain("12345x");
    const nested = { userId: "ann", client: { ip: "none" } };
    const inside = await failure(service.internal.evaluateMfa(nested, await service.backend("mfa.verify")));
    expect(inside.metadata).toEqual({ field: "client.ip" });
  });

  test.each([
    ["none", undefined],
    ["junk", "junk"],
    ["a JWT of nobody", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0."],
  ])("a call with %s credential is UNAUTHENTICATED", async (_, token) => {
    const service = await serviceForTest(sqlite);
    const refused = await failure(service.mfa.verifyTotpCode({ code: "123456" }, token));
    expect(refused).toMatchObject({ code: status.UNAUTHENTICATED, reason: "INVALID_CREDENTIAL" });
  });

  test("an expired token is UNAUTHENTICATED, also after it was accepted before", async () => {
    const service = await serviceForTest(sqlite);
    const token = await service.user("ann");
    await service.mfa.listTotpDevices({}, token);
    service.pass(61 * 60_000);
    expect(await failure(service.mfa.listTotpDevices({}, token))).toMatchObject({ reason: "INVALID_CREDENTIAL" });
  });

  test("every RPC takes an empty message or says what is amiss with it, and the service goes on", async () => {
    const service = await serviceForTest(sqlite);
    const scopes = [AdminMfaService, InternalMfaService].flatMap((s) =>
      s.methods.map((m) => getOption(m, access).scope),
    );
    const scope = [...new Set(scopes)].join(" ");
    const tokens = [
      { service: MfaService, token: await service.user("ann", "aal2") },
      {
        service: AdminMfaService,
        token: await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope }),
      },
      { service: InternalMfaService, token: await service.backend(scope) },
    ];
    const unexplained: string[] = [];
    const call = rawCaller(service.port);
    for (const { service: served, token } of tokens) {
      for (const method of served.methods.filter(({ methodKind }) => methodKind === "unary")) {
        const { principals } = getOption(method, access);
        if (principals.every((p) => p === Principal.DEVICE || p === Principal.TICKET)) continue;
        const failed = await call(`/${served.typeName}/${method.name}`, Buffer.alloc(0), `Bearer ${token}`);
        if (failed && failed.reason === "") unexplained.push(`${method.name}: ${failed}`);
      }
    }
    expect(unexplained).toEqual([]);
    await service.mfa.listTotpDevices({}, await service.user("ann"));
  });

  test("every RPC of the contract refuses a call without a credential before anything else", async () => {
    const service = await serviceForTest(sqlite);
    const reasons = new Set<string>();
    for (const { typeName, methods } of [MfaService, AdminMfaService]) {
      for (const { name } of methods) {
        reasons.add((await sendRaw(service.port, `/${typeName}/${name}`, Buffer.alloc(0))).reason);
      }
    }
    expect([...reasons]).toEqual(["INVALID_CREDENTIAL"]);
  });

  test("an unforeseen error says nothing to the client and everything but its parameters to the log", async () => {
    const service = await serviceForTest(sqlite);
    const app = await enrollApp(service, "ann");
    await service.execute("DROP TABLE attempts");
    const code = await app.code();
    const error = await failure(service.mfa.verifyTotpCode({ code }, app.token));
    expect(error).toMatchObject({ code: status.INTERNAL, message: expect.stringMatching(/^13 internal error/) });
    const logged = service.log.join();
    expect(logged).toContain("no such table: attempts");
    expect(logged).not.toMatch(/\bann\b/);
  });

  test("a sealed secret that was altered or moved is DATA_LOSS, never accepted", async () => {
    const service = await serviceForTest(sqlite);
    const [ann, bob] = [await enrollApp(service, "ann"), await enrollApp(service, "bob")];
    await service.execute(
      "UPDATE totp_devices SET sealed_secret = (SELECT sealed_secret FROM totp_devices WHERE user_id = 'bob') WHERE user_id = 'ann'",
    );
    for (const code of [await ann.code(), await bob.code()]) {
      const refused = await failure(service.mfa.verifyTotpCode({ code }, ann.token));
      expect(refused).toMatchObject({ code: status.DATA_LOSS, reason: "DATA_TAMPERED" });
    }
    expect(service.log.join()).toContain("VerifyTotpCode");
  });

  test("one caller's flood is refused with the time to come again, and others are served", async () => {
    const service = await serviceForTest(sqlite, { rates: { user: 1, admin: 1, service: 1 } });
    const token = await service.user("ann");
    const counts = await tally(Array.from({ length: 30 }, () => service.mfa.listTotpDevices({}, token)));
    expect(counts.RATE_LIMITED).toBeGreaterThanOrEqual(15);
    const refused = await failure(service.mfa.listTotpDevices({}, token));
    expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "RATE_LIMITED" });
    expect(refused.retryAfterMs).toBeGreaterThan(0);
    await service.mfa.listTotpDevices({}, await service.user("bob"));
  });

  test("a Connect client speaks to it over gRPC", async () => {
    const service = await serviceForTest(sqlite);
    const transport = createGrpcTransport({ baseUrl: `http://127.0.0.1:${service.port}` });
    const headers = { authorization: `Bearer ${await service.user("ann")}` };
    const reply = await createClient(MfaService, transport).listTotpDevices({}, { headers });
    expect(reply.devices).toEqual([]);
  });
});

describe("health and stopping", () => {
  test("Check, List and Watch answer without a credential", async () => {
    const service = await serviceForTest(sqlite);
    const { rpcs, close } = grpcClient(Health, service.port);
    onTestFinished(close);
    expect(await rpcs.check({})).toMatchObject({ status: Status.SERVING });
    expect(await rpcs.check({ service: "mfa.v1.MfaService" })).toMatchObject({ status: Status.SERVING });
    expect((await failure(rpcs.check({ service: "nobody" }))).code).toBe(status.NOT_FOUND);
    expect(Object.keys((await rpcs.list({})).statuses)).toContain("mfa.v1.InternalMfaService");
  });

  test("a stop does not wait for a stream whose client stays silent", async () => {
    const service = await serviceForTest(sqlite);
    const channel = new Client(`127.0.0.1:${service.port}`, credentials.createInsecure());
    onTestFinished(() => channel.close());
    const bytes = (buffer: Buffer) => buffer;
    const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const stream = channel.makeBidiStreamRequest(path, bytes, bytes);
    stream.write(Buffer.from(toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, {}))));
    await once(stream, "data");
    const ended = once(stream, "error");
    // The grace period is ten seconds: a test's time limit of five tells that nobody waited for it.
    await service.server.stop();
    expect((await ended)[0]).toMatchObject({ code: status.UNAVAILABLE });
  }, 5_000);

  test("a stop tells watchers, answers what runs, loses nothing acknowledged, and refuses what comes after", async () => {
    const service = await serviceForTest(sqlite);
    const users = Array.from({ length: 10 }, (_, n) => `user-${n}`);
    const apps = [];
    for (const user of users) apps.push(await enrollApp(service, user));
    const channel = new Client(`127.0.0.1:${service.port}`, credentials.createInsecure());
    onTestFinished(() => channel.close());
    const watch = channel.makeServerStreamRequest(
      "/grpc.health.v1.Health/Watch",
      (request) => Buffer.from(toBinary(HealthCheckRequestSchema, request)),
      (body) => fromBinary(HealthCheckResponseSchema, body),
      create(HealthCheckRequestSchema, {}),
    );
    watch.on("error", () => {});
    const seen: Status[] = [];
    watch.on("data", (reply) => seen.push(reply.status));
    await once(watch, "data");

    const backend = await service.backend("mfa.verify");
    const codes = await Promise.all(apps.map((app) => app.code()));
    const running = users.map((userId, n) =>
      service.internal.verifyUserTotpCode({ userId, code: codes[n] ?? "" }, backend),
    );
    await running[0];
    const [outcomes] = await Promise.all([Promise.allSettled(running), service.server.stop()]);
    expect(seen).toEqual([Status.SERVING, Status.NOT_SERVING]);
    const late = await failure(service.internal.verifyUserTotpCode({ userId: "late", code: "123456" }, backend));
    expect(late.code).toBe(status.UNAVAILABLE);

    const reopened = await sqlite.reopen(service);
    onTestFinished(() => reopened.close());
    const verified = await reopened.read((tx) => tx.run(listVerified, {}));
    const acknowledged = users.filter((_, n) => outcomes[n]?.status === "fulfilled");
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(verified.map(({ userId }) => userId)).toEqual(expect.arrayContaining(acknowledged));
  });
});

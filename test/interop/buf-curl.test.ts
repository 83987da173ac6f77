// The service as a client written in Go sees it, which knows nothing but the address: everything else is reflection.
import { join } from "node:path";
import { type DescService, fromBinary } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { Health } from "../../gen/grpc/health/v1/health_pb.js";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.js";
import { ServerReflection as ServerReflectionAlpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.js";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { root, run, type ServiceProcess, start, startService } from "./process.ts";

const buf = join(root, "node_modules/.bin/buf");
const grpc = ["curl", "--http2-prior-knowledge", "--protocol", "grpc"];

const served: readonly DescService[] = [
  Health,
  ServerReflection,
  ServerReflectionAlpha,
  AdminMfaService,
  InternalMfaService,
  MfaService,
];

let service: ServiceProcess;
beforeAll(async () => {
  service = await startService();
});
afterAll(async () => {
  const { code, stderr } = await service.stop();
  expect(code, stderr).toBe(0);
});

interface Options {
  readonly token?: string;
  readonly reflection?: "grpc-v1" | "grpc-v1alpha";
}

async function call(rpc: string, request: object, { token, reflection = "grpc-v1" }: Options = {}) {
  const bearer = token === undefined ? [] : ["-H", `Authorization: Bearer ${token}`];
  const args = ["--reflect-protocol", reflection, ...bearer, "-d", JSON.stringify(request), `${service.url}/${rpc}`];
  const { code, stdout, stderr } = await run(buf, [...grpc, ...args]);
  return { exit: code, reply: stdout ? JSON.parse(stdout) : undefined, error: stderr ? JSON.parse(stderr) : undefined };
}

/** The ErrorInfo among the details that buf prints. */
function errorInfo(error: { details?: { type: string; value: string }[] }) {
  const details = error.details?.filter(({ type }) => type === "google.rpc.ErrorInfo") ?? [];
  expect(details).toHaveLength(1);
  return fromBinary(ErrorInfoSchema, base64Decode(details[0]?.value ?? ""));
}

describe.each(["grpc-v1", "grpc-v1alpha"] as const)("reflection by %s", (reflection) => {
  const listing = (what: string) => run(buf, [...grpc, "--reflect-protocol", reflection, what, service.url]);

  test("lists every service", async () => {
    const { code, stdout } = await listing("--list-services");
    expect(code).toBe(0);
    expect(stdout.trim().split("\n").sort()).toEqual(served.map(({ typeName }) => typeName).sort());
  });

  test("lists every method", async () => {
    const { code, stdout } = await listing("--list-methods");
    expect(code).toBe(0);
    const methods = served.flatMap(({ typeName, methods }) => methods.map(({ name }) => `${typeName}/${name}`));
    expect(stdout.trim().split("\n").sort()).toEqual(methods.sort());
  });

  test("describes a call well enough to make it", async () => {
    const token = await service.user("lister");
    const { exit, reply } = await call("mfa.v1.MfaService/ListTotpDevices", { pageSize: 5 }, { token, reflection });
    expect({ exit, reply }).toEqual({ exit: 0, reply: {} });
  });

  test("describes the details of errors", async () => {
    const version = reflection.slice("grpc-".length);
    const rpc = `grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const { exit, reply } = await call(rpc, { fileContainingSymbol: "google.rpc.ErrorInfo" }, { reflection });
    expect(exit).toBe(0);
    expect(reply.fileDescriptorResponse.fileDescriptorProto.length).toBeGreaterThan(0);
  });
});

describe("calls", () => {
  test("a user enrolls, a backend logs them in, and the code is spent", async () => {
    const token = await service.user("ann");
    const started = await call("mfa.v1.MfaService/StartTotpEnrollment", {}, { token });
    expect(started).toMatchObject({ exit: 0, reply: { device: { state: "TOTP_DEVICE_STATE_PENDING" } } });
    const { secret } = started.reply.provisioning;

    const first = await showCode(secret, new Date());
    const finished = await call("mfa.v1.MfaService/FinishTotpEnrollment", { code: first }, { token });
    expect(finished).toMatchObject({ exit: 0, reply: { device: { state: "TOTP_DEVICE_STATE_ACTIVE" } } });

    const backend = await service.backend("mfa.verify");
    // The code after the one just used; a step early is within the window.
    const login = { userId: "ann", code: await showCode(secret, new Date(Date.now() + 30_000)) };
    const rpc = "mfa.v1.InternalMfaService/VerifyUserTotpCode";
    const verified = await call(rpc, login, { token: backend });
    expect(verified).toMatchObject({ exit: 0, reply: { deviceId: finished.reply.device.deviceId } });

    const again = await call(rpc, login, { token: backend });
    expect(again.exit).toBe(8 * status.PERMISSION_DENIED);
    expect(again.error).toMatchObject({ code: "permission_denied", message: "the code was not accepted" });
    expect(errorInfo(again.error)).toMatchObject({ reason: "CODE_REJECTED", domain: "mfa.v1" });
  });

  test("five wrong codes lock the user, and the refusal says when to come back", async () => {
    const token = await service.user("kim");
    const { reply } = await call("mfa.v1.MfaService/StartTotpEnrollment", {}, { token });
    const { secret } = reply.provisioning;
    const code = (offsetMs = 0) => showCode(secret, new Date(Date.now() + offsetMs));
    await call("mfa.v1.MfaService/FinishTotpEnrollment", { code: await code() }, { token });
    const guess = { code: await wrongCode({ code }) };
    const exits: unknown[] = [];
    for (let n = 0; n < 5; n++) exits.push((await call("mfa.v1.MfaService/VerifyTotpCode", guess, { token })).exit);
    expect(exits).toEqual(Array(5).fill(8 * status.PERMISSION_DENIED));

    const locked = await call("mfa.v1.MfaService/VerifyTotpCode", { code: await code(30_000) }, { token });
    expect(locked.exit).toBe(8 * status.RESOURCE_EXHAUSTED);
    expect(errorInfo(locked.error).reason).toBe("LOCKED");
    expect(locked.error.details.map(({ type }: { type: string }) => type)).toContain("google.rpc.RetryInfo");
  });

  const user = (acr: "aal1" | "aal2") => () => service.user("refused", acr);
  const device = { deviceId: "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11" };
  test.each([
    ["MfaService/VerifyTotpCode", { code: "123456" }, undefined, status.UNAUTHENTICATED, "INVALID_CREDENTIAL"],
    ["MfaService/VerifyTotpCode", { code: "12345" }, user("aal1"), status.INVALID_ARGUMENT, "INVALID_FIELD"],
    ["MfaService/VerifyTotpCode", { code: "123456" }, user("aal1"), status.FAILED_PRECONDITION, "NOT_ENROLLED"],
    ["MfaService/GetTotpDevice", device, user("aal1"), status.NOT_FOUND, "NOT_FOUND"],
    ["AdminMfaService/ListLockouts", {}, user("aal2"), status.PERMISSION_DENIED, "ACCESS_DENIED"],
  ])("%s of %j ends in its status and reason", async (rpc, request, token, code, reason) => {
    const credential = token ? { token: await token() } : {};
    const { exit, reply, error } = await call(`mfa.v1.${rpc}`, request, credential);
    expect({ exit, reply }).toEqual({ exit: 8 * code, reply: undefined });
    expect(errorInfo(error)).toMatchObject({ reason, domain: "mfa.v1" });
  });
});

describe("health", () => {
  const check = (request: object) => call("grpc.health.v1.Health/Check", request);

  test("Check answers for the server and for each service, without a credential", async () => {
    for (const name of ["", ...served.slice(3).map(({ typeName }) => typeName)]) {
      expect(await check({ service: name })).toMatchObject({ exit: 0, reply: { status: "SERVING" } });
    }
    expect((await check({ service: "nobody" })).exit).toBe(8 * status.NOT_FOUND);
  });

  test("Watch tells that the service stops, then ends as UNAVAILABLE, upon which clients connect anew", async () => {
    const stopping = await startService();
    const watch = start(buf, [...grpc, `${stopping.url}/grpc.health.v1.Health/Watch`]);
    await watch.saw(/"SERVING"/);
    const [ended, { code, stdout }] = await Promise.all([stopping.stop(), watch.outcome]);
    expect(ended.code).toBe(0);
    expect([...stdout.matchAll(/"status": "(\w+)"/g)].map(([, name]) => name)).toEqual(["SERVING", "NOT_SERVING"]);
    expect(code).toBe(8 * status.UNAVAILABLE);
  });
});

import { expect, test } from "vitest";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const RPC = "mfa.v1.MfaService/VerifyTotpCode";

const start = async () => {
  const service = await serviceForTest(sqlite);
  const read = async () => (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
  /** The value of one line. */
  const value = async (line: string) =>
    Number(
      (await read())
        .split("\n")
        .find((l) => l.startsWith(`${line} `))
        ?.split(" ")
        .at(-1),
    );
  return { service, read, value };
};

test("metrics count calls by RPC and code, durations, refusals by reason", async () => {
  const { service, value, read } = await start();
  const app = await enrollApp(service, "ann");
  await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
  for (let n = 0; n < 2; n += 1) await failure(service.mfa.verifyTotpCode({ code: await wrongCode(app) }, app.token));
  expect(await value(`mfa_calls_total{rpc="${RPC}",code="OK"}`)).toBe(1);
  expect(await value(`mfa_calls_total{rpc="${RPC}",code="PermissionDenied"}`)).toBe(2);
  expect(await value(`mfa_call_duration_seconds_count{rpc="${RPC}"}`)).toBe(3);
  expect(await value('mfa_refusals_total{reason="CODE_REJECTED"}')).toBe(2);
  expect(await value("mfa_serving")).toBe(1);
  expect(await value('mfa_rates_remembered{kind="user"}')).toBe(1);
  expect(await read()).toMatch(new RegExp(`^mfa_sockets\\{listener="grpc 127.0.0.1:${service.port}"\\} [1-9]`, "m"));
});

test("metrics name no user, tenant, address, code, token or ticket", async () => {
  const { service, read } = await start();
  const app = await enrollApp(service, "rare-user");
  const code = await app.code();
  await service.mfa.verifyTotpCode({ code }, app.token);
  const { holder } = await ticketOffice(service);
  const { authorization } = await holder("other-user", "rare-tenant");
  await service.mfa.startTotpEnrollment({}, undefined, { authorization });
  const shop = await service.mint({ audience: "mfa-internal", subject: "rare-shop", scope: "mfa.verify" });
  await failure(
    service.internal.verifyUserTotpCode({ userId: "rare-user", code: "000000", client: { ip: "192.0.2.77" } }, shop),
  );
  const text = await read();
  for (const secret of [
    "rare-",
    "other-user",
    "192.0.2.77",
    app.deviceId,
    app.token,
    authorization.slice(7),
    app.secret,
  ])
    expect(text).not.toContain(secret);
  // Every label that there is, and every value in them from a list of our own.
  const labels = [...text.matchAll(/([a-z_]+)="/g)].map(([, name]) => name);
  expect([...new Set(labels)].sort()).toEqual(
    ["channel", "code", "kind", "le", "limit", "listener", "reason", "rpc", "state", "version"].filter((l) =>
      labels.includes(l),
    ),
  );
});

test("metrics are shown on the administrators' listener only", async () => {
  const { service } = await start();
  expect((await fetch(`http://127.0.0.1:${service.gatewayPort}/metrics`)).status).toBe(404);
  const shown = await fetch(`http://127.0.0.1:${service.adminPort}/metrics`);
  expect(shown.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(shown.headers.get("cache-control")).toBe("no-store");
  for (const method of ["POST", "PUT"]) {
    expect((await fetch(`http://127.0.0.1:${service.adminPort}/metrics`, { method })).status).toBe(404);
  }
});

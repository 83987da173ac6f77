import { spawn } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { status } from "@grpc/grpc-js";
import { expect, test } from "vitest";
import { IssuerUnavailable } from "../../src/rpc/access/issuer-keys.ts";
import { CredentialRejected, type Failure } from "../../src/rpc/access/tokens/rejected.ts";
import { type RefusedCredential, telling } from "../../src/rpc/access/tokens/told.ts";
import { toConnectError } from "../../src/rpc/serve/errors.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { portOf } from "../support/engine/port.ts";
import { keyFor, modelledTokens, signAs } from "../support/fakes/identity-providers.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const { keycloak } = modelledTokens;
const iss = String(keycloak.claims.iss);

/** A file with the public key that modelled tokens of Keycloak are signed by. */
async function keysOfKeycloak(): Promise<string> {
  const jwksFile = join(mkdtempSync(join(tmpdir(), "mfa-keys-")), "jwks.json");
  writeFileSync(jwksFile, JSON.stringify((await keyFor("RS256")).jwks));
  return jwksFile;
}

const linesOf = (log: readonly string[]) =>
  log.map((line) => JSON.parse(line)).filter(({ msg }) => String(msg).startsWith("token refused"));

test("a token of Keycloak enters with its preset, over the wire", async () => {
  const issuers = [{ issuer: iss, tenant: "main", jwksFile: await keysOfKeycloak(), preset: "keycloak" as const }];
  const service = await serviceForTest(sqlite, { issuers });
  await expect(service.mfa.getMfaStatus({}, await signAs(keycloak, service.clock.now))).resolves.toBeDefined();
});

test("the log, the counter and, in dev mode, the caller learn which check a token failed, and nothing of it", async () => {
  const issuers = [{ issuer: iss, tenant: "main", jwksFile: await keysOfKeycloak() }];
  const service = await serviceForTest(sqlite, { issuers });
  const token = await signAs(keycloak, service.clock.now);
  const refused = await failure(service.mfa.getMfaStatus({}, token));
  expect(refused).toMatchObject({
    code: status.UNAUTHENTICATED,
    reason: "INVALID_CREDENTIAL",
    metadata: { check: "typ", detail: "typ JWT, expected at+jwt" },
  });
  expect(refused.message).toContain("a valid credential is required: typ JWT, expected at+jwt");
  expect(linesOf(service.log)).toMatchObject([
    { msg: "token refused: typ JWT, expected at+jwt", check: "typ", issuer: iss, setting: '"typ": ["at+jwt", "JWT"]' },
  ]);
  const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
  expect(metrics).toContain('mfa_credentials_refused_total{check="typ"} 1');
  const [, claims = "", signature = ""] = token.split(".");
  for (const part of [claims, signature, String(keycloak.claims.sub)]) {
    expect(service.log.join("\n")).not.toContain(part);
  }
});

test("a backend whose scopes are not where the settings look learns of it in the log", async () => {
  const jwksFile = await keysOfKeycloak();
  const claims = { aud: "mfa-internal", sub: "shop", permissions: ["mfa.status.read"], roles: ["mfa.status.read"] };
  const token = { header: { alg: "RS256", typ: "at+jwt" }, claims };
  const scopesIn = (name: string) => ({ claims: { scopes: [name] } });
  const issuers = [
    { issuer: "https://plain", tenant: "main", jwksFile },
    { issuer: "https://permissions", tenant: "main", jwksFile, ...scopesIn("permissions") },
    { issuer: "https://roles", tenant: "main", jwksFile, ...scopesIn("roles") },
  ];
  const service = await serviceForTest(sqlite, { issuers });
  const call = async (iss: string) => {
    const jwt = await signAs(token, service.clock.now, { claims: { iss } });
    return service.internal.getUserMfaStatus({ userId: "ann" }, jwt);
  };
  expect(await failure(call("https://plain"))).toMatchObject({ reason: "ACCESS_DENIED" });
  const lines = service.log.map((line) => JSON.parse(line));
  expect(lines.find(({ reason }) => reason === "ACCESS_DENIED")).toMatchObject({ missingScope: "mfa.status.read" });
  await expect(call("https://permissions")).resolves.toBeDefined();
  await expect(call("https://roles")).resolves.toBeDefined();
});

test("in dev mode a denied caller learns what their token lacks, and operators do in the log", async () => {
  const service = await serviceForTest(sqlite);
  const denied = await failure(
    service.internal.getUserMfaStatus({ userId: "ann" }, await service.backend("mfa.verify")),
  );
  const scope = "the scope mfa.status.read is missing";
  expect(denied).toMatchObject({
    code: status.PERMISSION_DENIED,
    reason: "ACCESS_DENIED",
    metadata: { detail: scope },
  });
  expect(denied.message).toContain(`the caller may not call this operation: ${scope}`);
  const kind = "the credential is of kind service, and this is for user";
  const backend = await service.backend("mfa.status.read");
  expect(await failure(service.mfa.getMfaStatus({}, backend))).toMatchObject({ metadata: { detail: kind } });
  const lines = service.log.map((line) => JSON.parse(line)).filter(({ reason }) => reason === "ACCESS_DENIED");
  expect(lines).toMatchObject([{ missingScope: "mfa.status.read", denial: scope }, { denial: kind }]);
});

test("a token that does not say when its user logged in is told from one that is old", async () => {
  const issuers = [{ issuer: iss, tenant: "main", jwksFile: await keysOfKeycloak(), preset: "keycloak" as const }];
  const service = await serviceForTest(sqlite, { issuers });
  const enroll = async (auth_time: unknown) =>
    failure(service.mfa.startTotpEnrollment({}, await signAs(keycloak, service.clock.now, { claims: { auth_time } })));
  const detail = "the credential does not say when its subject authenticated (auth_time), so it never counts as fresh";
  const reason = "INSUFFICIENT_USER_AUTHENTICATION";
  expect(await enroll(undefined)).toMatchObject({ reason, metadata: { acr_values: "aal1", detail } });
  const old = await enroll(service.clock.now.getTime() / 1000 - 86_400);
  expect(old).toMatchObject({ reason, metadata: { acr_values: "aal1" } });
  expect(old.metadata).not.toHaveProperty("detail");
  const denials = service.log.map((line) => JSON.parse(line)).filter((line) => line.reason === reason);
  expect(denials.map(({ denial }) => denial)).toEqual([detail, undefined]);
});

test("scopes that the settings give away and no RPC asks for are named at the start, with the one that was meant", async () => {
  const claims = { roles: { groups: { desk: ["mfa.read", "mfa.stauts.read"], other: ["mail.send"] } } };
  const issuers = [{ issuer: iss, tenant: "main", jwksFile: await keysOfKeycloak(), claims }];
  const { log } = await serviceForTest(sqlite, { issuers });
  const said = log.map((line) => JSON.parse(line).msg).filter((msg) => String(msg).includes("no RPC asks"));
  expect(said).toEqual([
    'issuers.0.claims.roles.groups.desk: no RPC asks for the scope "mfa.stauts.read": did you mean "mfa.status.read"?',
    'issuers.0.claims.roles.groups.other: no RPC asks for the scope "mail.send"',
  ]);
});

test("scopes count as a list, too, and the scheme in lower case, as Hydra's answers have it", async () => {
  const issuers = [{ issuer: iss, tenant: "main", jwksFile: await keysOfKeycloak() }];
  const service = await serviceForTest(sqlite, { issuers });
  const token = { header: { alg: "RS256", typ: "at+jwt" }, claims: { iss, aud: "mfa-internal", sub: "shop" } };
  const call = async (claims: object, scheme = "Bearer") => {
    const authorization = `${scheme} ${await signAs(token, service.clock.now, { claims })}`;
    return service.internal.getUserMfaStatus({ userId: "ann" }, undefined, { authorization });
  };
  await expect(call({ scope: ["mfa.status.read"] })).resolves.toBeDefined();
  await expect(call({ scope: "mfa.verify mfa.status.read" }, "bearer")).resolves.toBeDefined();
  expect(await failure(call({ scope: ["mfa.verify mfa.status.read"] }))).toMatchObject({ reason: "ACCESS_DENIED" });
  expect(await failure(call({ scope: { "mfa.status.read": true } }))).toMatchObject({ reason: "ACCESS_DENIED" });
});

const rejected: Failure = { check: "expiry", text: "expired 43 s ago" };

test("outside of dev mode all callers hear the same, whatever failed", () => {
  const failures: Failure[] = [rejected, { check: "issuer", text: "issuer unknown: https://x" }];
  const answers = failures.map((failure) => toConnectError(new CredentialRejected(failure, "https://x"), () => {}));
  expect(new Set(answers.map(({ message }) => message)).size).toBe(1);
  expect(answers.map(({ details }) => details)).toEqual(
    failures.map(() => [expect.objectContaining({ value: expect.objectContaining({ metadata: {} }) })]),
  );
});

test("a flood of refused tokens leaves some lines, a count of all, and room for those of other checks", async () => {
  const lines: RefusedCredential[] = [];
  let counted = 0;
  let thrown: Error = new CredentialRejected(rejected);
  const options = { tell: (line: RefusedCredential) => lines.push(line), count: () => counted++, tellsCaller: false };
  const authenticate = telling(() => Promise.reject(thrown), options);
  for (let n = 0; n < 1000; n++) await authenticate().catch(() => undefined);
  expect(counted).toBe(1000);
  const ofFlood = lines.length;
  expect(ofFlood).toBeGreaterThanOrEqual(10);
  expect(ofFlood).toBeLessThan(100);
  thrown = new IssuerUnavailable("https://x/jwks: status 503");
  await expect(authenticate()).rejects.toBe(thrown);
  expect(lines[ofFlood]).toMatchObject({
    check: "keys",
    text: "keys could not be fetched: https://x/jwks: status 503",
  });
});

test("a key set by url without a usable key says so at the start", async () => {
  const server = createServer((_, response) => response.end('{"keys":[{"kty":"EC","crv":"P-384","kid":"a"}]}'));
  const jwksUrl = `http://127.0.0.1:${await portOf(server)}/jwks`;
  const service = await serviceForTest(sqlite, { issuers: [{ issuer: iss, tenant: "main", jwksUrl }] });
  await expect.poll(() => service.log.join("\n")).toContain("holds no Ed25519, P-256 or RSA key");
  expect(service.log.join("\n")).toContain("only EC P-384");
});

/** Runs `mfa-service check-token` on a token. */
async function checkToken(settings: object, token: string) {
  const path = join(mkdtempSync(join(tmpdir(), "mfa-check-")), "settings.json");
  writeFileSync(path, JSON.stringify(settings));
  const main = join(import.meta.dirname, "../../src/main.ts");
  const child = spawn(process.execPath, [main, "check-token"], { env: { ...process.env, MFA_CONFIG: path } });
  child.stdin.end(`${token}\n`);
  const ended = new Promise((resolve) => child.once("close", resolve));
  const output = (await text(child.stdout)) + (await text(child.stderr));
  return { output, code: await ended };
}

test("check-token prints each check with its verdict and the setting that would change it, and never the token", {
  timeout: 60_000,
}, async () => {
  const entry = { issuer: iss, tenant: "main", jwksFile: await keysOfKeycloak() };
  const token = await signAs(keycloak, new Date(), { claims: { exp: 1 } });
  const refused = await checkToken({ issuers: [entry] }, token);
  expect(refused.code, refused.output).toBe(1);
  expect(refused.output).toMatch(/^FAILS {2}typ +typ JWT, expected at\+jwt\n +setting: "typ": \["at\+jwt", "JWT"\]$/m);
  expect(refused.output).toMatch(/^FAILS {2}expiry +expired \d+ d ago$/m);
  expect(refused.output).toMatch(/^FAILS {2}audience +audience \["mfa","account"\]: two, one expected$/m);
  expect(refused.output).toMatch(/^ok {5}signature$/m);
  expect(refused.output).not.toContain(token.slice(0, 20));
  const accepted = await checkToken(
    { issuers: [{ ...entry, preset: "keycloak" }] },
    await signAs(keycloak, new Date()),
  );
  expect(accepted.code, accepted.output).toBe(0);
  expect(accepted.output).toMatch(/^accepted/m);
  expect(accepted.output).toMatch(/^session {2}a1$/m);
});

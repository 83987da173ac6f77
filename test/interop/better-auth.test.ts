// better-auth itself, with its jwt plugin as its page of docs/integrate/identity-providers has it: it signs users in,
// and its tokens open the service.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { toNodeHandler } from "better-auth/node";
import { type JwtOptions, jwt } from "better-auth/plugins/jwt";
import { describe, expect, test } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { appOf } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { portOf } from "../support/engine/port.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const page = readFileSync(join(import.meta.dirname, "../../docs/integrate/identity-providers/better-auth.md"), "utf8");

/** The plugin as the page configures it, and what a test says of its keys. */
function pluginOnPage(jwks: JwtOptions["jwks"]) {
  const [, snippet = ""] = /^( {4}jwt\([\s\S]*?^ {4}\}\))$/m.exec(page) ?? [];
  const configured: unknown = new Function("jwt", `return ${snippet};`)((options: JwtOptions) => options);
  return jwt({ ...(configured as JwtOptions), ...(jwks && { jwks }) }); // what the page calls the plugin with
}

/** The issuer on the page, with the keys where better-auth listens in the test. */
function issuerOnPage(origin: string): Config["issuers"][number] {
  const [, json = ""] = /^```json\n([\s\S]*?)^```$/m.exec(page) ?? [];
  const [issuer] = JSON.parse(json).issuers;
  return { ...issuer, jwksUrl: `${origin}${new URL(issuer.jwksUrl).pathname}` };
}

/** An application with better-auth, and how a browser signs up and asks it for a token. */
async function application(plugin: ReturnType<typeof jwt>) {
  const server = createServer((request, response) => void answer(request, response));
  const origin = `http://127.0.0.1:${await portOf(server)}`;
  const auth = betterAuth({
    baseURL: origin,
    secret: "a secret of the test, which is long enough to be one",
    database: memoryAdapter({ user: [], session: [], account: [], verification: [], jwks: [] }),
    emailAndPassword: { enabled: true },
    plugins: [plugin],
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
  });
  const answer = toNodeHandler(auth);

  const signUp = async (email: string) => {
    const response = await fetch(`${origin}/api/auth/sign-up/email`, {
      method: "POST",
      headers: { "content-type": "application/json", origin },
      body: JSON.stringify({ name: "Ann", email, password: "correct horse battery staple" }),
    });
    const { user } = (await response.json()) as { user: { id: string } };
    const cookie = response.headers.getSetCookie().map((one) => one.split(";", 1)[0]);
    return { userId: user.id, cookie: cookie.join("; ") };
  };
  const token = async (cookie: string) => {
    const response = await fetch(`${origin}/api/auth/token`, { headers: { cookie } });
    return ((await response.json()) as { token: string }).token;
  };
  return { origin, signUp, token };
}

const refusals = (service: ServiceUnderTest) =>
  service.log.map((line) => JSON.parse(line).msg).filter((msg) => String(msg).startsWith("token refused"));

const rsa = { modulusLength: 2048 } as const;
const keys: readonly [string, JwtOptions["jwks"]][] = [
  ["of its own choice", undefined],
  ["ES256", { keyPairConfig: { alg: "ES256" } }],
  ["ES512", { keyPairConfig: { alg: "ES512" } }],
  ["RS256", { keyPairConfig: { alg: "RS256", ...rsa } }],
  ["PS256", { keyPairConfig: { alg: "PS256", ...rsa } }],
];

describe("better-auth with its jwt plugin", () => {
  test.each(keys)(
    "signs a user in, who then enrolls a factor, with the settings of its page and a key %s",
    async (_, jwks) => {
      const app = await application(pluginOnPage(jwks));
      const { userId, cookie } = await app.signUp("ann@example.com");
      const service = await serviceForTest(sqlite, { now: new Date(), issuers: [issuerOnPage(app.origin)] });
      const token = await app.token(cookie);
      await expect(service.mfa.getMfaStatus({}, token)).resolves.toMatchObject({ status: { enrolled: false } });
      const { provisioning } = await service.mfa.startTotpEnrollment({}, token);
      await service.mfa.finishTotpEnrollment({ code: await appOf(service, provisioning?.secret ?? "")() }, token);
      const ofMain = { audience: "mfa-internal", tenant: "main", subject: "shop", scope: "mfa.status.read" } as const;
      const backend = await service.mint(ofMain);
      await expect(service.internal.getUserMfaStatus({ userId }, backend)).resolves.toMatchObject({
        status: { enrolled: true },
      });
      expect(refusals(service)).toEqual([]);

      service.pass(16 * 60_000);
      expect(await failure(service.mfa.getMfaStatus({}, token))).toMatchObject({ reason: "INVALID_CREDENTIAL" });
      expect(refusals(service)).toEqual([expect.stringMatching(/^token refused: expired \d+ (s|min) ago$/)]);
    },
  );

  test("as installed, is refused for the audience, which is the application's own address then", async () => {
    const app = await application(jwt());
    const { cookie } = await app.signUp("ann@example.com");
    const issuer = { ...issuerOnPage(app.origin), issuer: app.origin };
    const service = await serviceForTest(sqlite, { now: new Date(), issuers: [issuer] });
    const refused = await failure(service.mfa.getMfaStatus({}, await app.token(cookie)));
    expect(refused).toMatchObject({ reason: "INVALID_CREDENTIAL", metadata: { check: "audience" } });
    expect(refusals(service)).toEqual([
      `token refused: audience ["${app.origin}"]: none of "mfa", "mfa-admin", "mfa-internal"`,
    ]);
  });

  test("cannot be imitated: neither by a key of another application, nor by a changed token", async () => {
    const [app, other] = [await application(pluginOnPage(undefined)), await application(pluginOnPage(undefined))];
    const service = await serviceForTest(sqlite, { now: new Date(), issuers: [issuerOnPage(app.origin)] });
    const { cookie } = await other.signUp("ann@example.com");
    const foreign = await other.token(cookie);
    const own = await app.token((await app.signUp("ann@example.com")).cookie);
    const [, , signature] = own.split(".");
    const mixed = [...foreign.split(".").slice(0, 2), signature].join(".");
    for (const token of [foreign, mixed]) {
      expect(await failure(service.mfa.getMfaStatus({}, token))).toMatchObject({ reason: "INVALID_CREDENTIAL" });
    }
    await expect(service.mfa.getMfaStatus({}, own)).resolves.toBeDefined();
  });
});

// Routes that demand a second factor, in the frameworks that the client package has a middleware for.
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { createAssertionVerifier, onceInMemory, remoteKeys } from "../../packages/client/src/assertion.ts";
import { type ExpressResponse, requireMfa as forExpress } from "../../packages/client/src/express.ts";
import { requireMfa as forFastify } from "../../packages/client/src/fastify.ts";
import { assertionOf, requireMfa as forNext } from "../../packages/client/src/next.ts";
import { as, createMfa } from "../../packages/client/src/node.ts";
import { isWorth, type MfaSession, type Requirement } from "../../packages/client/src/requirement.ts";
import { type DemandedProof, withStepUp } from "../../packages/client/src/step-up.ts";
import { assertionMeets, statedAs } from "../../src/assertions/methods.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const [engine] = engines;
if (!engine) throw new Error("no engine");

type Asked = { readonly headers: Readonly<Record<string, string | string[] | undefined>> };
type Serve = (requirement: Requirement<Asked>) => Promise<string>;

/** A server on a free port; returns where its one route is. */
async function listen(
  serve: (
    request: Asked,
    answer: (status: number, headers: Record<string, string>, body: unknown) => void,
  ) => void | Promise<void>,
) {
  const server = createServer((request, response) =>
    serve(request, (status, headers, body) => {
      response.writeHead(status, { ...headers, "content-type": "application/json" }).end(JSON.stringify(body));
    }),
  ).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/transfers`;
}

/** Each framework's own shape of request and reply, on Node's server. */
const frameworks: readonly { name: string; serve: Serve }[] = [
  {
    name: "Express",
    serve: (requirement) =>
      listen((request, answer) => {
        let [status, headers] = [200, {} as Record<string, string>];
        const response: ExpressResponse = {
          locals: {},
          status: (code) => {
            status = code;
            return response;
          },
          set: (given) => {
            headers = { ...headers, ...given };
            return response;
          },
          json: (body) => answer(status, headers, body),
        };
        forExpress(requirement)(request, response, (error) =>
          error ? answer(500, {}, {}) : answer(200, {}, { done: true, stated: response.locals.mfaAssertion }),
        );
      }),
  },
  {
    name: "Fastify",
    serve: (requirement) =>
      listen(async (request, answer) => {
        let [status, given] = [200, {} as Record<string, string>];
        const reply = {
          code(code: number) {
            status = code;
            return this;
          },
          headers(values: Record<string, string>) {
            given = values;
            return this;
          },
          send(body: unknown) {
            answer(status, given, body);
            return this;
          },
        };
        if ((await forFastify(requirement)(request, reply)) === undefined) answer(200, {}, { done: true });
      }),
  },
  {
    name: "Next",
    serve: (requirement) => {
      const onWeb: Requirement<Request> = {
        ...(requirement as Requirement<unknown>),
        session: (request) => requirement.session({ headers: Object.fromEntries(request.headers) }),
      };
      const handler = forNext(onWeb)((request) => Response.json({ done: true, stated: assertionOf(request) }));
      return listen(async (request, answer) => {
        const response = await handler(
          new Request("http://app.example/transfers", { headers: request.headers as never }),
        );
        answer(response.status, Object.fromEntries(response.headers), await response.json());
      });
    },
  },
];

const session: MfaSession = {
  tenantId: "dev",
  userId: "ann",
  sessionId: "s-1",
  acr: "aal2",
  amr: ["pwd", "otp", "mfa"],
};
const action = { type: "transfer.create", parameters: { amount: "10.00", to: "bob" } };

function verifierAt(service: ServiceUnderTest) {
  const key = remoteKeys(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`);
  const clock = () => service.clock.now;
  const once = onceInMemory(() => service.clock.now.getTime());
  return createAssertionVerifier({ issuer: "mfa-service", audience: "shop", key, once, clock });
}

describe.each(frameworks)("a route in $name", ({ serve }) => {
  const at = (service: ServiceUnderTest) => ({ clock: () => service.clock.now });
  const ago = (service: ServiceUnderTest, seconds: number) => Math.floor(service.clock.now.getTime() / 1000) - seconds;

  test("lets a fresh second factor pass, and challenges a session that is older, weaker or none (RFC 9470)", async () => {
    const service = await serviceForTest(engine);
    let current: MfaSession | undefined = { ...session, authTime: ago(service, 60) };
    const url = await serve({ session: () => current, maxAge: 300, strength: "unrestricted", ...at(service) });
    expect(await (await fetch(url)).json()).toMatchObject({ done: true });
    const refused = async () => {
      const response = await fetch(url);
      return [response.status, response.headers.get("www-authenticate")];
    };
    const challenge = /^Bearer error="insufficient_user_authentication".*acr_values="aal2", max_age="300"$/;
    const rejected = [401, expect.stringMatching(challenge)];
    current = { ...session, authTime: ago(service, 301) };
    expect(await refused()).toEqual(rejected);
    current = { ...session, amr: ["pwd", "sms", "mfa"], authTime: ago(service, 1) };
    expect(await refused()).toEqual(rejected);
    current = { ...session, acr: "aal1", authTime: ago(service, 1) };
    expect(await refused()).toEqual(rejected);
    current = undefined;
    expect(await refused()).toEqual([401, "Bearer"]);
  });

  test("runs an action once its user has proved a factor for it, once, and for no other action", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, {
      templates: { actions: [{ actionType: action.type, locale: "en", text: "Pay {amount}?" }] },
    });
    const app = await enrollApp(service, "ann");
    const current = { ...session, authTime: ago(service, 1) };
    let wanted = action;
    const demand = { session: () => current, action: () => wanted, verify: verifierAt(service), ...at(service) };
    const url = await serve(demand);
    const mfa = createMfa({ baseUrl: `http://127.0.0.1:${service.port}` });
    onTestFinished(() => mfa.close());
    const token = await service.mint({ audience: "mfa", subject: "ann", acr: "aal1", session: "s-1" });
    const demands: DemandedProof[] = [];
    let proven: string | undefined;
    const send = withStepUp(async (demanded) => {
      demands.push(demanded);
      const proof = { kind: { case: "totpCode" as const, value: await app.code() } };
      const asked = { proof, audience: "shop", ...(demanded.action && { action: demanded.action }) };
      proven = (await mfa.users.stepUp(asked, as({ token }))).assertion?.token;
      return proven;
    });
    expect(await (await send(url, { method: "POST" })).json()).toMatchObject({ done: true });
    expect(demands).toEqual([{ acrValues: "aal2", strength: "any_factor", action }]);

    const again = await fetch(url, { headers: { "mfa-assertion": proven ?? "" } });
    expect(again.status).toBe(401);
    service.pass(30_000);
    wanted = { ...action, parameters: { ...action.parameters, amount: "10000.00" } };
    const proof = { kind: { case: "totpCode" as const, value: await app.code() } };
    const { assertion } = await mfa.users.stepUp({ proof, audience: "shop", action }, as({ token }));
    expect((await fetch(url, { headers: { "mfa-assertion": assertion?.token ?? "" } })).status).toBe(401);
  });

  test("says that it cannot tell where the keys cannot be had, and lets nobody pass", async () => {
    const service = await serviceForTest(engine);
    const key = remoteKeys("http://127.0.0.1:1/jwks.json");
    const verify = createAssertionVerifier({ issuer: "mfa-service", audience: "shop", key, once: onceInMemory() });
    const url = await serve({ session: () => session, action: () => action, verify, ...at(service) });
    const header = Buffer.from('{"alg":"EdDSA","typ":"mfa-assertion+jwt","kid":"k"}').toString("base64url");
    const response = await fetch(url, { headers: { "mfa-assertion": `${header}.e30.AAAA` } });
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, expect.stringMatching(/^\d+$/)]);
  });
});

test("a middleware judges the worth of a proof as the service does", () => {
  const kinds = Object.keys(FactorType).filter((name) => Number.isNaN(Number(name)) && name !== "UNSPECIFIED");
  const facts = [true, false].flatMap((userVerified) =>
    [true, false].map((deviceBound) => ({ userVerified, deviceBound, alone: false })),
  );
  for (const type of kinds)
    for (const fact of facts) {
      const { acr, amr } = statedAs([{ type: type as never, ...fact }] as never);
      for (const strength of ["ANY_FACTOR", "UNRESTRICTED", "PHISHING_RESISTANT", "DEVICE_BOUND"] as const) {
        const ours = isWorth({ acr, amr: ["pwd", ...amr] }, strength.toLowerCase() as never);
        expect(ours, `${type} ${strength} ${amr}`).toBe(assertionMeets({ acr, amr }, strength));
      }
    }
});

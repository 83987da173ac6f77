// gen/openapi.json describes what the JSON listeners do: called as it says, they answer as it says.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020 } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { expect, test } from "vitest";
import { methods } from "../../src/compose/services.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

interface Operation {
  readonly requestBody: { readonly content: { readonly "application/json": { readonly schema: { $ref: string } } } };
  readonly responses: Record<string, Operation["requestBody"]>;
  readonly security: Record<string, string[]>[];
  readonly "x-scope"?: string;
}
interface Document {
  readonly paths: Record<string, { readonly servers: readonly { readonly url: string }[]; readonly post: Operation }>;
  readonly components: { readonly schemas: Record<string, object>; readonly securitySchemes: Record<string, object> };
}
const text = readFileSync(join(import.meta.dirname, "../../gen/openapi.json"), "utf8");
const document = JSON.parse(text) as Document;
const [engine] = engines;
if (!engine) throw new Error("no engine");

const ajv = new Ajv2020({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addFormat("byte", true).addFormat("int64", true).addFormat("int32", true);
ajv.addSchema(document, "openapi");

/** What a message breaks of the schema that the description has for it. */
function faultsOf(schema: { $ref: string }, message: unknown): string[] {
  const check = ajv.getSchema(`openapi${schema.$ref}`);
  if (!check) throw new Error(`no schema ${schema.$ref}`);
  return check(message) ? [] : (check.errors ?? []).map(({ instancePath, message: why }) => `${instancePath} ${why}`);
}
const bodyOf = (part: Operation["requestBody"] | undefined) =>
  part?.content["application/json"].schema ?? { $ref: "#/components/schemas/none" };

/** Calls an operation at the listener that the description names, which has another port in a test. */
async function call(service: ServiceUnderTest, path: string, message: unknown, authorization?: string) {
  const ports: Record<string, number> = {
    "11006": service.gatewayPort,
    "11007": service.adminPort,
    "11008": service.internalPort,
  };
  const { port } = new URL(document.paths[path]?.servers[0]?.url ?? "");
  const response = await fetch(`http://127.0.0.1:${ports[port]}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...(authorization && { authorization }) },
    body: JSON.stringify(message),
  });
  return { status: response.status, reply: (await response.json()) as Record<string, unknown> };
}

/** A credential of the kind that an operation names first. */
async function credentialFor(service: ServiceUnderTest, { security, "x-scope": scope = "" }: Operation) {
  const minted: Record<string, () => Promise<string>> = {
    user: () => service.user("ann", "aal2"),
    administrator: () => service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope }),
    backend: () => service.backend(scope),
  };
  const [kind = ""] = security.flatMap((alternative) => Object.keys(alternative));
  const token = await minted[kind]?.();
  return token === undefined ? undefined : `Bearer ${token}`;
}

test("the description is valid OpenAPI 3.1 and has every RPC that answers once", async () => {
  expect(await new Validator().validate(structuredClone(document) as never)).toMatchObject({ valid: true });
  const unary = methods.filter(({ methodKind }) => methodKind === "unary");
  const paths = unary.map(({ parent, name }) => `/${parent.typeName}/${name}`);
  expect(Object.keys(document.paths).toSorted()).toEqual(paths.toSorted());
  expect(text).not.toContain('"description": ""');
  const schemes = Object.keys(document.components.securitySchemes);
  const named = Object.values(document.paths).flatMap(({ post }) => post.security.map((one) => Object.keys(one ?? {})));
  expect(named.filter(([scheme = ""]) => !schemes.includes(scheme))).toEqual([]);
});

test("every operation is served where the description says, and refuses a caller without a credential as it says", async () => {
  const service = await serviceForTest(engine);
  const wrong: string[] = [];
  for (const [path, { post }] of Object.entries(document.paths)) {
    const { status, reply } = await call(service, path, {});
    const faults = faultsOf(bodyOf(post.responses.default), reply);
    if (status !== 401 || faults.length > 0) wrong.push(`${path}: ${status} ${faults}`);
  }
  expect(wrong).toEqual([]);
});

test("an empty request is described as refused where the service refuses it for its fields, and only there", async () => {
  const service = await serviceForTest(engine);
  const wrong: string[] = [];
  for (const [path, { post }] of Object.entries(document.paths)) {
    const authorization = await credentialFor(service, post);
    if (authorization === undefined) continue; // a phone's signature
    const { status, reply } = await call(service, path, {}, authorization);
    const isRefused = JSON.stringify(reply).includes("INVALID_FIELD");
    const faults = faultsOf(bodyOf(post.requestBody), {});
    if (faults.length > 0 && !isRefused) wrong.push(`${path} takes what is described as wrong: ${faults}`);
    if (faults.length === 0 && isRefused) wrong.push(`${path} refuses: ${JSON.stringify(reply)}`);
    if (status === 200)
      wrong.push(...faultsOf(bodyOf(post.responses["200"]), reply).map((fault) => `${path}: ${fault}`));
  }
  expect(wrong).toEqual([]);
});

test("a log-in evaluated, challenged and refused answers as described at every step", async () => {
  const service = await serviceForTest(engine);
  const authorization = `Bearer ${await service.backend("mfa.verify mfa.challenge")}`;
  const client = { ip: "203.0.113.7" };
  const internal = async (name: string, message: unknown) => {
    const path = `/mfa.v1.InternalMfaService/${name}`;
    const operation = document.paths[path]?.post;
    expect(faultsOf(bodyOf(operation?.requestBody), message)).toEqual([]);
    const { status, reply } = await call(service, path, message, authorization);
    const described = status === 200 ? operation?.responses["200"] : operation?.responses.default;
    expect(faultsOf(bodyOf(described), reply)).toEqual([]);
    return { status, reply };
  };
  const evaluated = await internal("EvaluateMfa", { userId: "ann", client, sessionId: "s-1" });
  expect(evaluated).toMatchObject({ status: 200, reply: { decision: "MFA_DECISION_ALLOW" } });
  const terms = { purpose: "CHALLENGE_PURPOSE_LOG_IN", sessionId: "s-1" };
  const created = await internal("CreateUserChallenge", { userId: "ann", client, terms });
  const { challengeId } = created.reply.challenge as { challengeId: string };
  const refused = await internal("VerifyUserChallenge", {
    userId: "ann",
    challengeId,
    client,
    proof: { totpCode: "000000" },
  });
  expect(refused.status).not.toBe(200);
});

#!/usr/bin/env node
// A plugin of buf: writes gen/openapi.json, which describes in OpenAPI 3.1 what the listeners of JSON take: each unary
// RPC as the POST that Connect makes of it. Everything in it comes from the contract: texts from its comments, limits
// from its rules, who may call from its options.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getExtension, hasExtension, toJson } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Level } from "@bufbuild/protobuf/wkt";
import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";
import { errorSchemas, refusal } from "./errors.mjs";
import { descriptionOf, reference, schemasOf } from "./schemas.mjs";

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, "../../package.json"), "utf8"));

/** The listener of each service, on the ports of dev mode. */
const servers = {
  MfaService: { url: "http://127.0.0.1:11006", description: "The gateway: users' pages and apps" },
  AdminMfaService: { url: "http://127.0.0.1:11007", description: "Administrators" },
  InternalMfaService: { url: "http://127.0.0.1:11008", description: "Backends" },
};

/** How each kind of caller says who they are. */
const credentials = {
  PRINCIPAL_USER: { user: [] },
  PRINCIPAL_ADMIN: { administrator: [] },
  PRINCIPAL_SERVICE: { backend: [] },
  PRINCIPAL_DEVICE: { device: [] },
  PRINCIPAL_TICKET: { ticket: [] },
  PRINCIPAL_PROMPT: { prompt: [] },
};
function credentialOf(principal) {
  if (!(principal in credentials)) throw new Error(`${principal} has no credential in the description`);
  return credentials[principal];
}
const header = (description) => ({ type: "apiKey", in: "header", name: "authorization", description });
const securitySchemes = {
  user: { type: "http", scheme: "bearer", description: "An access token of the user (audience `mfa`)." },
  administrator: { type: "http", scheme: "bearer", description: "An access token of an administrator." },
  backend: { type: "http", scheme: "bearer", description: "A backend's access token, or a service key (`mfa_sk_…`)." },
  ticket: header("`Ticket` and the ticket that EvaluateMfa answered: enrolls a factor, and nothing else."),
  prompt: header("`Prompt` and the id of a hosted prompt, from its own page, whose cookie the browser sends along."),
  device: header("`Device` and the device's signature over the request."),
};

/** The policy of an RPC as JSON, whatever the code that is generated at the same time looks like. */
function accessOf(schema, method) {
  const options = schema.allFiles.flatMap((file) => file.extensions);
  const read = (name) => {
    const option = options.find(({ typeName }) => typeName === name);
    return hasExtension(method.proto.options, option) ? getExtension(method.proto.options, option) : undefined;
  };
  const access = options.find(({ typeName }) => typeName === "mfa.v1.access").message;
  return { ...toJson(access, read("mfa.v1.access")), audited: read("mfa.v1.audited") ?? false };
}

function operationOf(schema, method) {
  const { principals, scope, acr, maxAge, audited } = accessOf(schema, method);
  const description = descriptionOf(method);
  const json = (message) => ({ content: { "application/json": { schema: reference(message) } } });
  const level = acr && acr !== "ACR_UNSPECIFIED" ? acr : undefined;
  const extras = { "x-scope": scope, "x-acr": level, "x-max-age": maxAge, "x-audited": audited || undefined };
  return {
    operationId: `${method.parent.name}_${method.name}`,
    tags: [method.parent.name],
    summary: /^.*?[.:](?=\s|$)/s.exec(description)?.[0].replace(/:$/, ".") ?? description,
    description,
    requestBody: { required: true, ...json(method.input) },
    responses: { 200: { description: descriptionOf(method.output), ...json(method.output) }, default: refusal },
    security: principals.map(credentialOf),
    "x-idempotent": method.idempotency === Level.IDEMPOTENT || method.idempotency === Level.NO_SIDE_EFFECTS,
    ...extras,
  };
}

function documentOf(schema) {
  const services = schema.files.flatMap((file) => file.services).filter(({ name }) => name in servers);
  const methods = services
    .flatMap((service) => service.methods)
    .filter(({ methodKind }) => methodKind === "unary")
    .sort((a, b) => (`${a.parent.name}/${a.name}` < `${b.parent.name}/${b.name}` ? -1 : 1));
  const pathOf = ({ parent, name }) => `/${parent.typeName}/${name}`;
  return {
    openapi: "3.1.0",
    info: {
      title: "mfa-service",
      version,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      description:
        "Multi-factor authentication by JSON over HTTP (Connect). Every RPC of the contract that answers once is here; those that stream are for gRPC and Connect. Each service is on a listener of its own.",
    },
    tags: services.map((service) => ({ name: service.name, description: descriptionOf(service) })),
    paths: Object.fromEntries(
      methods.map((method) => [
        pathOf(method),
        { servers: [servers[method.parent.name]], post: operationOf(schema, method) },
      ]),
    ),
    components: { schemas: { ...schemasOf(methods), ...errorSchemas }, securitySchemes },
  };
}

// The framework names targets of code; the description is no code, and is written for one of them only.
runNodeJs(
  createEcmaScriptPlugin({
    name: "openapi",
    version: "v1",
    generateTs: (schema) => {
      if (schema.files.every((file) => file.services.every(({ name }) => !(name in servers)))) return;
      const document = JSON.stringify(documentOf(schema), null, 1);
      schema.generateFile("openapi.json").print(document);
    },
  }),
);

// What the contract promises about itself, read from the descriptors and the sources' comments.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  fromBinary,
  getOption,
  hasOption,
  isFieldSet,
  ScalarType,
} from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import {
  FileDescriptorSetSchema,
  MethodOptions_IdempotencyLevel as Level,
  MethodOptionsSchema,
} from "@bufbuild/protobuf/wkt";
import { createValidator } from "@bufbuild/protovalidate";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { expect, test } from "vitest";
import { http } from "../gen/google/api/annotations_pb.js";
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import { Acr, access, audited, Principal } from "../gen/mfa/v1/options_pb.js";

const root = join(import.meta.dirname, "..");
const services = [MfaService, AdminMfaService, InternalMfaService];
const methods: DescMethod[] = services.flatMap((service) => service.methods);
const name = (method: DescMethod) => `${method.parent.name}.${method.name}`;
const offenders = (holds: (method: DescMethod) => boolean, among = methods) =>
  among.filter((method) => !holds(method)).map(name);

/** Every message that a request can hold, well-known types aside. */
function reachable(message: DescMessage, seen = new Set<DescMessage>()): Set<DescMessage> {
  if (seen.has(message) || message.typeName.startsWith("google.protobuf.")) return seen;
  seen.add(message);
  for (const { message: inner } of message.fields) if (inner) reachable(inner, seen);
  return seen;
}

const requestMessages = (among: DescMethod[]) => {
  const seen = new Set<DescMessage>();
  for (const method of among) reachable(method.input, seen);
  return [...seen];
};

/** The HTTP operations that an RPC answers, each as "METHOD path". */
function bindings(method: DescMethod): string[] {
  if (!hasOption(method, http)) return [];
  const rule = getOption(method, http);
  return [rule, ...rule.additionalBindings].map(({ pattern }) =>
    typeof pattern.value === "string" ? `${pattern.case?.toUpperCase()} ${pattern.value}` : "unknown",
  );
}

/** Whether a scalar, enum, list or map needs a rule and has none. Flags and messages need none. */
function unruled(field: DescField): boolean {
  if (field.fieldKind === "message") return false;
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.BOOL) return false;
  return !hasOption(field, fieldRules) || getOption(field, fieldRules).type.case === undefined;
}

test("everything has a comment", () => {
  const buf = join(root, "node_modules/.bin/buf");
  const args = ["build", "proto", "--as-file-descriptor-set", "-o", "-#format=binpb"];
  const image = execFileSync(buf, args, { cwd: root, maxBuffer: 64 << 20 });
  // Paths of messages with their fields, oneofs and enums; enums; services with their RPCs; extensions.
  const declaration = /^(4,\d+(,3,\d+)*(,[28],\d+|,4,\d+(,2,\d+)?)?|5,\d+(,2,\d+)?|6,\d+(,2,\d+)?|7,\d+)$/;
  const found = fromBinary(FileDescriptorSetSchema, image)
    .file.filter((file) => file.package === "mfa.v1")
    .flatMap((file) => (file.sourceCodeInfo?.location ?? []).map((location) => ({ file: file.name, ...location })))
    .filter(({ path }) => declaration.test(path.join()));
  expect(found.length).toBeGreaterThan(methods.length * 3);
  const bare = found.filter(({ leadingComments }) => !leadingComments.trim());
  expect(bare.map(({ file, span }) => `${file}:${(span[0] ?? 0) + 1}`)).toEqual([]);
});

test("every RPC states how it may be repeated, and reads change nothing", () => {
  const level = (method: DescMethod) => method.proto.options?.idempotencyLevel;
  const stated = ({ proto: { options } }: DescMethod) =>
    options !== undefined && isFieldSet(options, MethodOptionsSchema.field.idempotencyLevel);
  expect(offenders(stated)).toEqual([]);
  expect(offenders((m) => level(m) !== Level.NO_SIDE_EFFECTS || !getOption(m, audited))).toEqual([]);
  const reads = methods.filter((m) => m.name.startsWith("Get"));
  expect(offenders((m) => level(m) === Level.NO_SIDE_EFFECTS, reads)).toEqual([]);
});

test("every RPC states who may call it", () => {
  const may = (method: DescMethod, principal: Principal) => getOption(method, access).principals.includes(principal);
  expect(offenders((m) => hasOption(m, access) && getOption(m, access).principals.length > 0)).toEqual([]);
  expect(offenders((m) => !may(m, Principal.UNSPECIFIED))).toEqual([]);
  const people = methods.filter((m) => may(m, Principal.USER) || may(m, Principal.ADMIN));
  expect(offenders((m) => getOption(m, access).acr !== Acr.UNSPECIFIED, people)).toEqual([]);
  expect(offenders((m) => !may(m, Principal.ADMIN) || getOption(m, access).acr === Acr.AAL2)).toEqual([]);
  const scoped = methods.filter((m) => may(m, Principal.ADMIN) || may(m, Principal.SERVICE));
  expect(offenders((m) => /^mfa(\.[a-z]+)+$/.test(getOption(m, access).scope), scoped)).toEqual([]);
  expect(
    offenders(
      (m) => !getOption(m, access).scope,
      methods.filter((m) => !scoped.includes(m)),
    ),
  ).toEqual([]);
  // A first factor alone changes nothing that is worth an audit entry.
  expect(offenders((m) => getOption(m, access).acr !== Acr.AAL1 || !getOption(m, audited))).toEqual([]);
  // What people change, they change with a fresh proof. Writing down that one read is not a change.
  const reading = ["ListConfigAuditLogs", "VerifyAuditChain"];
  const changes = people.filter((m) => getOption(m, audited) && !reading.includes(m.name));
  expect(offenders((m) => (getOption(m, access).maxAge?.seconds ?? 0n) > 0n, changes)).toEqual([]);
  const kinds = new Map([
    [MfaService.name, [Principal.USER, Principal.TICKET, Principal.DEVICE]],
    [AdminMfaService.name, [Principal.ADMIN]],
    [InternalMfaService.name, [Principal.SERVICE]],
  ]);
  expect(offenders((m) => getOption(m, access).principals.every((p) => kinds.get(m.parent.name)?.includes(p)))).toEqual(
    [],
  );
  const resource = (m: DescMethod) => getOption(m, access).resource;
  expect(offenders((m) => !resource(m) || m.input.fields.some((f) => f.name === resource(m)))).toEqual([]);
});

test("every RPC names its HTTP operations, none twice", () => {
  expect(offenders((m) => bindings(m).length > 0 && !bindings(m).includes("unknown"))).toEqual([]);
  const all = methods.flatMap((m) => bindings(m).map((binding) => binding.replace(/\{\w+\}/g, "{}")));
  expect(all.filter((binding, i) => all.indexOf(binding) !== i)).toEqual([]);
});

test("every operation of the source systems is answered", () => {
  const [, ...rows] = readFileSync(join(root, "test/endpoints.tsv"), "utf8").trimEnd().split("\n");
  const missing = rows.filter((row) => {
    const [system, service, rpc, verb, path] = row.split("\t");
    const method = methods.find((m) => m.name === rpc && m.parent.name === service);
    return !method || (system !== "openapi-mfa" && !bindings(method).includes(`${verb} ${path}`));
  });
  expect(rows).toHaveLength(92);
  expect(missing).toEqual([]);
});

test("every field that a caller can fill has a rule", () => {
  const fields = requestMessages(methods).flatMap((message) => message.fields);
  expect(fields.filter(unruled).map(String)).toEqual([]);
});

test("users are never named in their own requests, and first in others'", () => {
  const fields = requestMessages(MfaService.methods).flatMap((message) => message.fields);
  expect(fields.filter((field) => field.name === "user_id").map(String)).toEqual([]);
  const others = methods.filter((m) => m.input.fields.some((field) => field.name === "user_id"));
  expect(offenders((m) => m.input.fields[0]?.name === "user_id", others)).toEqual([]);
});

test("every list comes in pages", () => {
  const pages = ({ input, output }: DescMethod) =>
    ["page_size", "page_token"].every((field) => input.fields.some((f) => f.name === field)) &&
    output.fields.at(-1)?.name === "next_page_token";
  expect(
    offenders(
      pages,
      methods.filter((m) => m.name.startsWith("List")),
    ),
  ).toEqual([]);
});

/** Any value that a field of this type can hold; patterns and ranges are run on it. */
function sample({ scalar, message }: { scalar?: ScalarType | undefined; message?: DescMessage | undefined }) {
  if (message) return reflect(message, create(message));
  if (scalar === ScalarType.STRING) return "a";
  if (scalar === ScalarType.BYTES) return Uint8Array.of(1);
  if (scalar === ScalarType.BOOL) return true;
  return scalar === ScalarType.INT64 ? 1n : 1;
}

test("every rule compiles and runs", () => {
  const validator = createValidator();
  const broken: string[] = [];
  for (const message of requestMessages(methods)) {
    for (const field of [undefined, ...message.fields]) {
      const value = reflect(message, create(message));
      if (field?.fieldKind === "list") value.get(field).add(sample(field));
      else if (field?.fieldKind === "map") value.get(field).set("a", sample(field));
      else if (field) value.set(field, sample(field));
      const { kind, error } = validator.validate(message, value.message);
      if (kind === "error") broken.push(`${message.typeName} ${field?.name ?? ""}: ${error.message}`);
    }
  }
  expect(broken).toEqual([]);
});

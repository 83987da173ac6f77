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
import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import { Acr, access, audited, Principal } from "../gen/mfa/v1/options_pb.js";

const root = join(import.meta.dirname, "..");
const services = [MfaService, AdminMfaService, InternalMfaService];
const methods: DescMethod[] = services.flatMap((service) => service.methods);
const name = (method: DescMethod) => `${method.parent.name}.${method.name}`;
const policy = (method: DescMethod) => getOption(method, access);
const level = (method: DescMethod) => method.proto.options?.idempotencyLevel;
const userId = (field: DescField) => field.name === "user_id";

/** Names every RPC of those given for which a promise does not hold. */
const expectEach = (among: DescMethod[], holds: (method: DescMethod) => boolean) =>
  expect(among.filter((method) => !holds(method)).map(name)).toEqual([]);

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

/** Messages that stand for one value, of which no engine takes every one. */
const valued: readonly string[] = ["google.protobuf.Timestamp", "google.protobuf.Duration"];

/** Whether a value, list or map lacks a rule, for itself or what it holds. Flags and other messages need none. */
function unruled(field: DescField): boolean {
  if (field.fieldKind === "message" && !valued.includes(field.message.typeName)) return false;
  if (field.fieldKind === "scalar" && field.scalar === ScalarType.BOOL) return false;
  const { type } = getOption(field, fieldRules);
  if (field.fieldKind === "map") return type.case !== "map" || !type.value.keys || !type.value.values;
  // Beyond it a number of JavaScript, and of JSON, is another one.
  if (type.case === "int64") return !(Number(type.value.lessThan.value ?? Infinity) <= Number.MAX_SAFE_INTEGER);
  if (field.fieldKind !== "list") return type.case === undefined;
  return type.case !== "repeated" || !type.value.maxItems || (field.listKind !== "message" && !type.value.items);
}

test("everything has a comment", () => {
  const buf = join(root, "node_modules/.bin/buf");
  const args = ["build", "proto", "--as-file-descriptor-set", "-o", "-#format=binpb"];
  const image = execFileSync(buf, args, { cwd: root, maxBuffer: 64 << 20 });
  // Paths of messages with their fields, oneofs and enums; enums; services with their RPCs; extensions.
  const declaration = /^(4,\d+(,3,\d+)*(,[28],\d+|,4,\d+(,2,\d+)?)?|5,\d+(,2,\d+)?|6,\d+(,2,\d+)?|7,\d+)$/;
  const found = fromBinary(FileDescriptorSetSchema, image)
    .file.filter((file) => file.package === "mfa.v1")
    .flatMap((file) => (file.sourceCodeInfo?.location ?? []).map((at) => ({ file: file.name, at })))
    .filter(({ at }) => declaration.test(at.path.join()));
  expect(found.length).toBeGreaterThan(methods.length * 3);
  const bare = found.filter(({ at }) => !at.leadingComments.trim());
  expect(bare.map(({ file, at }) => `${file}:${(at.span[0] ?? 0) + 1}`)).toEqual([]);
});

test("every RPC states how it may be repeated, and reads change nothing", () => {
  expectEach(methods, ({ proto: { options } }) =>
    Boolean(options && isFieldSet(options, MethodOptionsSchema.field.idempotencyLevel)),
  );
  expectEach(methods, (m) => level(m) !== Level.NO_SIDE_EFFECTS || !getOption(m, audited));
  const reads = methods.filter((m) => /^(Get|Watch)/.test(m.name));
  expectEach(reads, (m) => level(m) === Level.NO_SIDE_EFFECTS);
});

test("every RPC states who may call it", () => {
  const kinds = new Map([
    [MfaService.name, [Principal.USER, Principal.TICKET, Principal.DEVICE, Principal.PROMPT]],
    [AdminMfaService.name, [Principal.ADMIN]],
    [InternalMfaService.name, [Principal.SERVICE]],
  ]);
  expectEach(methods, (m) => policy(m).principals.length > 0);
  expectEach(methods, (m) => policy(m).principals.every((p) => kinds.get(m.parent.name)?.includes(p)));
  expectEach(AdminMfaService.methods, (m) => policy(m).acr === Acr.AAL2);
  expectEach(InternalMfaService.methods, (m) => policy(m).acr === Acr.UNSPECIFIED);
  expectEach(
    methods,
    (m) => (m.parent === MfaService ? "" : /^mfa(\.[a-z]+)+$/.exec(policy(m).scope)?.[0]) === policy(m).scope,
  );
  expectEach(methods, (m) => !policy(m).resource || m.input.fields.some((f) => f.name === policy(m).resource));
  const people = methods.filter((m) => policy(m).principals.some((p) => p === Principal.USER || p === Principal.ADMIN));
  expectEach(people, (m) => policy(m).acr !== Acr.UNSPECIFIED);
  // A first factor alone changes nothing that is worth an audit entry.
  expectEach(methods, (m) => policy(m).acr !== Acr.AAL1 || !getOption(m, audited));
  // What people change, they change with a fresh proof. That a reading is written down is not a change.
  const readings = ["ListConfigAuditLogs", "VerifyAuditChain"];
  const changes = people.filter((m) => getOption(m, audited) && !readings.includes(m.name));
  expectEach(changes, (m) => policy(m).maxAge !== undefined);
});

test("every operation of the source systems is answered by an RPC, each listed once", () => {
  const [, ...rows] = readFileSync(join(root, "test/endpoints.tsv"), "utf8").trimEnd().split("\n");
  const cells = rows.map((row) => row.split("\t"));
  const missing = cells.filter(([, service, rpc]) => !methods.some((m) => m.name === rpc && m.parent.name === service));
  expect(missing).toEqual([]);
  expect(rows).toHaveLength(92);
  const operations = cells.map(([system, , , verb, path]) => `${system} ${verb} ${path?.replace(/\{\w+\}/g, "{}")}`);
  expect(operations.filter((one, at) => operations.indexOf(one) !== at)).toEqual([]);
});

test("every field that a caller can fill has a rule", () => {
  const fields = requestMessages(methods).flatMap((message) => message.fields);
  expect(fields.filter(unruled).map(String)).toEqual([]);
});

test("users are never named in their own requests, and first in others'", () => {
  const fields = requestMessages(MfaService.methods).flatMap((message) => message.fields);
  expect(fields.filter(userId).map(String)).toEqual([]);
  const others = methods.filter((m) => m.input.fields.some(userId));
  expectEach(others, ({ input: { fields } }) => fields.findIndex(userId) === 0);
});

test("every list comes in pages", () => {
  const lists = methods.filter((m) => m.name.startsWith("List"));
  expectEach(lists, ({ input }) => Boolean(input.field.pageSize && input.field.pageToken));
  expectEach(lists, ({ output }) => output.fields.at(-1)?.name === "next_page_token");
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

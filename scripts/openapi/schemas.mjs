// Messages and enums of the contract as JSON Schemas of their JSON form (proto3 JSON).
import { ScalarType } from "@bufbuild/protobuf";
import { getComments } from "@bufbuild/protoplugin";
import { isOneofRequired, rulesOf } from "./rules.mjs";

const { BOOL, BYTES, DOUBLE, FLOAT, INT64, SINT64, SFIXED64, STRING, UINT64, FIXED64 } = ScalarType;
const LARGE = { type: "string", format: "int64", pattern: "^-?[0-9]+$" };
const scalars = {
  [BOOL]: { type: "boolean" },
  [BYTES]: { type: "string", format: "byte", contentEncoding: "base64" },
  [DOUBLE]: { type: "number", format: "double" },
  [FLOAT]: { type: "number", format: "float" },
  [STRING]: { type: "string" },
  ...Object.fromEntries([INT64, SINT64, SFIXED64, UINT64, FIXED64].map((large) => [large, LARGE])),
};
const INTEGER = { type: "integer", format: "int32" };

const wellKnown = {
  "google.protobuf.Timestamp": { type: "string", format: "date-time" },
  "google.protobuf.Duration": { type: "string", pattern: "^-?[0-9]+(\\.[0-9]{1,9})?s$" },
  "google.protobuf.Struct": { type: "object", additionalProperties: true },
  "google.protobuf.Value": {},
  "google.protobuf.Any": { type: "object", properties: { "@type": { type: "string" } }, additionalProperties: true },
};

/** The comment of an element as running text: paragraphs stay, line breaks within them go. */
export const descriptionOf = (desc) =>
  (getComments(desc).leading ?? "")
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.replace(/\s*\n\s*/g, " ").trim())
    .join("\n\n");

const nameOf = ({ typeName }) => typeName.replace(/^mfa\.v1\./, "");
const reference = (desc) => ({ $ref: `#/components/schemas/${nameOf(desc)}` });

function typeOf(kind, { scalar, message, enum: enumeration }) {
  if (kind === "scalar") return scalars[scalar] ?? INTEGER;
  if (kind === "enum") return reference(enumeration);
  return wellKnown[message.typeName] ?? reference(message);
}

function propertyOf(field) {
  const { own, held } = rulesOf(field);
  const description = descriptionOf(field);
  if (field.fieldKind === "list")
    return { description, type: "array", items: { ...typeOf(field.listKind, field), ...held }, ...own };
  if (field.fieldKind === "map")
    return { description, type: "object", additionalProperties: { ...typeOf(field.mapKind, field), ...held }, ...own };
  return { ...typeOf(field.fieldKind, field), ...own, description };
}

/** At most one field of a oneof may be there, said by ruling out each pair; in some requests one has to be. */
function oneofsOf({ oneofs }, isRequestOnly) {
  const alone = ({ jsonName }) => ({ required: [jsonName] });
  const all = oneofs.flatMap((oneof) => [
    ...oneof.fields.flatMap((a, n) =>
      oneof.fields.slice(n + 1).map((b) => ({ not: { required: [a.jsonName, b.jsonName] } })),
    ),
    ...(isRequestOnly && isOneofRequired(oneof) ? [{ anyOf: oneof.fields.map(alone) }] : []),
  ]);
  return all.length > 0 ? { allOf: all } : {};
}

function schemaOf(message, isRequestOnly) {
  const required = isRequestOnly ? message.fields.filter((field) => rulesOf(field).required) : [];
  return {
    type: "object",
    description: descriptionOf(message),
    properties: Object.fromEntries(message.fields.map((field) => [field.jsonName, propertyOf(field)])),
    ...(required.length > 0 && { required: required.map(({ jsonName }) => jsonName) }),
    ...oneofsOf(message, isRequestOnly),
  };
}

function enumOf(enumeration) {
  const values = enumeration.values.map((value) => `* \`${value.name}\`: ${descriptionOf(value)}`);
  return {
    type: "string",
    enum: enumeration.values.map(({ name }) => name),
    description: `${descriptionOf(enumeration)}\n\n${values.join("\n")}`,
  };
}

/** All messages and enums that one can hold, itself among them; well-known types aside. */
function reachable(desc, seen = new Set()) {
  if (seen.has(desc) || desc.typeName in wellKnown) return seen;
  seen.add(desc);
  for (const { message, enum: enumeration } of desc.fields ?? []) {
    if (message) reachable(message, seen);
    if (enumeration) seen.add(enumeration);
  }
  return seen;
}

/** The schemas of all that some RPCs take and answer, by name. */
export function schemasOf(methods) {
  const requests = new Set();
  const replies = new Set();
  for (const { input, output } of methods) {
    reachable(input, requests);
    reachable(output, replies);
  }
  const all = [...requests.union(replies)].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  const made = (desc) => (desc.kind === "enum" ? enumOf(desc) : schemaOf(desc, !replies.has(desc)));
  return Object.fromEntries(all.map((desc) => [nameOf(desc), made(desc)]));
}

export { reference };

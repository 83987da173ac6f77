// The rules of the contract on a field (buf.validate), in the keywords of JSON Schema. A rule without a keyword, such as
// one in CEL, is left to the service, which refuses what breaks it with INVALID_FIELD.
import { getOption } from "@bufbuild/protobuf";
import {
  field as fieldRules,
  Ignore,
  oneof as oneofRules,
} from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const only = (words) => Object.fromEntries(Object.entries(words).filter(([, value]) => value !== undefined));
const positive = (value) => (value > 0 ? Number(value) : undefined);
const FORMATS = new Set(["uuid", "email", "uri", "ipv4", "ipv6", "hostname"]);
const BOUNDS = { gte: "minimum", gt: "exclusiveMinimum", lte: "maximum", lt: "exclusiveMaximum" };

/** A pattern of RE2 as one of ECMAScript, where characters are numbered otherwise. */
const patternOf = (text) => text.replace(/\\x\{([0-9a-f]+)\}/gi, (_, digits) => `\\u${digits.padStart(4, "0")}`);

/** Lengths in bytes bound those in characters: from below by one, from above by as many. */
const ofString = ({ minLen, maxLen, len, minBytes, maxBytes, pattern, wellKnown }) =>
  only({
    minLength: positive(len) ?? positive(minLen) ?? (minBytes > 0 ? 1 : undefined),
    maxLength: positive(len) ?? positive(maxLen) ?? positive(maxBytes),
    pattern: pattern ? patternOf(pattern) : undefined,
    format: FORMATS.has(wellKnown.case) && wellKnown.value ? wellKnown.case : undefined,
  });

/** Lengths of bytes as those of their base64: without padding at the least, with it at the most. */
const ofBytes = ({ minLen, maxLen, len }) =>
  only({
    minLength: positive(Math.ceil((Number(len || minLen) * 4) / 3)),
    maxLength: positive(Math.ceil(Number(len || maxLen) / 3) * 4),
  });

const ofNumber = ({ greaterThan, lessThan }) =>
  Object.fromEntries(
    [greaterThan, lessThan].filter((bound) => bound.case).map((bound) => [BOUNDS[bound.case], Number(bound.value)]),
  );

/** An int64 is a text in JSON, so its bounds are no keywords. */
const keywords = {
  string: ofString,
  bytes: ofBytes,
  int32: ofNumber,
  double: ofNumber,
  repeated: ({ minItems, maxItems, unique }) =>
    only({ minItems: positive(minItems), maxItems: positive(maxItems), uniqueItems: unique || undefined }),
  map: ({ minPairs, maxPairs }) => only({ minProperties: positive(minPairs), maxProperties: positive(maxPairs) }),
};

const keywordsOf = (rules) => keywords[rules?.type.case]?.(rules.type.value) ?? {};

/** Keywords for a field that may hold its zero value although the rules would refuse that. */
function orZero({ minLength, minItems, minimum, exclusiveMinimum, pattern, format, ...upper }) {
  return only({ ...upper, pattern: pattern && `^$|${pattern}`, "x-format": format });
}

/** Whether the rules refuse what a field without a value in the JSON has: an empty text, 0, no items. */
function refusesZero(rules, { minLength, pattern, format, minItems, minimum, exclusiveMinimum }) {
  const isBounded = minLength > 0 || minItems > 0 || minimum > 0 || exclusiveMinimum >= 0 || format !== undefined;
  const isOther = pattern !== undefined && !new RegExp(pattern, "u").test("");
  return isBounded || isOther || (rules.type.case === "enum" && rules.type.value.notIn.includes(0));
}

/** The rules of a field: of itself, of each thing that it holds, and whether a request has to have it. */
export function rulesOf(field) {
  const rules = getOption(field, fieldRules);
  const { case: kind, value } = rules.type;
  const words = keywordsOf(rules);
  const isFree = rules.ignore === Ignore.IF_ZERO_VALUE;
  const hasPresence = field.proto.proto3Optional || field.oneof !== undefined || field.fieldKind === "message";
  return {
    own: isFree && !hasPresence ? orZero(words) : words,
    held: keywordsOf(kind === "repeated" ? value.items : kind === "map" ? value.values : undefined),
    required: rules.required || (!isFree && !hasPresence && refusesZero(rules, words)),
  };
}

/** Whether a request has to have one field of a oneof. */
export const isOneofRequired = (oneof) => getOption(oneof, oneofRules).required;

import type { BaseIssue } from "valibot";
import { nearest } from "../core/nearest.ts";

type Issue = BaseIssue<unknown>;

/** What a value is, in the words of a settings file; never the value itself, which may be a secret. */
function kindOf(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? "a text" : `${value}`;
}

const TYPES: Readonly<Record<string, string>> = {
  string: 'a text, "like this"',
  number: "a number",
  boolean: "true or false",
  array: "a list, [like this]",
  strict_object: 'an object, {"like": "this"}',
  record: 'an object, {"like": "this"}',
  integer: "a whole number",
};

/** The values of a picklist, a literal or a variant, as valibot writes them: ("a" | "b"). */
const valuesOf = (expected: string | null) =>
  [...(expected ?? "").matchAll(/"([^"]+)"/g)].map(([, value]) => value ?? "");

const unit = (n: unknown, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

/** The limits of a value: what was expected, by the issue's type. */
function limitText({ type, input, requirement }: Issue & { requirement?: unknown }): string | undefined {
  if (type === "min_value") return `must be ${requirement} or more, not ${kindOf(input)}`;
  if (type === "max_value") return `must be ${requirement} or less, not ${kindOf(input)}`;
  if (type === "max_bytes") return `must have at most ${unit(requirement, "byte", "bytes")}`;
  if (type === "min_length" && typeof input === "string") return "must not be empty";
  if (type === "min_length") return `must have ${unit(requirement, "entry", "entries")} or more`;
  if (type === "max_length") return `must have at most ${unit(requirement, "entry", "entries")}`;
  return undefined;
}

function choiceText(values: readonly string[], input: unknown): string {
  const listed = values.map((value) => `"${value}"`).join(", ");
  const meant = typeof input === "string" ? nearest(input, values) : undefined;
  const hint = meant ? `: did you mean "${meant}"?` : "";
  return input === undefined
    ? `is missing: ${listed}`
    : `must be ${values.length > 1 ? "one of " : ""}${listed}${hint}`;
}

/** Says what is wrong with a setting and what it must be; quotes texts of nobody, and no pattern. */
export function faultText(issue: Issue): string {
  const { type, message, input, expected } = issue;
  if (!message.startsWith("Invalid ")) return message; // the schema's own words
  const limit = limitText(issue);
  if (limit) return limit;
  // A key that is missing is an issue of its object, with the key's name expected.
  const isKey = type === "strict_object" && issue.path?.at(-1)?.origin === "key";
  if (isKey) return "is missing";
  if (type === "picklist" || type === "literal" || type === "variant") return choiceText(valuesOf(expected), input);
  if (input === undefined) return "is missing";
  return `must be ${TYPES[type] ?? "of another form"}, not ${kindOf(input)}`;
}

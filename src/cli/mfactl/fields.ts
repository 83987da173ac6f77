import { type DescEnum, type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import comments from "../../../gen/comments.json" with { type: "json" };
import { nearest } from "../../core/nearest.ts";
import { usage } from "./io.ts";
import { instantOf, kebab, secondsOf } from "./words.ts";

/** A field of a request as an option of a command. */
export interface FieldOption {
  /** "user-id", or "filter.user-id" for a field of a field. */
  readonly name: string;
  /** What stands for the value in the help; empty for a switch. */
  readonly value: string;
  readonly help: string;
  readonly choices: readonly string[];
  readonly isList: boolean;
  /** The names in JSON that lead to the field. */
  readonly path: readonly string[];
  /** Reads a text of the command line as JSON; throws Stop. */
  readonly read: (text: string, now: Date) => unknown;
}

const texts = comments as Readonly<Record<string, string>>;

/** Returns the comment of an element of the contract, "mfa.v1.Message.field" or "ErrorReason.LOCKED". */
export const commentOf = (name: string): string => texts[name] ?? "";

/** The first sentence of a comment. */
export const firstSentence = (text: string): string =>
  (/^(.*?[.:])(?:\s|$)/s.exec(text)?.[1] ?? text).replace(/:$/, ".");

/** Returns the short name of an enum's value: FACTOR_TYPE_TOTP is "totp". */
export function shortName({ sharedPrefix = "" }: DescEnum, name: string): string {
  return kebab(name.toLowerCase().startsWith(sharedPrefix.toLowerCase()) ? name.slice(sharedPrefix.length) : name);
}

function readEnum(desc: DescEnum, text: string): string {
  const found = desc.values.find(({ name }) => name === text || shortName(desc, name) === kebab(text));
  if (found) return found.name;
  const known = desc.values.filter(({ number }) => number !== 0).map(({ name }) => shortName(desc, name));
  const meant = nearest(text, known);
  throw usage(`"${text}" is none of ${known.join(", ")}${meant ? `: did you mean ${meant}?` : ""}`);
}

function readNumber(text: string): string {
  if (!/^-?\d+(\.\d+)?$/.test(text)) throw usage(`"${text}" is no number`);
  return text;
}

function readBoolean(text: string): boolean {
  if (text === "true" || text === "yes") return true;
  if (text === "false" || text === "no") return false;
  throw usage(`"${text}" is neither true nor false`);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usage(`this is no JSON: ${text.slice(0, 60)}`);
  }
}

interface Kind {
  readonly value: string;
  readonly choices?: readonly string[];
  readonly read: FieldOption["read"];
}

function scalarKind(scalar: ScalarType): Kind {
  if (scalar === ScalarType.STRING) return { value: "text", read: (text) => text };
  if (scalar === ScalarType.BYTES) return { value: "base64", read: (text) => text };
  if (scalar === ScalarType.BOOL) return { value: "", read: readBoolean };
  const isFloat = scalar === ScalarType.DOUBLE || scalar === ScalarType.FLOAT;
  return { value: "number", read: (text) => (isFloat ? Number(readNumber(text)) : readNumber(text)) };
}

const WELL_KNOWN: Readonly<Record<string, Kind>> = {
  "google.protobuf.Duration": { value: "duration", read: (text) => `${secondsOf(text)}s` },
  "google.protobuf.Timestamp": { value: "time", read: (text, now) => instantOf(text, now).toISOString() },
};

const JSON_KIND: Kind = { value: "json", read: readJson };

function kindOf(field: DescField): Kind {
  const { enum: values, message, scalar } = field;
  if (field.fieldKind === "map") return JSON_KIND;
  if (values) {
    const choices = values.values.filter(({ number }) => number !== 0).map(({ name }) => shortName(values, name));
    return { value: choices.length > 6 ? "name" : choices.join("|"), choices, read: (text) => readEnum(values, text) };
  }
  if (message) return WELL_KNOWN[message.typeName] ?? JSON_KIND;
  return scalarKind(scalar as ScalarType); // neither map, enum nor message
}

/** How deep fields of fields become options of their own; what lies deeper is given as JSON. */
const DEEPEST = 3;

/** Returns the options of a request: one for each field, and for the fields of its fields. */
export function optionsOf(message: DescMessage, above: readonly DescField[] = []): FieldOption[] {
  return message.fields.flatMap((field) => {
    const whole = [...above, field];
    const kind = kindOf(field);
    const own: FieldOption = {
      name: whole.map(({ name }) => kebab(name)).join("."),
      value: kind.value,
      choices: kind.choices ?? [],
      help: firstSentence(commentOf(`${message.typeName}.${field.name}`)),
      isList: field.fieldKind === "list",
      path: whole.map(({ jsonName }) => jsonName),
      read: kind.read,
    };
    const isOurs = field.message?.typeName.startsWith("mfa.") ?? false;
    const isNested = field.fieldKind === "message" && isOurs && whole.length < DEEPEST;
    const isCircle = above.some(({ message: outer }) => outer === field.message);
    return isNested && !isCircle ? [own, ...optionsOf(field.message, whole)] : [own];
  });
}

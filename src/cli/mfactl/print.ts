import { type DescField, type DescMessage, isFieldSet, type Message, toJson } from "@bufbuild/protobuf";
import { type ReflectList, type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { type Duration, durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import Table from "cli-table3";
import { shortName } from "./fields.ts";
import type { Io } from "./io.ts";
import { durationText, instantText, kebab } from "./words.ts";

/** Characters that would steer a terminal: what users named their devices must not. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it looks for
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Returns a text without control characters. */
export const showable = (text: string): string => text.replaceAll(CONTROL, "\ufffd");

/** A table without lines, for people. */
export function tableOf(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const none = ["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"];
  const more = ["left", "left-mid", "mid", "mid-mid", "right", "right-mid"];
  const chars = { ...Object.fromEntries([...none, ...more].map((name) => [name, ""])), middle: "  " };
  const style = { head: [], border: [], "padding-left": 0, "padding-right": 0 };
  const table = new Table({ head: head.map((one) => one.toUpperCase()), chars, style });
  table.push(...rows.map((row) => row.map(showable)));
  return `${table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")}\n`;
}

const isTime = (message: DescMessage) => message.typeName === "google.protobuf.Timestamp";
const isDuration = (message: DescMessage) => message.typeName === "google.protobuf.Duration";

function single(field: DescField, value: unknown, now: Date): string {
  if (field.enum) {
    const known = field.enum.value[Number(value)];
    return known ? shortName(field.enum, known.name) : String(value);
  }
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (!field.message) return typeof value === "bigint" || typeof value !== "string" ? String(value) : value;
  const { message } = value as ReflectMessage;
  if (isTime(field.message)) return instantText(timestampDate(message as Timestamp), now);
  if (isDuration(field.message)) return durationText(durationMs(message as Duration) / 1000);
  return JSON.stringify(toJson(field.message, message));
}

function cell(shown: ReflectMessage, field: DescField, now: Date): string {
  if (!isFieldSet(shown.message, field))
    return field.fieldKind === "scalar" && !field.oneof ? String(shown.get(field)) : "";
  const value: unknown = shown.get(field);
  if (field.fieldKind === "list") return [...(value as ReflectList)].map((one) => single(field, one, now)).join(", ");
  if (field.fieldKind === "map") return JSON.stringify(Object.fromEntries(value as Iterable<[string, unknown]>));
  return single(field, value, now);
}

const isNested = (field: DescField) =>
  field.fieldKind === "message" && !isTime(field.message) && !isDuration(field.message);

/** The rows of a list as a table; columns that are empty throughout are left out. */
function listText(field: DescField & { message: DescMessage }, list: ReflectList, now: Date): string {
  const rows = [...list] as ReflectMessage[];
  const columns = field.message.fields.map((column) => ({
    name: kebab(column.name).replaceAll("-", " "),
    cells: rows.map((row) => cell(row, column, now)),
  }));
  const filled = columns.filter(({ cells }) => cells.some((text) => text !== ""));
  return tableOf(
    filled.map(({ name }) => name),
    rows.map((_, n) => filled.map(({ cells }) => cells[n] ?? "")),
  );
}

function lines(shown: ReflectMessage, now: Date, indent = ""): string[] {
  const set = shown.fields.filter((field) => isFieldSet(shown.message, field));
  return set.flatMap((field) => {
    const name = `${indent}${kebab(field.name).replaceAll("-", " ")}:`;
    const value: unknown = shown.get(field);
    if (field.fieldKind === "list" && field.listKind === "message") {
      const table = listText(field, value as ReflectList, now);
      return indent === "" && set.length === 1 ? [table.trimEnd()] : [name, table.trimEnd().replaceAll(/^/gm, "  ")];
    }
    if (isNested(field)) return [name, ...lines(value as ReflectMessage, now, `${indent}  `)];
    return [`${name} ${showable(cell(shown, field, now)).replaceAll("\n", `\n${indent}  `)}`];
  });
}

/** Writes a reply: for people as lines and tables, or as JSON. */
export function printReply(desc: DescMessage, reply: Message, asJson: boolean, io: Io): void {
  if (asJson) io.out(`${JSON.stringify(toJson(desc, reply), null, 2)}\n`);
  else io.out(`${lines(reflect(desc, reply), io.now()).join("\n") || "Done."}\n`);
}

import { readFileSync } from "node:fs";
import { type DescMessage, fromJson, type JsonValue, type Message } from "@bufbuild/protobuf";
import type { FieldOption } from "./fields.ts";
import { type Io, usage } from "./io.ts";

type Tree = { [name: string]: unknown };

const isTree = (value: unknown): value is Tree => typeof value === "object" && value !== null && !Array.isArray(value);

/** Reads "@file" and "@-" (standard input); "@@x" stands for "@x". */
export async function contentOf(text: string, io: Pick<Io, "stdin">): Promise<string> {
  if (text.startsWith("@@")) return text.slice(1);
  if (text === "@-" || text === "-") return io.stdin();
  if (!text.startsWith("@")) return text;
  try {
    return readFileSync(text.slice(1), "utf8");
  } catch (error) {
    throw usage(`${text.slice(1)} cannot be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}

function put(tree: Tree, path: readonly string[], value: unknown): void {
  const [name = "", ...inner] = path;
  if (inner.length === 0) {
    tree[name] = isTree(tree[name]) && isTree(value) ? { ...tree[name], ...value } : value;
    return;
  }
  const next = isTree(tree[name]) ? { ...tree[name] } : {};
  tree[name] = next;
  put(next, inner, value);
}

/** What a person gave for a request: the texts of its options, and the whole of it as JSON. */
export interface Given {
  readonly options: ReadonlyMap<FieldOption, string | boolean | readonly string[]>;
  readonly json: string | undefined;
}

/** Makes a request: options over JSON. Throws Stop where a text is none of what its field takes. */
export async function requestOf(message: DescMessage, { options, json }: Given, io: Io): Promise<Message> {
  const base: unknown = json === undefined ? {} : parse(await contentOf(json, io));
  if (!isTree(base)) throw usage("a request is a JSON object");
  const tree: Tree = { ...base };
  for (const [{ path, read, isList, name }, given] of options) {
    const texts = typeof given === "string" || typeof given === "boolean" ? [String(given)] : given;
    try {
      const values = [];
      for (const text of texts) values.push(read(await contentOf(text, io), io.now()));
      put(tree, path, isList ? values.flat() : values.at(-1));
    } catch (error) {
      throw usage(`--${name}: ${(error as Error).message}`);
    }
  }
  try {
    return fromJson(message, tree as JsonValue);
  } catch (error) {
    throw usage((error as Error).message.replace(/^cannot decode (?:message|field) /, ""));
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw usage("the request is no JSON");
  }
}

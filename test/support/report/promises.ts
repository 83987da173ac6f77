// What the contract promises in words: the sentences of the comments in proto/, and the pages that say which test holds
// each (docs/reference/promises/).
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = join(import.meta.dirname, "..", "..", "..");
const folder = join(root, "docs", "reference", "promises");

/** A sentence of the contract, and the tests that fail when it is broken, each as "api/totp.test.ts: its name". */
export interface Promised {
  readonly element: string;
  readonly sentence: string;
  readonly heldBy: readonly string[];
}

/** Numbers of fields in descriptor.proto, by which a comment's path names its element. */
const [MESSAGE, ENUM, SERVICE] = [4, 5, 6];

function elementAt(file: FileDescriptorProto, path: readonly number[]): string | undefined {
  const [kind, index = 0, inner, at = 0] = path;
  if (path.length !== 2 && path.length !== 4) return undefined;
  if (kind === SERVICE && inner === 2) {
    const service = file.service[index];
    return `${service?.name}.${service?.method[at]?.name}`;
  }
  if (kind === MESSAGE && (inner === undefined || inner === 2)) {
    const message = file.messageType[index];
    return inner === undefined ? message?.name : `${message?.name}.${message?.field[at]?.name}`;
  }
  if (kind === ENUM && inner === 2) return file.enumType[index]?.value[at]?.name;
  return undefined;
}

const sentencesOf = (comment: string) =>
  comment
    .replace(/\s+/g, " ")
    .trim()
    .split(/(?<=[.!?])\s+(?=[A-Z"`])/)
    .filter((sentence) => sentence !== "");

/** A sentence about a message, field or value promises something where it has one of these words, or a number. */
const PROMISES =
  /\b(default|at most|at least|never|once|only|fails?|refused|recorded|grows?|until|unless|always|cannot|must|before|after)\b|\d/i;

/** How often a sentence stands in the contract until it is a promise about every element of its kind. */
const EVERYWHERE = 4;

/** Gives the sentences that many elements share a page of their own, one line each. */
function once(all: readonly Place[]): Place[] {
  const places = Map.groupBy(all, ({ sentence }) => sentence);
  return all.flatMap((place) => {
    const found = places.get(place.sentence) ?? [];
    if (found.length < EVERYWHERE) return place;
    return place === found[0] ? { page: "everywhere.md", element: "*", sentence: place.sentence } : [];
  });
}

/** Where a promise stands: on which page, about what. */
export interface Place {
  readonly page: string;
  readonly element: string;
  readonly sentence: string;
}

/** Every promise of the contract: all sentences of an RPC behind the first, which names it, and those that bind. */
export function promised(): Place[] {
  const image = execFileSync("npx", ["buf", "build", "proto", "--as-file-descriptor-set", "-o", "-"], {
    cwd: root,
    maxBuffer: 1 << 28,
  });
  const files = fromBinary(FileDescriptorSetSchema, image).file.filter((file) => file.package === "mfa.v1");
  const all = files.flatMap((file) =>
    (file.sourceCodeInfo?.location ?? []).flatMap(({ path, leadingComments }) => {
      const element = leadingComments ? elementAt(file, path) : undefined;
      if (!element || !leadingComments) return [];
      const sentences = sentencesOf(leadingComments);
      const bind = path[0] === SERVICE ? sentences : sentences.filter((sentence) => PROMISES.test(sentence));
      const page = `${file.name.split("/").at(-1)?.replace(".proto", "")}.md`;
      return bind.map((sentence) => ({ page, element, sentence }));
    }),
  );
  return once(all);
}

const textIn = (cell: string) => cell.trim().replaceAll("\\|", "|").replaceAll("&lt;", "<");

/** The rows of a page, in their order. */
export function rowsOf(page: string): Promised[] {
  const path = join(folder, page);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines
    .filter((line) => line.startsWith("| ") && !line.startsWith("| Element") && !line.startsWith("|---"))
    .map((line) => {
      const [element = "", sentence = "", heldBy = ""] = line.slice(1, -1).split(/(?<!\\)\|/);
      const tests = textIn(heldBy).split("<br>");
      return {
        element: textIn(element).replaceAll("`", ""),
        sentence: textIn(sentence),
        heldBy: tests.map((name) => name.trim()).filter((name) => name !== ""),
      };
    });
}

// Each sentence of the contract that promises something is held by a test: docs/reference/promises/ names it.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { promised, rowsOf } from "./support/report/promises.ts";

const contract = promised();
const pages = readdirSync(join(import.meta.dirname, "..", "docs", "reference", "promises")).filter(
  (name) => name !== "README.md",
);
const rows = pages.flatMap((page) => rowsOf(page).map((row) => ({ page, ...row })));
const keyOf = ({ page, element, sentence }: { page: string; element: string; sentence: string }) =>
  `${page}: ${element}: ${sentence}`;

test("every promise of the contract has a line that names its test (npm run promises adds what is missing)", () => {
  const held = new Set(rows.filter(({ heldBy }) => heldBy.length > 0).map(keyOf));
  expect(contract.map(keyOf).filter((key) => !held.has(key))).toEqual([]);
});

test("no line is left of a promise that the contract no longer makes", () => {
  const made = new Set(contract.map(keyOf));
  expect(rows.map(keyOf).filter((key) => !made.has(key))).toEqual([]);
});

test("each test that is named exists under that name", () => {
  const sources = new Map<string, string>();
  const textOf = (file: string) => {
    const path = join(import.meta.dirname, file);
    if (!sources.has(file)) sources.set(file, existsSync(path) ? readFileSync(path, "utf8") : "");
    return sources.get(file) ?? "";
  };
  const isThere = (name: string) => {
    const [file = "", ...title] = name.split(": ");
    const text = textOf(file);
    return ['"', "'", "`"].some((quote) => text.includes(`${quote}${title.join(": ")}${quote}`));
  };
  expect(rows.flatMap(({ heldBy }) => heldBy.filter((name) => !isThere(name)))).toEqual([]);
});

import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { ar } from "../../src/prompt/page/words/ar.ts";
import { de } from "../../src/prompt/page/words/de.ts";
import { en } from "../../src/prompt/page/words/en.ts";
import { es } from "../../src/prompt/page/words/es.ts";
import { fr } from "../../src/prompt/page/words/fr.ts";
import { ja } from "../../src/prompt/page/words/ja.ts";
import { languageOf } from "../../src/prompt/page/words/words.ts";

/** The keys of a catalogue, those of its tables among them. */
const keysOf = (words: object): string[] =>
  Object.entries(words).flatMap(([key, value]) =>
    typeof value === "object" ? Object.keys(value).map((own) => `${key}.${own}`) : [key],
  );

test.each(Object.entries({ ar, de, es, fr, ja }))("%s has every text that English has, and no other", (_, words) => {
  expect(keysOf(words).sort()).toEqual(keysOf(en).sort());
});

test("every text is used by the page", () => {
  const folder = join(import.meta.dirname, "../../src/prompt/page");
  const sources = globSync(["*.tsx", "ways/*.tsx"], { cwd: folder }).map((path) =>
    readFileSync(join(folder, path), "utf8"),
  );
  const unused = Object.keys(en).filter((key) => !sources.some((source) => source.includes(`words.${key}`)));
  expect(unused).toEqual([]);
});

test("every kind of factor has its name", () => {
  const kinds = Object.keys(FactorType).filter((name) => /^[A-Z_]+$/.test(name) && name !== "UNSPECIFIED");
  expect(Object.keys(en.factors).sort()).toEqual(kinds.map((name) => `FACTOR_TYPE_${name}`).sort());
});

test.each([
  [["de-AT", "en"], "de", "ltr"],
  [["", "pt-BR", "ar-EG"], "ar", "rtl"],
  [["tlh"], "en", "ltr"],
  [[], "en", "ltr"],
])("of %j the page speaks %s, from %s", (wanted, tag, direction) => {
  expect(languageOf(wanted)).toMatchObject({ tag, direction });
});

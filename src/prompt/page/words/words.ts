import { ar } from "./ar.ts";
import { de } from "./de.ts";
import { en, type Words } from "./en.ts";
import { es } from "./es.ts";
import { fr } from "./fr.ts";
import { ja } from "./ja.ts";

export type { Words } from "./en.ts";

/** The texts by language. */
const all: Readonly<Record<string, Words>> = { en, de, fr, es, ja, ar };

const RIGHT_TO_LEFT = ["ar"];

/** A language with its texts. */
export interface Language {
  readonly tag: string;
  readonly direction: "ltr" | "rtl";
  readonly words: Words;
}

/** Returns the first of the wanted languages (BCP 47) that there are texts in; English where there is none. */
export function languageOf(wanted: readonly string[]): Language {
  const tag = wanted.map((one) => one.split("-", 1)[0]?.toLowerCase() ?? "").find((one) => one in all) ?? "en";
  return { tag, direction: RIGHT_TO_LEFT.includes(tag) ? "rtl" : "ltr", words: all[tag] ?? en };
}

/** Returns when something may be tried again, in the words of a language: "in 2 minutes". */
export function inSeconds({ tag }: Language, seconds: number): string {
  const format = new Intl.RelativeTimeFormat(tag, { numeric: "always" });
  if (seconds < 90) return format.format(Math.ceil(seconds), "second");
  return seconds < 5400
    ? format.format(Math.ceil(seconds / 60), "minute")
    : format.format(Math.ceil(seconds / 3600), "hour");
}

/** Returns the members of a list in the words of a language: "a and b". */
export const listed = ({ tag }: Language, members: readonly string[]): string =>
  new Intl.ListFormat(tag).format(members);

import { createTurns } from "../../core/turns.ts";
import { readKeyUri } from "./key-uri.ts";
import { readMigration } from "./migration.ts";
import { readOathCsv } from "./oath-csv.ts";
import { readPskc } from "./pskc.ts";
import { type Read, unread } from "./read.ts";

/** Apps that one document may have: they are the cheapest to import. */
export const MOST_APPS = 250;

/** In bytes. */
const LONGEST_LINE = 8 * 1024;

/** How a document is read: at most so many entries and one more, by which it is seen to have too many. */
type Reader = (text: string, most: number, now: Date) => Promise<Read[]>;

/** Reads what stands behind a user id and a tab, line by line. */
const afterTab =
  (readLine: (userId: string, text: string, line: number) => Read | Read[]): Reader =>
  async (text, most) => {
    const found: Read[] = [];
    const turn = createTurns();
    for (const [n, whole] of text.split(/\r\n|\n|\r/).entries()) {
      await turn(whole.length + 1);
      if (whole.trim() === "") continue;
      const at = whole.indexOf("\t");
      const userId = whole.slice(0, Math.max(at, 0));
      const line = n + 1;
      if (whole.includes("\ufffd")) found.push(unread(line, "", "not UTF-8"));
      else if (Buffer.byteLength(whole) > LONGEST_LINE) found.push(unread(line, "", "longer than 8 KiB"));
      else if (at < 0) found.push(unread(line, "user_id", "no tab behind a user id"));
      else found.push(...[readLine(userId, whole.slice(at + 1).trim(), line)].flat());
      if (found.length > most) break;
    }
    return found;
  };

/** How documents of each form are read. */
export const readers = {
  OTPAUTH_URIS: afterTab(readKeyUri),
  OTPAUTH_MIGRATION: afterTab(readMigration),
  OATH_CSV: readOathCsv,
  PSKC: readPskc,
} as const satisfies Record<string, Reader>;

/**
 * The text of a document. Bytes that are not UTF-8 become U+FFFD, for which a reader refuses the line or part that has
 * it; a text in units of 16 bits would be all of that, and is undefined.
 */
export function textOf(content: Uint8Array): string | undefined {
  const [first, second] = content;
  const isMarked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  return isMarked || first === 0 || second === 0 ? undefined : new TextDecoder().decode(content);
}

/** Reads a document, with turns of the event loop for others in between. */
export async function readDocument(form: keyof typeof readers, content: Uint8Array, now: Date): Promise<Read[]> {
  const text = textOf(content);
  if (text === undefined) return [unread(1, "document", "not UTF-8")];
  const found = await readers[form](text, MOST_APPS, now);
  return found.length > 0 ? found : [unread(1, "document", "nothing in it")];
}

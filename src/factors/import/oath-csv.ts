import { Readable } from "node:stream";
import { parse } from "csv-parse";
import { inPieces } from "../../core/turns.ts";
import { type CsvColumn, columnsOf, isHeading, USUAL } from "./csv-columns.ts";
import { held, type Read, unread } from "./read.ts";
import { type Form, formsOf, readBase32, readSecret } from "./secret.ts";

/** A row of cells, or why it has none. */
interface Row {
  readonly line: number;
  readonly cells: readonly string[];
  readonly error?: string;
}

const LONGEST_ROW = 8 * 1024;

const ERRORS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: "a quotation mark is not closed: nothing behind it was read",
  CSV_MAX_RECORD_SIZE: "longer than 8 KiB, as where a quotation mark is not closed",
};

const SEPARATORS = [",", ";", "\t"];

/** By what cells are separated: commas, unless the first line has none. */
function delimiterOf(text: string): string {
  const [first = ""] = text
    .slice(0, LONGEST_ROW)
    .trimStart()
    .split(/[\r\n]/, 1);
  return SEPARATORS.find((one) => first.includes(one)) ?? ",";
}

/** A text without the first line by which spreadsheets say what separates cells, "sep=;": blank, so that lines keep their numbers. */
const withoutSeparatorLine = (text: string): string => text.replace(/^"?sep=(?:.)"?(?=[\r\n])/i, "");

/** The rows of a text, at most so many, with turns of the event loop between its pieces. */
async function rowsOf(text: string, most: number): Promise<Row[]> {
  const rows: Row[] = [];
  const parser = parse({
    ...{ delimiter: delimiterOf(text), record_delimiter: ["\r\n", "\n", "\r"], info: true },
    ...{ relax_column_count: true, skip_empty_lines: true, trim: true, max_record_size: LONGEST_ROW },
    skip_records_with_error: true,
    on_skip: (error) => {
      const code = error?.code ?? "";
      rows.push({
        line: Number(error?.lines ?? 0),
        cells: [],
        error: ERRORS[code] ?? "quotation marks do not enclose a field",
      });
      return undefined;
    },
  });
  const pieces = async function* () {
    for await (const piece of inPieces(text)) {
      if (rows.length > most) return;
      yield piece;
    }
  };
  for await (const found of Readable.from(pieces()).pipe(parser)) {
    const { record, info } = found as { record: string[]; info: { lines: number } };
    const breaks = record.reduce((sum, cell) => sum + cell.split("\n").length - 1, 0);
    rows.push({ line: info.lines - breaks, cells: record });
  }
  // Rows that cannot be read are told of at once, the others a little later.
  return rows.sort((a, b) => a.line - b.line);
}

/**
 * The form of secrets that can be read in both: that of all the others in the document which can be read in one only.
 * Undefined where that leaves it open.
 */
function formOf(secrets: readonly string[]): Form | undefined {
  const sure = secrets.map(formsOf).filter((forms) => forms.length === 1);
  const forms = new Set(sure.flat());
  return forms.size === 1 ? [...forms][0] : undefined;
}

const FORMS: Partial<Record<CsvColumn, Form>> = { secret_hex: "hex", secret_base32: "base32" };

/** A secret in the form that its column says or, where it says none, in the only one in which it can be read. */
function secretIn(column: CsvColumn, text: string, otherwise: Form | undefined): Uint8Array | string {
  const stated = FORMS[column];
  if (stated) return stated === "base32" ? readBase32(text) : readSecret(text, stated);
  const [form, other] = formsOf(text);
  if (!form) return /^[0-9a-fA-F\s:-]+$/.test(text) ? readSecret(text, "hex") : readBase32(text);
  if (!other) return readSecret(text, form);
  return otherwise
    ? readSecret(text, otherwise)
    : "can be hexadecimal and base32: call its column secret_hex or secret_base32";
}

/** What is wrong with a row as a whole, where its columns are not named. */
function misplaced(cells: readonly string[]): string | undefined {
  const [, second = "", third = "", ...rest] = cells;
  const expected = `columns are ${USUAL.join(", ")}, or as a first row names them`;
  const isSecret = (cell: string) => formsOf(cell).length > 0;
  if (/^[ht]otp$/i.test(third) && isSecret(second)) return `the user id is missing: ${expected}`;
  const isElsewhere = !isSecret(third) && [second, ...rest].some(isSecret);
  return isElsewhere || cells.length < 4 || cells.length > USUAL.length ? expected : undefined;
}

function readRow(
  { line, cells, error }: Row,
  columns: readonly CsvColumn[],
  isNamed: boolean,
  form: Form | undefined,
): Read {
  const of = (column: CsvColumn) => cells[columns.indexOf(column)] ?? "";
  if (error) return unread(line, "", error);
  if (isNamed && cells.length !== columns.length)
    return unread(line, "", `${cells.length} columns where the first row names ${columns.length}`);
  const wrong = isNamed ? undefined : misplaced(cells);
  if (wrong) return unread(line, "columns", wrong);
  const secret = columns.find((column) => column.startsWith("secret")) ?? "secret";
  return held({
    ...{ line, userId: of("user_id"), displayName: of("display_name") || of("serial") },
    type: isNamed && !columns.includes("type") ? "totp" : of("type"),
    secret: secretIn(secret, of(secret), form),
    ...{ algorithm: of("algorithm"), digits: of("digits"), period: of("period"), asksForHash: true },
  });
}

/**
 * Whether a first row names columns, by words that are not known: a row of values has the kind of the token in its place,
 * or a secret anywhere. Its columns may stand in any order, so that none of the rows behind it can be read.
 */
const isForeignHeading = (cells: readonly string[]): boolean =>
  cells.length >= 4 &&
  cells.every((cell) => formsOf(cell).length === 0 && !/\d/.test(cell)) &&
  !cells.some((cell) => /^([ht]otp)?$/i.test(cell));

/** Reads rows of separated cells, whose first may name the columns. Each row is judged by itself. */
export async function readOathCsv(text: string, most: number): Promise<Read[]> {
  const [first, ...rest] = await rowsOf(withoutSeparatorLine(text), most + 1);
  if (!first) return [];
  const isNamed = isHeading(first.cells) || isForeignHeading(first.cells);
  const columns = isNamed ? columnsOf(first.cells) : USUAL;
  if (typeof columns === "string") return [unread(first.line, "columns", columns)];
  const rows = isNamed ? rest : [first, ...rest];
  const second = rows.find(({ cells }) => isHeading(cells));
  if (second)
    return [unread(second.line, "columns", "are named, and rows stand above: put the names into the first row")];
  const at = columns.indexOf("secret");
  const form = formOf(rows.map(({ cells }) => cells[at] ?? ""));
  return rows.map((row) => readRow(row, columns, isNamed, form));
}

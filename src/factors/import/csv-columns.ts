/** What a column holds. */
export type CsvColumn =
  | "user_id"
  | "serial"
  | "display_name"
  | "secret"
  | "secret_hex"
  | "secret_base32"
  | "type"
  | "digits"
  | "period"
  | "algorithm"
  | "passed over";

/** The columns of a document whose first row does not name them. */
export const USUAL: readonly CsvColumn[] = ["user_id", "serial", "secret", "type", "digits", "period", "algorithm"];

/** How other systems call them, in lower case and without what is neither letter nor digit. */
const NAMES: Readonly<Record<CsvColumn, readonly string[]>> = {
  user_id: [
    "userid",
    "user",
    "username",
    "upn",
    "userprincipalname",
    "login",
    "loginname",
    "uid",
    "sub",
    "subject",
    "assignto",
  ],
  serial: ["serial", "serialnumber", "serialno", "tokenserial", "sn"],
  display_name: ["displayname", "description"],
  secret: ["secret", "secretkey", "seed", "key", "otpkey", "sharedsecret"],
  secret_hex: ["secrethex", "seedhex", "keyhex", "hexsecret", "hexseed", "hexkey"],
  secret_base32: ["secretbase32", "seedbase32", "keybase32", "base32secret", "base32seed", "base32key"],
  type: ["type", "tokentype", "otptype"],
  digits: ["digits", "otplen", "otplength", "codelength"],
  period: ["period", "timestep", "timeinterval", "timeintervalinseconds"],
  algorithm: ["algorithm", "hash", "hashlib", "hashalgorithm", "hashfunction"],
  "passed over": ["manufacturer", "model", "vendor"],
};

/** Columns of exports that hold other people's services: they tell a row of names from a row of values, no more. */
const FOREIGN: readonly string[] = ["otpauth", "logintotp", "loginusername", "password", "url", "folder"];

const byName = new Map(
  Object.entries(NAMES).flatMap(([column, names]) => names.map((name) => [name, column as CsvColumn] as const)),
);

const plain = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
const isName = (cell: string) => byName.has(plain(cell)) || FOREIGN.includes(plain(cell));

/** Whether a row names columns. One word may be a value: there are users who are called "user". */
export const isHeading = (cells: readonly string[]): boolean => cells.filter(isName).length > 1;

/** The columns that a row names; why it cannot be read, as a sentence. */
export function columnsOf(cells: readonly string[]): readonly CsvColumn[] | string {
  const unknown = cells.filter((cell) => !byName.has(plain(cell)));
  // What a column says that nobody understands may be what codes depend on.
  if (unknown.length > 0) {
    const shown = unknown.slice(0, 20).map((cell) => JSON.stringify(cell.slice(0, 40)));
    return `not understood: ${shown.join(", ")}; understood are ${Object.keys(NAMES).slice(0, -1).join(", ")}`;
  }
  const columns = cells.map((cell) => byName.get(plain(cell)) ?? "passed over");
  const twice = columns.find((column, n) => column !== "passed over" && columns.indexOf(column) !== n);
  if (twice) return `${twice} is there twice`;
  if (!columns.includes("user_id")) return "user_id is missing: whose factors they are";
  const secrets = columns.filter((column) => column.startsWith("secret"));
  return secrets.length === 1
    ? columns
    : `one of secret, secret_hex and secret_base32 is needed, and there are ${secrets.length}`;
}

// Markdown for the pages of the reference.
import { ScalarType } from "@bufbuild/protobuf";
import { rulesOf } from "../openapi/rules.mjs";

/** Text in a cell of a table: on one line, and nothing in it ends the cell or begins HTML. */
const cell = (text) => text.replaceAll("\n", " ").replaceAll("|", "\\|").replaceAll("<", "&lt;");

export const head = (title, reader) => `# ${title}\n\n${reader}\n`;

export const table = (names, rows) =>
  `\n| ${names.join(" | ")} |\n|${names.map(() => "---|").join("")}\n${rows.map((row) => `| ${row.map(cell).join(" | ")} |`).join("\n")}\n`;

/** The page of a file of the contract. */
export const pageOf = ({ name }) => `messages/${name.split("/").at(-1)}.md`;

/** A link to a message or an enum; `folder` is where the page is: "" or "messages/". */
export function linkTo(desc, folder = "") {
  const to = pageOf(desc.file);
  return `[${desc.name}](${folder === "" ? to : to.slice(folder.length)}#${desc.name.toLowerCase()})`;
}

function one(kind, { scalar, message, enum: enumeration }, folder) {
  if (kind === "scalar") return ScalarType[scalar].toLowerCase();
  const desc = kind === "enum" ? enumeration : message;
  return desc.typeName.startsWith("mfa.v1.") ? linkTo(desc, folder) : desc.name;
}

/** The type of a field in a word, which leads to what it is. */
export function namedType(field, folder) {
  if (field.fieldKind === "list") return `list of ${one(field.listKind, field, folder)}`;
  if (field.fieldKind === "map") return `map to ${one(field.mapKind, field, folder)}`;
  return one(field.fieldKind, field, folder);
}

const words = {
  minLength: (n) => `at least ${n} characters`,
  maxLength: (n) => `at most ${n} characters`,
  minItems: (n) => `at least ${n}`,
  maxItems: (n) => `at most ${n}`,
  maxProperties: (n) => `at most ${n}`,
  minimum: (n) => `from ${n}`,
  maximum: (n) => `up to ${n}`,
  format: (name) => `a ${name}`,
};

/** The rules of a field in words; patterns are in the description in OpenAPI. */
export function constraintsOf(field) {
  const { own, required } = rulesOf(field);
  const said = Object.entries(own).flatMap(([name, value]) => (name in words ? [words[name](value)] : []));
  const all = [...(required ? ["required"] : []), ...said];
  return all.length > 0 ? `(${all.join(", ")})` : "";
}

// `npm run generate`, its last step: writes gen/reference/settings.md, every setting of the settings file by its path, as
// the schema in src/config/ has it: comments and defaults are read from its source.
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { DEFAULT_LIMITS } from "../../src/rpc/limits/listener-limits.ts";
import { head, table } from "./text.mjs";

const root = join(import.meta.dirname, "../..");
const sources = globSync("src/config/*.ts", { cwd: root }).map((path) =>
  ts.createSourceFile(path, readFileSync(join(root, path), "utf8"), ts.ScriptTarget.Latest, true),
);

/** The schemas that others name, by their name. */
const named = new Map();
for (const source of sources)
  for (const statement of source.statements)
    if (ts.isVariableStatement(statement))
      for (const { name, initializer } of statement.declarationList.declarations)
        if (initializer && ts.isIdentifier(name)) named.set(name.text, initializer);

const calls = (node, name) => ts.isCallExpression(node) && node.expression.getText() === `v.${name}`;

/** `"kind": "smtp"` of an object in a variant. */
function kindOf(object) {
  const kind = object.properties.find((property) => property.name?.getText() === "kind")?.initializer;
  return kind && calls(kind, "literal") && ts.isStringLiteral(kind.arguments[0])
    ? kind.arguments[0].getText()
    : undefined;
}

/** The objects inside of a schema, each with its kind: the schema's own, a list's items, those of a variant. */
function objectsIn(node) {
  if (ts.isIdentifier(node)) return named.has(node.text) ? objectsIn(named.get(node.text)) : [];
  if (ts.isObjectLiteralExpression(node)) return [{ object: node, kind: kindOf(node) }];
  if (calls(node, "strictObject")) return objectsIn(node.arguments[0]);
  if (ts.isArrayLiteralExpression(node)) return node.elements.flatMap(objectsIn);
  if (!ts.isCallExpression(node)) return [];
  const made = ts.isIdentifier(node.expression) ? named.get(node.expression.text) : undefined;
  if (made && ts.isArrowFunction(made) && !ts.isBlock(made.body)) {
    const kind = node.arguments.find(ts.isStringLiteral)?.getText();
    return objectsIn(made.body).map((found) => ({ ...found, kind: found.kind ?? kind }));
  }
  // What follows a schema in `pipe` and `optional` is no object of settings: a check, or what stands for a missing one.
  const isOne = ["optional", "pipe", "array"].some((name) => calls(node, name));
  return node.arguments.slice(0, isOne ? 1 : undefined).flatMap(objectsIn);
}

/** What a setting is when it is left out, where the source says it in a literal. */
function defaultOf(node) {
  const isCount = ts.isCallExpression(node) && ["count", "rate", "port"].includes(node.expression.getText());
  const given = calls(node, "optional") ? node.arguments[1] : isCount ? node.arguments[0] : undefined;
  if (!given) return "";
  const [, limit] = /^DEFAULT_LIMITS\.(\w+)$/.exec(given.getText()) ?? [];
  if (limit) return `\`${DEFAULT_LIMITS[limit]}\``;
  return ts.isStringLiteral(given) || ts.isNumericLiteral(given) || /^(true|false)$/.test(given.getText())
    ? `\`${given.getText()}\``
    : "";
}

const commentOf = (node) =>
  ts
    .getJSDocCommentsAndTags(node)
    .map(({ comment }) => ts.getTextOfJSDocComment(comment) ?? "")
    .join(" ")
    .trim();

/** Whether a setting is a list of the objects in it. */
function isList(node) {
  const text = ts.isIdentifier(node) ? (named.get(node.text)?.getText() ?? "") : node.getText();
  return /\bv\.array\(/.test(text.split("strictObject(")[0]);
}

function rowsOf(object, prefix = "") {
  return object.properties.flatMap((property) => {
    if (ts.isSpreadAssignment(property))
      return objectsIn(property.expression).flatMap((inner) => rowsOf(inner.object, prefix));
    const name = property.name.getText();
    if (name === "kind" && prefix) return [];
    const schema = ts.isShorthandPropertyAssignment(property) ? property.name : property.initializer;
    const path = `${prefix}${name}`;
    const inner = objectsIn(schema).flatMap((held) =>
      rowsOf(held.object, `${path}${isList(schema) ? `[${held.kind ?? ""}]` : ""}.`),
    );
    const shared = ts.isIdentifier(schema) ? named.get(schema.text)?.parent.parent.parent : undefined;
    return [[`\`${path}\``, commentOf(property) || (shared ? commentOf(shared) : ""), defaultOf(schema)], ...inner];
  });
}

const [{ object: settings }] = objectsIn(named.get("settingsSchema"));
const unique = [...new Map(rowsOf(settings).map((row) => [row[0], row])).values()];
mkdirSync(join(root, "gen/reference"), { recursive: true });
writeFileSync(
  join(root, "gen/reference/settings.md"),
  `${head("Settings", "For operators. Generated from the schema of the settings file by `npm run generate`; [configuration](../../docs/operate/configuration.md) tells them with their variables.")}\n\`[]\` stands for an entry of a list, \`["smtp"]\` for one of that \`kind\`.\n${table(["Setting", "Meaning", "Default"], unique)}`,
);

import { globSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import ts from "typescript";

/** One import statement, or an `export … from`. */
export interface Import {
  /** A path below src/ for our own files, the specifier as written for everything else. */
  readonly target: string;
  readonly ours: boolean;
  /** Erased before the file runs. */
  readonly typeOnly: boolean;
}

/** A source file as the rules of architecture see it. */
export interface Source {
  /** Below src/. */
  readonly path: string;
  readonly lines: number;
  /** Texts of string literals, keys of object literals, and members of `FactorType`, in order. */
  readonly names: readonly string[];
  /** The text without comments and strings. */
  readonly code: string;
  readonly imports: readonly Import[];
  /** Names that the file declares and exports; `default` for one without a name. */
  readonly exported: readonly string[];
  /** Exported declarations that no doc comment explains. */
  readonly uncommented: readonly string[];
}

function isTypeOnly(node: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(node)) return node.isTypeOnly;
  const clause = node.importClause;
  if (!clause) return false;
  if (clause.isTypeOnly) return true;
  const bindings = clause.namedBindings;
  return !clause.name && !!bindings && ts.isNamedImports(bindings) && bindings.elements.every((e) => e.isTypeOnly);
}

function importsOf(file: ts.SourceFile): Import[] {
  const imports: Import[] = [];
  const add = (specifier: string, typeOnly: boolean) => {
    const ours = specifier.startsWith(".");
    const target = ours ? posix.join(posix.dirname(file.fileName), specifier) : specifier;
    imports.push({ target, ours: ours && !target.startsWith("../gen/"), typeOnly });
  };
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier) {
      if (ts.isStringLiteral(node.moduleSpecifier)) add(node.moduleSpecifier.text, isTypeOnly(node));
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      if (argument && ts.isStringLiteralLike(argument)) add(argument.text, false);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return imports;
}

/** The statements of a file that export what they declare, with the names. */
function exportsOf(file: ts.SourceFile) {
  return file.statements.flatMap((statement) => {
    const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
    const exported = modifiers?.some((m) => m.kind === ts.SyntaxKind.ExportKeyword) || ts.isExportAssignment(statement);
    if (!exported) return [];
    const declarations = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [statement];
    const names = declarations.map((d) => ("name" in d && d.name ? (d.name as ts.Node).getText(file) : "default"));
    return [{ statement, names }];
  });
}

function namesIn(file: ts.SourceFile): string[] {
  const names: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) names.push(node.text);
    else if (ts.isPropertyAssignment(node) && ts.isIdentifier(node.name)) names.push(node.name.text);
    else if (ts.isPropertyAccessExpression(node) && node.expression.getText(file) === "FactorType") {
      names.push(node.name.text);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return names;
}

function uncommentedIn(file: ts.SourceFile): string[] {
  const found: string[] = [];
  const seen = new Set<string>();
  for (const { statement, names } of exportsOf(file)) {
    const name = names.join();
    // Of an overloaded function the first declaration speaks for all.
    if (!seen.has(name) && !ts.getJSDocCommentsAndTags(statement).length) found.push(name);
    seen.add(name);
  }
  return found;
}

/** The tokens with their spacing, comments and the insides of strings left out. */
function codeOf(node: ts.Node, file: ts.SourceFile): string {
  if (ts.isJSDoc(node)) return "";
  const children = node.getChildren(file);
  if (children.length) return children.map((child) => codeOf(child, file)).join("");
  const space = /^\s*$/.exec(file.text.slice(node.pos, node.getStart(file)))?.[0] ?? " ";
  return space + (ts.isStringLiteralLike(node) || ts.isTemplateMiddleOrTemplateTail(node) ? '""' : node.getText(file));
}

/** Reads one file's text into what the rules look at. */
export function parseSource(path: string, text: string): Source {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  return {
    path,
    lines: text.split("\n").length - 1,
    names: namesIn(file),
    code: codeOf(file, file),
    imports: importsOf(file),
    exported: [...new Set(exportsOf(file).flatMap(({ names }) => names))],
    uncommented: uncommentedIn(file),
  };
}

/** Every TypeScript file of src/. */
export function readSources(): Source[] {
  const root = join(import.meta.dirname, "../../../src");
  return globSync("**/*.ts", { cwd: root })
    .map((path) => path.replaceAll("\\", "/"))
    .sort()
    .map((path) => parseSource(path, readFileSync(join(root, path), "utf8")));
}

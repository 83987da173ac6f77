import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import ts from "typescript";

/** What a deletion leaves behind is not counted as a mutant that does not compile: unused names. */
const UNUSED = new Set([6133, 6138, 6192, 6196, 6198, 6199]);

/** Keeps the program of a tree in memory, so that a mutant costs the check of one file. */
export function createCompiler(tree) {
  const config = ts.getParsedCommandLineOfConfigFile(
    ts.findConfigFile(tree, ts.sys.fileExists, "tsconfig.json"),
    {},
    { ...ts.sys, onUnRecoverableConfigFileDiagnostic: () => undefined },
  );
  const versions = new Map();
  const changed = (path) => versions.set(path, (versions.get(path) ?? 0) + 1);
  const host = {
    ...{ getCompilationSettings: () => config.options, getScriptFileNames: () => config.fileNames },
    getScriptVersion: (path) => String(versions.get(path) ?? 0),
    getScriptSnapshot: (path) =>
      ts.sys.fileExists(path) ? ts.ScriptSnapshot.fromString(readFileSync(path, "utf8")) : undefined,
    getCurrentDirectory: () => dirname(ts.findConfigFile(tree, ts.sys.fileExists, "tsconfig.json")),
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    ...{ fileExists: ts.sys.fileExists, readFile: ts.sys.readFile, readDirectory: ts.sys.readDirectory },
    ...{ directoryExists: ts.sys.directoryExists, getDirectories: ts.sys.getDirectories, realpath: ts.sys.realpath },
  };
  const service = ts.createLanguageService(host);
  return {
    changed,
    /** Returns what the compiler says of a file that has just been written. */
    faultsOf(path) {
      changed(path);
      const found = [...service.getSyntacticDiagnostics(path), ...service.getSemanticDiagnostics(path)];
      return found.filter(({ code, category }) => category === ts.DiagnosticCategory.Error && !UNUSED.has(code));
    },
  };
}

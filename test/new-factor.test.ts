import { readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { beforeAll, describe, expect, it, vi } from "vitest";

const root = join(import.meta.dirname, "..");
const { config } = ts.readConfigFile(join(root, "tsconfig.json"), (path) => readFileSync(path, "utf8"));
const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root);

/** A change of a file: what replaces a text that is in it once. */
type Change = readonly [path: string, text: string, replacement: string];

let sources: ts.Program | undefined;

/** The errors of the sources with changes of them, "file: message" with the details of a message after it. */
function errorsWith(changes: readonly Change[], added: Readonly<Record<string, string>> = {}): string[] {
  const overlay = new Map(Object.entries(added).map(([path, text]) => [join(root, path), text]));
  for (const [path, text, replacement] of changes) {
    const file = join(root, path);
    const found = overlay.get(file) ?? readFileSync(file, "utf8");
    expect(found.split(text), `"${text}" is once in ${path}`).toHaveLength(2);
    overlay.set(file, found.replace(text, replacement));
  }
  const host = ts.createCompilerHost(options, true);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => overlay.has(path) || fileExists(path);
  host.readFile = (path) => overlay.get(path) ?? readFile(path);
  host.getSourceFile = (path, language, ...more) => {
    const text = overlay.get(path);
    if (text !== undefined) return ts.createSourceFile(path, text, language, true);
    return sources?.getSourceFile(path) ?? getSourceFile(path, language, ...more);
  };
  const program = ts.createProgram({ rootNames: [join(root, "src/main.ts"), ...overlay.keys()], options, host });
  sources ??= program;
  return ts
    .getPreEmitDiagnostics(program)
    .map(
      ({ file, messageText }) =>
        `${file?.fileName.slice(root.length + 1)}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
    );
}

const HOTP: readonly Change[] = [
  ["gen/mfa/v1/factor_pb.d.ts", "  TEMPORARY_PASS = 7,", "  TEMPORARY_PASS = 7,\n  HOTP = 8,"],
  [
    "gen/mfa/v1/challenge_pb.d.ts",
    `    case: "temporaryPass";\n  }`,
    `    case: "temporaryPass";\n  } | { value: string; case: "hotpCode" }`,
  ],
];

// Each compiles the sources anew.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

describe("a factor that is not finished", () => {
  beforeAll(() => expect(errorsWith([])).toEqual([]));

  it("does not compile as a value of the contract alone: the registry and the provers are named, and nothing else", () => {
    const errors = errorsWith(HOTP);
    expect(errors).toContainEqual(expect.stringMatching(/^src\/factors\/index\.ts: .*'HOTP' is missing/s));
    expect(errors).toContainEqual(expect.stringMatching(/^src\/.*\.ts: .*'hotpCode' is missing/s));
    expect(errors.filter((error) => !/'HOTP'|'hotpCode'/.test(error))).toEqual([]);
  });

  it("does not compile without its word, its methods, or anything else that is asked of every kind", () => {
    const path = "src/factors/hotp/hotp.factor.ts";
    const bare = `import type { Factor } from "../factor.ts";
      /** A fixture. */
      export const hotpFactor: Factor<"HOTP"> = { type: "HOTP", counts: true, restricted: false };`;
    const [error = "", ...others] = errorsWith(HOTP, { [path]: bare }).filter((one) => one.startsWith(path));
    expect(others).toEqual([]);
    const [, named = "", more = "0"] = /properties from type '[^']*': (.*?), and (\d+) more/s.exec(error) ?? [];
    expect(named).toMatch(/^word, receiptKind, amr, consumed/);
    // channels, isOn, isEnrollable, isEnrolled, list, listHoldings, forget, forgetOne, recovers and what it is worth
    expect(Number(more)).toBeGreaterThan(8);
  });

  it("does not compile in the place of another in the registry", () => {
    const errors = errorsWith([["src/factors/index.ts", "  TOTP: totpFactor,", "  TOTP: pushFactor,"]]);
    expect(errors).toContainEqual(expect.stringMatching(/^src\/factors\/index\.ts: .*"PUSH".*"TOTP"/s));
  });
});

describe("a page of a service", () => {
  const page = "src/compose/mfa-service.ts";
  const line = "  verifyTotpCode: h.totp.user.verifyTotpCode,\n";
  const pageErrors = (replacement: string) =>
    errorsWith([[page, line, replacement]]).filter((error) => error.startsWith(page));

  it("does not compile without an RPC of the contract", () =>
    expect(pageErrors("")).toEqual([expect.stringContaining("Property 'verifyTotpCode' is missing")]));

  it("does not compile with a handler that answers an RPC twice", () =>
    expect(pageErrors(line + line)).toEqual([expect.stringContaining("multiple properties with the same name")]));

  it("does not compile with an RPC that is misspelt, or answered by the handler of another", () => {
    expect(pageErrors(`${line}  verifyTotpCodes: h.totp.user.verifyTotpCode,\n`)).toEqual([
      expect.stringContaining("'verifyTotpCodes' does not exist"),
    ]);
    expect(pageErrors(line.replace("user.verifyTotpCode", "user.listTotpDevices"))).toHaveLength(1);
  });
});

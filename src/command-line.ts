import { parseArgs } from "node:util";
import { VARIABLES } from "./config/variables.ts";
import { nearest } from "./core/nearest.ts";
import { versionOf } from "./version.ts";

const OPTIONS = {
  dev: "development: loopback only, generated keys, test tokens; without it, production",
  new: "begin an empty database where this installation has had one",
  help: "print this",
  version: "print the version",
} as const;

const COMMANDS = {
  "check-token": "reads a token from standard input and says of each check whether it holds",
} as const;

/** What the command line asks for. */
export type CommandLine =
  | { readonly does: "serve" }
  | { readonly does: "command"; readonly name: keyof typeof COMMANDS }
  | { readonly does: "print"; readonly text: string }
  | { readonly does: "refuse"; readonly text: string };

const table = (rows: Readonly<Record<string, string>>) => {
  const width = Math.max(...Object.keys(rows).map((name) => name.length));
  return Object.entries(rows).map(([name, text]) => `  ${name.padEnd(width)}  ${text}\n`);
};

const usage = () =>
  [
    "Serves multi-factor authentication over gRPC, Connect and JSON.\n\n",
    "  mfa-service [options]\n  mfa-service <command>\n\nOptions:\n",
    ...table(Object.fromEntries(Object.entries(OPTIONS).map(([name, text]) => [`--${name}`, text]))),
    "\nCommands:\n",
    ...table(COMMANDS),
    "\nEnvironment:\n",
    ...table(VARIABLES),
    "\nExit codes: 0 ended when asked to, 1 failed, 2 unknown option, 78 the settings cannot be used.\n",
    "Operate a running service with mfactl (docs/operate/mfactl.md).\n",
  ].join("");

const isCommand = (word: string): word is keyof typeof COMMANDS => Object.hasOwn(COMMANDS, word);

function refusal(word: string): CommandLine {
  const isFlag = word.startsWith("-");
  const known = isFlag ? Object.keys(OPTIONS).map((name) => `--${name}`) : Object.keys(COMMANDS);
  const meant = nearest(word, known);
  const hint = meant ? `did you mean ${meant}?` : "`mfa-service --help` lists what there is.";
  return { does: "refuse", text: `unknown ${isFlag ? "option" : "command"} ${word}: ${hint}\n` };
}

/** Reads the command line; what it does not know is refused, with the nearest name. */
export function readCommandLine(argv: readonly string[]): CommandLine {
  const { tokens } = parseArgs({ args: [...argv], strict: false, tokens: true, allowPositionals: true });
  const [first] = tokens;
  if (first?.kind === "positional" && isCommand(first.value)) return { does: "command", name: first.value };
  for (const token of tokens) {
    if (token.kind === "positional") return refusal(token.value);
    if (token.kind !== "option") continue;
    if (token.name === "help" || token.rawName === "-h") return { does: "print", text: usage() };
    if (token.name === "version") return { does: "print", text: `mfa-service ${versionOf()}\n` };
    if (!Object.hasOwn(OPTIONS, token.name)) return refusal(token.rawName);
    if (token.value !== undefined) return { does: "refuse", text: `${token.rawName} takes no value\n` };
  }
  return { does: "serve" };
}

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { readCommandLine } from "../../src/command-line.ts";

test.each([
  ["a misspelt option", ["--devv"], "unknown option --devv: did you mean --dev?\n"],
  ["an option that resembles none", ["--port"], "unknown option --port: `mfa-service --help` lists what there is.\n"],
  ["a misspelt command", ["chek-token"], "unknown command chek-token: did you mean check-token?\n"],
  [
    "a word behind the options",
    ["--dev", "start"],
    "unknown command start: `mfa-service --help` lists what there is.\n",
  ],
  ["a value where none is taken", ["--dev=yes"], "--dev takes no value\n"],
])("%s is refused before anything starts", (_, argv, text) => {
  expect(readCommandLine(argv)).toEqual({ does: "refuse", text });
});

test("--version answers the version of the package, and --help every option, command and variable", () => {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  expect(readCommandLine(["--version"])).toEqual({ does: "print", text: `mfa-service ${version}\n` });
  const help = readCommandLine(["--dev", "--help"]);
  expect(help).toEqual(readCommandLine(["-h"]));
  for (const word of ["--dev", "--new", "check-token", "MFA_CONFIG", "MFA_ORIGINS", "78"]) {
    expect(JSON.stringify(help)).toContain(word);
  }
});

test("without a mistake it serves, or does the command that is named first", () => {
  expect(readCommandLine([])).toEqual({ does: "serve" });
  expect(readCommandLine(["--dev", "--new"])).toEqual({ does: "serve" });
  expect(readCommandLine(["check-token", "--dev"])).toEqual({ does: "command", name: "check-token" });
});

// `npm run mutants`: how much the tests notice. Each mutant of test/mutants/mutants.json is one small fault; the runner
// writes it into a copy of the sources, compiles it, and runs the tests that cover its place until one fails. Verdicts
// are kept in test/mutants/verdicts.json, so that a run that was interrupted goes on where it stopped.
//
//   npm run mutants                    those without a verdict, or whose place has changed since
//   npm run mutants -- 54 313          these
//   npm run mutants -- --survivors     those that survived or ran out of time
//   npm run mutants -- --part=1/2      every second of them: the other half may run beside it
//   npm run mutants -- --report        the table of verdicts, and nothing is run
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createVitest } from "vitest/node";
import { createCompiler } from "../test/mutants/compiler.mjs";
import { covering } from "../test/mutants/covering.mjs";
import { report } from "../test/mutants/report.mjs";

const root = join(import.meta.dirname, "..");
const folder = join(root, "test", "mutants");
const verdictsFile = join(folder, "verdicts.json");
let lastRun = [];

/** Runs files in the order that they are named in. */
class AsGiven {
  shard = (files) => files;
  sort = (files) => files;
}

/** How long a test may take: long, so that a busy machine is not taken for a mutant that hangs. */
const TIMEOUT_MS = 120_000;
const say = (line) => process.stdout.write(`${line}\n`);

const mutants = JSON.parse(readFileSync(join(folder, "mutants.json"), "utf8"));
const readVerdicts = () => JSON.parse(readFileSync(verdictsFile, "utf8"));
const verdicts = readVerdicts();

/** Identifies a mutant and its place: a verdict holds for the text that was mutated. */
const digestOf = ({ file, from, to }) =>
  createHash("sha256")
    .update(JSON.stringify([file, from, to]))
    .digest("hex")
    .slice(0, 12);

const commit = execFileSync("git", ["rev-parse", "--short=9", "HEAD"], { cwd: root, encoding: "utf8" }).trim();

function keep(mutant, verdict) {
  // Another part of the run may have written meanwhile.
  Object.assign(verdicts, readVerdicts());
  verdicts[mutant.id] = { digest: digestOf(mutant), commit, ...verdict };
  const sorted = Object.entries(verdicts).sort(([a], [b]) => Number(a) - Number(b));
  const lines = sorted.map(([id, found]) => `  "${id}": ${JSON.stringify(found)}`);
  writeFileSync(`${verdictsFile}.${process.pid}`, `{\n${lines.join(",\n")}\n}\n`);
  renameSync(`${verdictsFile}.${process.pid}`, verdictsFile);
}

/** Copies what git knows of the sources, as they are now, beside the packages of this checkout. */
function copyTree() {
  const tree = mkdtempSync(join(tmpdir(), "mfa-mutants-"));
  process.on("exit", () => rmSync(tree, { recursive: true, force: true }));
  const files = execFileSync("git", ["ls-files", "-z", "-co", "--exclude-standard"], { cwd: root });
  const archive = execFileSync("tar", ["-c", "--null", "-T", "-"], { cwd: root, input: files, maxBuffer: 1 << 30 });
  execFileSync("tar", ["-x"], { cwd: tree, input: archive });
  for (const name of ["node_modules", ".proto", "dist"]) symlinkSync(join(root, name), join(tree, name));
  return tree;
}

/** Whether the most general tests are asked, too: for those that survive the likeliest. */
const isThorough = process.argv.includes("--survivors");

/** Chooses by the arguments which mutants are run. */
function chosen(args) {
  const ids = args.filter((word) => /^\d+$/.test(word)).map(Number);
  if (ids.length > 0) return mutants.filter(({ id }) => ids.includes(id));
  const isLeft = (mutant) => verdicts[mutant.id]?.digest !== digestOf(mutant);
  const survived = ({ id }) => ["survived", "timeout"].includes(verdicts[id]?.verdict);
  const [part, parts] = /^--part=(\d+)\/(\d+)$/
    .exec(args.find((word) => word.startsWith("--part=")) ?? "--part=1/1")
    .slice(1)
    .map(Number);
  return mutants
    .filter(args.includes("--survivors") ? survived : isLeft)
    .filter((_, index) => index % parts === part - 1);
}

const escaped = (text) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** Returns the pattern of the names that are run: of one test, or of all; PostgreSQL's half only where it is asked. */
const patternOf = ({ engines }, name = "") =>
  `${engines === "both" ? "" : "^(?!.*on postgres)"}${name && `.*${name.split(" > ").map(escaped).join("[ >]+")}`}`;

/** Runs test files in one process, one after the other, and returns the modules of the run. */
async function modulesOf(vitest, files, pattern) {
  vitest.setGlobalTestNamePattern(pattern);
  const specifications = await vitest.getRelevantTestSpecifications(files);
  const placeOf = ({ moduleId }) => files.findIndex((file) => moduleId.endsWith(file));
  await vitest.runTestSpecifications(specifications.toSorted((a, b) => placeOf(a) - placeOf(b)));
  // Of the run that has just ended: the state of vitest holds what earlier runs left, too.
  return lastRun;
}

/** Returns the test that failed first; undefined where none did. */
function failureAmong(modules) {
  for (const module of modules) {
    const file = module.relativeModuleId;
    for (const test of module.children.allTests("failed")) {
      const isLate =
        test.result().errors?.every(({ message }) => /^(Test|Hook) timed out/.test(message ?? "")) ?? false;
      return { file, name: test.fullName, isLate };
    }
    if (module.state() === "failed") return { file, name: "", isLate: false };
  }
  return undefined;
}

/**
 * Runs test files until a test fails, and returns it; undefined where none did. The end of the run before, at its first
 * failure, may reach the process late and have it skip tests of this one: a file of which no test passed is run again.
 */
async function failureIn(vitest, files, pattern) {
  const modules = await modulesOf(vitest, files, pattern);
  const skipped = modules.filter((module) => module.children.allTests("passed").next().done);
  const found = failureAmong(modules);
  if (found || skipped.length === 0) return found;
  const again = skipped.map(({ relativeModuleId }) => relativeModuleId);
  return failureAmong(await modulesOf(vitest, again, pattern));
}

/** Returns the tests that failed on the mutant before, with their files: they are asked first, and alone. */
const likeliest = (mutant) =>
  [verdicts[mutant.id]?.by, mutant.hint]
    .map((text) => /^(?:test\/)?(?<file>[\w-]+\/[\w-]+)(?:\.test\.ts)?(?:: (?<name>.+))?$/.exec(text ?? "")?.groups)
    .filter((found) => found && existsSync(join(root, "test", `${found.file}.test.ts`)))
    .map(({ file, name }) => [`test/${file}.test.ts`, patternOf(mutant, name)]);

/** Asks the tests that failed before, then all that cover the place, until one fails twice: once may be chance. */
async function firstFailure(vitest, mutant) {
  for (const [file, pattern] of likeliest(mutant)) {
    const found = await failureIn(vitest, [file], pattern);
    if (found) return found;
  }
  for (
    let files = covering(mutant, { withGeneral: isThorough }), found;
    files.length > 0;
    files = files.filter((file) => file !== found.file)
  ) {
    found = await failureIn(vitest, files, patternOf(mutant));
    if (!found || found.isLate) return found;
    const again = await failureIn(vitest, [found.file], patternOf(mutant, found.name));
    if (again ?? (await failureIn(vitest, [found.file], patternOf(mutant)))) return again ?? found;
  }
  return undefined;
}

/** Ends the processes of tests: they keep the modules that they have loaded, and with them the mutant before. */
async function forgetProcesses(vitest) {
  await vitest.pool?.close?.();
  vitest.pool = undefined;
}

async function judge(mutant, { tree, vitest, compiler }) {
  const path = join(tree, mutant.file);
  const original = readFileSync(join(root, mutant.file), "utf8");
  if (!original.includes(mutant.from)) return { verdict: "stale" };
  writeFileSync(
    path,
    original.replace(mutant.from, () => mutant.to),
  );
  try {
    const faults = compiler.faultsOf(path);
    if (faults.length > 0) return { verdict: "does not compile" };
    vitest.invalidateFile(path);
    await forgetProcesses(vitest);
    const failure = await firstFailure(vitest, mutant);
    if (!failure) return { verdict: "survived" };
    // A test that ran out of time says that the mutant hangs, or that the machine was busy.
    return { verdict: failure.isLate ? "timeout" : "killed", by: `${failure.file}: ${failure.name || "does not run"}` };
  } finally {
    writeFileSync(path, original);
    vitest.invalidateFile(path);
    compiler.changed(path);
  }
}

async function run(args) {
  const list = chosen(args);
  if (list.length === 0) return;
  const tree = copyTree();
  // PostgreSQL's half of a test repeats SQLite's, except where the place itself knows the engine.
  const options = {
    ...{ root: tree, watch: false, bail: 1, passWithNoTests: true },
    ...{ testTimeout: TIMEOUT_MS, hookTimeout: TIMEOUT_MS },
    reporters: [{ onTestRunEnd: (modules) => (lastRun = modules) }],
    // One process for all files of a run: the sources are loaded once for each mutant.
    ...{ isolate: false, fileParallelism: false, sequence: { sequencer: AsGiven } },
  };
  const vitest = await createVitest("test", options);
  await vitest.globTestSpecifications();
  const compiler = createCompiler(tree);
  for (const [index, mutant] of list.entries()) {
    const start = performance.now();
    const verdict = await judge(mutant, { tree, vitest, compiler });
    const seconds = Math.round((performance.now() - start) / 100) / 10;
    keep(mutant, { ...verdict, seconds });
    say(`${index + 1}/${list.length} ${mutant.id} ${mutant.file} (${mutant.what}): ${verdict.verdict} ${seconds} s`);
  }
  await vitest.close();
}

const args = process.argv.slice(2);
if (!args.includes("--report")) await run(args);
for (const line of report(mutants, verdicts)) say(line);
process.exit(0);

// The client for Java, compiled by the JDK of this machine into an empty folder, and used by its README alone.
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import { root, run } from "./process.ts";

const [engine] = engines;
if (!engine) throw new Error("no engine");
const found = await run("javac", ["-version"]).catch(() => ({ code: -1, stdout: "", stderr: "" }));
const isHere = found.code === 0 && Number(/javac (\d+)/.exec(found.stdout + found.stderr)?.[1] ?? 0) >= 17;
// Not a skip: the absence is what was looked for and found, and the log says what was not tried.
if (!isHere)
  process.stderr.write(
    "\n*** THE CLIENT FOR JAVA WAS NOT TRIED. On Debian: apt-get install openjdk-17-jdk-headless ***\n\n",
  );
const named = (name: string) => (isHere ? name : `NOT EXERCISED, no JDK 17: ${name}`);

let folder: string;
const compile = async (files: readonly string[]) => {
  const done = await run("javac", ["-Xlint:all", "-Werror", "-cp", folder, "-d", folder, ...files], {
    limitMs: 60_000,
  });
  expect(done.code, done.stderr).toBe(0);
};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mfa-java-"));
  if (!isHere) return;
  const sources = join(root, "packages/java/src/mfa/client");
  await compile((await readdir(sources)).map((name) => join(sources, name)));
}, 90_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

test(named("its verifier judges the vectors of assertions as ours does"), async () => {
  if (!isHere) return;
  await compile([join(root, "test/interop/Judge.java")]);
  const path = join(root, "test/vectors/assertions.json");
  const { stdout, stderr } = await run("java", ["-cp", folder, "mfa.client.Judge", path]);
  const { vectors } = JSON.parse(readFileSync(path, "utf8"));
  expect(JSON.parse(stdout || "null"), stderr).toEqual({ run: vectors.length, wrong: [] });
});

test(named("the log-in of its README works as it stands, and a wrong code is refused by its reason"), {
  timeout: 90_000,
}, async () => {
  if (!isHere) return;
  const readme = readFileSync(join(root, "packages/java/README.md"), "utf8");
  const [, lines = ""] = /^```java\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  const service = await serviceForTest(engine, { now: new Date(Date.now() - 3600_000) });
  const app = await enrollApp(service, "ann");
  service.clock.now = new Date();
  const ported = lines.replace("11008", String(service.internalPort)).replace("11006", String(service.gatewayPort));
  writeFileSync(join(folder, "LogIn.java"), ported);
  await compile([join(folder, "LogIn.java")]);
  const env = { SERVICE_TOKEN: await service.backend("mfa.challenge mfa.verify") };
  const logIn = (code: string) => run("java", ["-cp", folder, "LogIn"], { env, input: `${code}\n` });
  const done = await logIn(await app.code());
  expect(done.stdout, done.stderr).toMatch(/logged in: aal2 \[otp, mfa\]\n$/);
  const again = await logIn(await app.code());
  expect(again.stderr).toContain("MfaException: the code was not accepted");
});

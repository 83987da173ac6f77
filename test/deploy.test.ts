import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { engines } from "./support/engine/engines.ts";
import { readSources } from "./support/report/sources.ts";
import { serviceForTest } from "./support/worlds/service.ts";

const deploy = join(import.meta.dirname, "../deploy");
const read = (name: string) => readFileSync(join(deploy, name), "utf8");
const [sqlite] = engines as [(typeof engines)[number]];

/** Runs a tool of the machine; undefined, and said aloud, where it is not here. */
function tool(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    process.stderr.write(`${command} is not on this machine: what it checks was not checked\n`);
    return undefined;
  }
}

test("every metric that an alert names is one of the service's, and every alert has a section of the runbook", async () => {
  const rules = read("prometheus/rules.yaml");
  const service = await serviceForTest(sqlite);
  const scraped = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
  const known = new Set([...scraped.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name));
  const named = [...rules.matchAll(/\b(mfa_[a-z_]+)\b/g)].map(([, name = ""]) =>
    name.replace(/_(bucket|sum|count)$/, ""),
  );
  expect([...new Set(named)].filter((name) => !known.has(name))).toEqual([]);
  const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const runbook = readFileSync(join(deploy, "../docs/operate/runbook.md"), "utf8");
  expect([...runbook.matchAll(/^## (\w+)/gm)].map(([, name]) => name)).toEqual(alerts);
});

test("every variable of the environment that a file sets is one that the service reads", () => {
  const variables = readSources().find(({ path }) => path === "config/variables.ts")?.code ?? "";
  const files = readdirSync(deploy, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const set = files.flatMap(
    ({ parentPath, name }) => readFileSync(join(parentPath, name), "utf8").match(/\bMFA_[A-Z_]+\b/g) ?? [],
  );
  // A comment names the one that Kubernetes would set.
  expect([...new Set(set)].filter((name) => !variables.includes(name))).toEqual([]);
});

test("the unit is exposed to no more than systemd calls OK", () => {
  const told = tool("systemd-analyze", ["security", "--offline=true", join(deploy, "systemd/mfa-service.service")]);
  if (told === undefined) return;
  const [, level] = /Overall exposure level for mfa-service\.service: ([\d.]+)/.exec(told) ?? [];
  expect(Number(level)).toBeLessThanOrEqual(1.5);
});

test("the overlay of production renders, with every object in its namespace", () => {
  const rendered = tool("kubectl", ["kustomize", join(deploy, "kubernetes/overlays/production")]);
  if (rendered === undefined) return;
  const kinds = [...rendered.matchAll(/^kind: (\w+)$/gm)].map(([, kind]) => kind).sort();
  expect(kinds).toEqual([
    "Deployment",
    "HorizontalPodAutoscaler",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "PodDisruptionBudget",
    "Service",
  ]);
  expect(rendered.match(/^ {2}namespace: mfa$/gm)).toHaveLength(kinds.length);
});

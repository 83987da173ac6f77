import { describe, expect, it } from "vitest";
import { FactorType } from "../gen/mfa/v1/factor_pb.js";
import { parseSource, readSources, type Source } from "./support/report/sources.ts";

/** A part of src/: a folder, or a file that stands for itself. */
interface Room {
  /** `x/*` stands for each folder below x by itself: they do not know each other. */
  readonly name: string;
  /** The rooms whose code it runs; each stands above in this list, so no arrow leads back up. */
  readonly uses: readonly string[];
  /** Rooms that it may know by type only. */
  readonly types?: readonly string[];
}

const ground = ["core", "db", "crypto"];
const records = [...ground, "users", "outbox", "events", "audit"];
const floor = [
  ...[
    ...records,
    "idempotency",
    "erasure/tombstones",
    "enrollment-tickets",
    "tenant-settings",
    "protection",
    "streams",
  ],
];
/** What log-ins are judged by. */
const judged = ["trusted-devices", "ip-whitelist", "risk", "enforcement"];
const leaves = ["device-sync", "webhooks", "delivery", "schedule"];
/** What ends or reports on what users have. */
const endings = ["erasure", "resets", "four-eyes", "coverage"];
const logIns = ["assertions", "challenges", "log-ins"];
/** How backends without an identity provider, and their users, say who they are. */
const ownCredentials = ["service-keys", "user-tokens"];
const features = [...judged, ...leaves, ...logIns, ...endings, ...ownCredentials, "prompt"];

/** The house, from the ground up. A new room, or a new arrow between two, is a decision: it is made here. */
const house: readonly Room[] = [
  { name: "core", uses: [], types: ["db"] },
  { name: "db", uses: ["core"] },
  { name: "crypto", uses: ["core", "db"] },
  { name: "idempotency", uses: ground },
  { name: "erasure/tombstones", uses: ground },
  { name: "enrollment-tickets", uses: ground },
  { name: "users", uses: ground },
  { name: "outbox", uses: ground },
  { name: "events", uses: [...ground, "outbox"], types: ["streams"] },
  { name: "audit", uses: [...ground, "users", "events"] },
  { name: "tenant-settings", uses: records },
  { name: "protection", uses: [...records, "enrollment-tickets"] },
  { name: "streams", uses: ["core"], types: ["db"] },
  { name: "rpc", uses: floor },
  { name: "enforcement", uses: records },
  { name: "factors/amr.ts", uses: [] },
  { name: "factors/factor.ts", uses: ["core"], types: ["db", "outbox", "tenant-settings", "protection"] },
  { name: "factors/devices.repository.ts", uses: ["db"] },
  { name: "factors/devices.ts", uses: records, types: ["factors/factor.ts", "factors/devices.repository.ts"] },
  {
    name: "factors/*",
    uses: [...floor, "factors/amr.ts", "factors/factor.ts", "factors/devices.repository.ts", "factors/devices.ts"],
  },
  { name: "trusted-devices", uses: floor },
  {
    name: "factors",
    uses: [...floor, "enforcement", "factors/factor.ts", "factors/*", "trusted-devices"],
  },
  { name: "client", uses: [] },
  { name: "ip-whitelist", uses: floor },
  {
    name: "risk",
    uses: [...floor, "enforcement", "factors", "factors/factor.ts", "trusted-devices", "ip-whitelist"],
  },
  { name: "assertions", uses: [...floor, "client", "factors", "factors/amr.ts", "factors/factor.ts"] },
  {
    name: "challenges",
    uses: [...floor, "client", ...judged, "assertions", "factors", "factors/factor.ts"],
  },
  { name: "service-keys", uses: floor, types: ["rpc"] },
  { name: "user-tokens", uses: [...floor, "client", "assertions", "factors"], types: ["rpc"] },
  {
    name: "log-ins",
    uses: [...floor, "client", ...judged, "assertions", "factors", "factors/factor.ts", "challenges"],
  },
  { name: "prompt", uses: [...floor, "trusted-devices", "challenges"], types: ["rpc"] },
  {
    name: "resets",
    uses: [...floor, "factors", "factors/factor.ts", "trusted-devices", "challenges"],
  },
  { name: "four-eyes", uses: [...floor, "factors/factor.ts", "resets"] },
  { name: "coverage", uses: [...floor, "factors", "factors/factor.ts"] },
  { name: "erasure", uses: floor },
  ...leaves.map((name) => ({ name, uses: [...floor, "factors", "factors/factor.ts"] })),
  { name: "console", uses: ["core", "client"], types: ["rpc"] },
  { name: "schema.ts", uses: [...floor, "factors/*", ...features] },
  { name: "retention.ts", uses: [...floor, "factors/*", ...features] },
  { name: "tasks.ts", uses: ["retention.ts", ...floor, "factors", "factors/*", ...features] },
  {
    name: "compose",
    uses: [...floor, "rpc", "factors", "factors/*", ...features, "schema.ts", "tasks.ts"],
  },
  { name: "config", uses: [...ground, "schedule", "rpc"] },
  { name: "dev", uses: ["core", "crypto", "config"], types: ["rpc", "db"] },
  { name: "version.ts", uses: [] },
  { name: "startup", uses: ["core", "db", "config"] },
  { name: "listeners.ts", uses: ["core", "rpc"], types: ["config"] },
  { name: "log", uses: ["db"], types: ["rpc", "delivery", "schedule"] },
  {
    name: "server.ts",
    uses: [
      ...[...floor, "rpc", "factors", ...features, "console", "schema.ts", "compose", "config", "dev"],
      ...["listeners.ts", "log", "startup", "version.ts"],
    ],
  },
  { name: "check-token.ts", uses: ["config", "dev", "rpc"] },
  { name: "command-line.ts", uses: ["core", "config", "version.ts"] },
  { name: "main.ts", uses: ["check-token.ts", "command-line.ts", "config", "dev", "log", "server.ts"] },
  {
    name: "cli",
    uses: [...floor, "factors", ...features, "schema.ts", "rpc", "config", "dev", "server.ts", "startup", "version.ts"],
  },
];

function roomOf(path: string): Room | undefined {
  const holds = ({ name }: Room) =>
    name.endsWith("/*")
      ? path.startsWith(name.slice(0, -1)) && path.slice(name.length - 1).includes("/")
      : path === name || path.startsWith(`${name}/`);
  return house.filter(holds).sort((a, b) => b.name.length - a.name.length)[0];
}

/** Whether two files of one room are at home with each other. */
function isOneHousehold(room: Room, a: string, b: string): boolean {
  const folder = (path: string) => path.slice(0, path.indexOf("/", room.name.length - 1));
  return roomOf(b) === room && (!room.name.endsWith("/*") || folder(a) === folder(b));
}

function wrongArrows({ path, imports }: Source): string[] {
  const room = roomOf(path);
  if (!room) return [`${path} is in no room of the house`];
  return imports.flatMap(({ target, ours, typeOnly }) => {
    if (!ours || isOneHousehold(room, path, target)) return [];
    const other = roomOf(target)?.name ?? "nowhere";
    const allowed = [...room.uses, ...(typeOnly ? (room.types ?? []) : [])];
    return allowed.includes(other) ? [] : [`${path} -> ${target}${typeOnly ? " (type)" : ""}`];
  });
}

/** Files from which an import, of types or of what runs, leads back to themselves. */
function circles(sources: readonly Source[]): string[] {
  const next = new Map(sources.map(({ path, imports }) => [path, imports.filter((i) => i.ours).map((i) => i.target)]));
  const reaches = (from: string): Set<string> => {
    const seen = new Set<string>();
    const open = [...(next.get(from) ?? [])];
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      open.push(...(next.get(path) ?? []));
    }
    return seen;
  };
  return [...next.keys()].filter((path) => reaches(path).has(path));
}

/** Names that several files declare and export. */
function homonyms(sources: readonly Source[]): string[] {
  const files = new Map<string, string[]>();
  for (const { path, exported } of sources) {
    for (const name of exported) if (name !== "default") files.set(name, [...(files.get(name) ?? []), path]);
  }
  return [...files].filter(([, paths]) => paths.length > 1).map(([name, paths]) => `${name}: ${paths.join(", ")}`);
}

const isIn =
  (...folders: string[]) =>
  (path: string) =>
    folders.some((folder) => path.startsWith(folder));
const isHandlers = (path: string) => path.endsWith(".handlers.ts");
const isRepository = (path: string) => path.endsWith(".repository.ts");
const isStorage = (path: string) => isIn("db/")(path) || isRepository(path) || path.endsWith(".table.ts");

/** Finds a pattern in the files that a rule is about; comments do not count. */
const written = (pattern: RegExp, isSubject: (path: string) => boolean) => (sources: readonly Source[]) =>
  sources
    .filter(({ path }) => isSubject(path))
    .flatMap(({ path, code }) =>
      [...code.matchAll(new RegExp(pattern, "g"))].map(([found]) => `${path}: ${found.trim()}`),
    );

/** Finds imports of packages; of files that may know their types, only those that run count. */
const imported =
  (packages: RegExp, isSubject: (path: string) => boolean, mayKnowTypes = (_: string) => false) =>
  (sources: readonly Source[]) =>
    sources
      .filter(({ path }) => isSubject(path))
      .flatMap(({ path, imports }) =>
        imports
          .filter(({ target, ours, typeOnly }) => !ours && packages.test(target) && !(typeOnly && mayKnowTypes(path)))
          .map(({ target }) => `${path}: ${target}`),
      );

interface Rule {
  readonly sentence: string;
  readonly offenders: (sources: readonly Source[]) => string[];
  /** Files that break the rule: each must be noticed, or the rule is a wish. */
  readonly broken: readonly Readonly<Record<string, string>>[];
}

const kinds: ReadonlySet<string> = new Set(Object.keys(FactorType).filter((name) => /^[A-Z]/.test(name)));
/** What users read calls kinds by names of every language, which may be alike. */
const isOfKinds = (path: string) =>
  path === "factors/index.ts" ||
  isIn("prompt/page/words/")(path) ||
  (/^factors\/[^/]+\//.test(path) && !isIn("factors/import/")(path));

const forbiddenInHandlers =
  /\btry\b|\bConnectError\b|\bCode\.|\bstore\.|\bDate\.now\b|\bnew Date\(|\brandomBytes\b|\bprocess\.env\b|\bcaller\.role\b|\bconsole\b|\b(?:log|logger)\.\w+\(/;

const rules: readonly Rule[] = [
  {
    sentence: "a room uses only the rooms below it that the house allows",
    offenders: (sources) => sources.flatMap(wrongArrows),
    broken: [
      { "core/a.ts": `import { b } from "../crypto/b.ts";` },
      { "core/a.ts": `import { b } from "../db/b.ts";` },
      { "db/a.ts": `import type { B } from "../crypto/b.ts";` },
      { "crypto/a.ts": `export { b } from "../events/b.ts";` },
      { "audit/a.ts": `const b = await import("../protection/b.ts");` },
      { "factors/totp/totp.ts": `import { b } from "../webauthn/webauthn.repository.ts";` },
      { "factors/totp/totp.ts": `import { type B } from "../webauthn/webauthn.ts";` },
      { "factors/totp/totp.handlers.ts": `import { serve } from "../../rpc/service.ts";` },
      { "factors/totp/totp.handlers.ts": `import type { Serving } from "../../rpc/serve/call.ts";` },
      { "factors/totp/totp.ts": `import { factors } from "../index.ts";` },
      { "risk/risk.ts": `import { b } from "../challenges/b.ts";` },
      { "rpc/a.ts": `import { factors } from "../factors/index.ts";` },
      { "compose/features.ts": `import { config } from "../config/config.ts";` },
      { "cli/a.ts": `import "../main.ts";` },
      { "attic/a.ts": "" },
    ],
  },
  {
    sentence: "no import leads back to where it came from",
    offenders: circles,
    broken: [
      {
        "core/a.ts": `import { b } from "./b.ts";`,
        "core/b.ts": `import { c } from "./c.ts";`,
        "core/c.ts": `import "./a.ts";`,
      },
      {
        "core/a.ts": `import { b } from "./b.ts";`,
        "core/b.ts": `import type { A } from "./a.ts";`,
      },
    ],
  },
  {
    sentence: "drizzle is known only in db/, repositories and tables",
    offenders: imported(
      /^drizzle-orm/,
      (path) => !isStorage(path),
      (path) => path === "schema.ts",
    ),
    broken: [{ "factors/totp/totp.ts": `import { eq } from "drizzle-orm";` }],
  },
  {
    sentence: "drivers are known only in db/",
    offenders: imported(/^(better-sqlite3|pg)(\/|$)/, (path) => !isIn("db/")(path)),
    broken: [{ "main.ts": `import pg from "pg";` }, { "cli/a.ts": `import Database from "better-sqlite3";` }],
  },
  {
    sentence: "only the configuration, and the client of operators, read the environment",
    offenders: written(
      /\bprocess\.env\b|\bprocess\[/,
      (path) => path !== "config/config.ts" && path !== "cli/mfactl.ts",
    ),
    broken: [{ "main.ts": "const home = process.env.HOME;" }],
  },
  {
    sentence: "only commands write to the console",
    offenders: written(/\bconsole\b/, (path) => !isIn("cli/")(path)),
    broken: [{ "main.ts": `console.log("ready");` }],
  },
  {
    sentence: "handlers hold no errors, stores, clocks, randomness, roles or logs",
    offenders: (sources) => [
      ...written(forbiddenInHandlers, isHandlers)(sources),
      ...imported(/^(drizzle-orm|node:crypto|pino)/, isHandlers)(sources),
    ],
    broken: [
      "try { a(); } finally { b(); }",
      `throw new ConnectError("no");`,
      "const c = Code.Internal;",
      "store.write(work);",
      "const t = Date.now();",
      "const t = new Date(0);",
      "randomBytes(1);",
      "process.env.HOME;",
      `if (caller.role === "admin") a();`,
      `console.error("no");`,
      `log.info("yes");`,
      `logger.warn("well");`,
      `import { eq } from "drizzle-orm";`,
    ].map((text) => ({ "factors/totp/totp.handlers.ts": text })),
  },
  {
    sentence: "a kind of factor is named only in its own folder and in the registry",
    offenders: (sources) =>
      sources
        .filter(({ path }) => !isOfKinds(path))
        .flatMap(({ path, names }) =>
          names.filter((name) => kinds.has(name) && name !== "UNSPECIFIED").map((name) => `${path}: ${name}`),
        ),
    broken: [
      { "factors/status.ts": `if (type === "SMS") a();` },
      { "coverage/coverage.ts": `held.has(FactorType.WEBAUTHN);` },
      { "resets/resets.ts": `const kinds = { TOTP: "totp_devices" };` },
      { "factors/import/import.ts": `const type = "TOTP";` },
    ],
  },
  {
    sentence: "statements use only what both engines have",
    offenders: (sources) => [
      ...written(/(?<!\b(?:tx|Promise))\.(?:for|all|get|run)\(/, isRepository)(sources),
      ...written(/\bi[lL]ike\b/, (path) => !isIn("db/")(path))(sources),
    ],
    broken: [
      `s.db.select().from(t).for("update");`,
      "s.db.select().from(t).all();",
      "s.db.select().from(t).get();",
      "s.db.delete(t).run();",
      `ilike(t.name, "a%");`,
    ].map((text) => ({ "users/users.repository.ts": text })),
  },
  {
    sentence: "no file is longer than 400 lines",
    offenders: (sources) => sources.filter(({ lines }) => lines > 400).map(({ path, lines }) => `${path}: ${lines}`),
    broken: [{ "core/long.ts": "// a line\n".repeat(401) }],
  },
  {
    sentence: "every file is named after what it is",
    offenders: (sources) =>
      sources
        .filter(({ path }) => /(?:^|[/.-])(?:utils?|helpers?|managers?|common)\b/i.test(path))
        .map(({ path }) => path),
    broken: [
      { "core/utils.ts": "" },
      { "rpc/http-helper.ts": "" },
      { "crypto/key-manager.ts": "" },
      { "common/a.ts": "" },
    ],
  },
  {
    sentence: "every exported name says what it is for",
    offenders: (sources) => sources.flatMap(({ path, uncommented }) => uncommented.map((name) => `${path}: ${name}`)),
    broken: [
      "export const a = 1;",
      "// not a doc comment\nexport function a() {}",
      "export interface A {}",
      "export type A = string;",
      "export class A {}",
      "export default () => 1;",
    ].map((text) => ({ "core/a.ts": text })),
  },
  {
    sentence: "no two files export one name with different meanings",
    offenders: homonyms,
    broken: [
      { "core/a.ts": "export const a = 1;", "db/a.ts": "export type a = string;" },
      { "core/a.ts": "export function a() {}", "core/b.ts": "export const a = 1;" },
    ],
  },
];

const sources = readSources();

describe("the house", () => {
  it("has its rooms in order: each uses only rooms before it", () => {
    const known = new Set<string>();
    for (const { name, uses } of house) {
      expect(
        [...uses].filter((used) => !known.has(used)),
        name,
      ).toEqual([]);
      known.add(name);
    }
  });

  it("is not empty", () => expect(sources.length).toBeGreaterThan(20));

  it.each(rules)("$sentence", ({ offenders }) => expect(offenders(sources)).toEqual([]));
});

describe("the rules notice", () => {
  const cases = rules.flatMap(({ sentence, offenders, broken }) =>
    broken.map((files) => {
      const [path, text = ""] = Object.entries(files)[0] ?? [];
      return { sentence, offenders, files, shown: `${path}: ${text.replaceAll(/\s+/g, " ").slice(0, 60)}` };
    }),
  );
  it.each(cases)("not that $sentence: $shown", ({ offenders, files }) => {
    const parsed = Object.entries(files).map(([path, text]) => parseSource(path, text));
    expect(offenders(parsed)).not.toEqual([]);
  });

  it("let pass what is well", () => {
    const text = `import type { Owner } from "../../core/caller.ts";
      import { statement } from "../../db/store.ts";
      /** Explained: console, process.env and new Date(0) in a comment are no offence. */
      export const fine = (tx: Tx) => tx.run(a, { b: 1 });`;
    const parsed = [parseSource("factors/totp/totp.handlers.ts", text)];
    for (const { offenders } of rules) expect(offenders(parsed)).toEqual([]);
  });
});

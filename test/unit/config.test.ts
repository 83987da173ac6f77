import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../src/config.ts";

function settings(content: unknown): string {
  const path = join(mkdtempSync(join(tmpdir(), "mfa-config-")), "mfa.json");
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

function linesOf(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) return error.lines.join("\n");
    throw error;
  }
  throw new Error("the configuration was expected to be refused");
}

const production = {
  database: "sqlite:/var/lib/mfa/mfa.db",
  keyFile: "/etc/mfa/keys.json",
  issuers: [{ issuer: "https://login.example", jwksFile: "/etc/mfa/jwks.json" }],
  listen: { terminatedBy: "envoy" },
};

describe("configuration", () => {
  test("dev mode needs nothing and stays on loopback with reflection on", () => {
    const config = loadConfig(["--dev"], {});
    expect(config).toMatchObject({ mode: "dev", reflection: true, listen: { host: "127.0.0.1", port: 11005 } });
    expect(config.database).toBe("sqlite:data/mfa.db");
  });

  test("production is the default and lists everything it lacks, one line each", () => {
    const lines = linesOf(() => loadConfig([], {}));
    for (const what of ["no database", "no keys", "no issuers", "no TLS"]) expect(lines).toContain(what);
  });

  test("a complete production configuration loads, with reflection off", () => {
    const config = loadConfig([], { MFA_CONFIG: settings(production) });
    expect(config).toMatchObject({ mode: "production", reflection: false });
  });

  test("dev mode refuses other addresses and NODE_ENV=production", () => {
    const lines = linesOf(() => loadConfig(["--dev"], { MFA_HOST: "0.0.0.0", NODE_ENV: "production" }));
    expect(lines).toContain("loopback only");
    expect(lines).toContain("NODE_ENV=production");
  });

  test("production refuses a dev mode's issuer", () => {
    const issuers = [{ issuer: "urn:mfa:dev:1", jwksFile: "x" }];
    const lines = linesOf(() => loadConfig([], { MFA_CONFIG: settings({ ...production, issuers }) }));
    expect(lines).toContain("is a dev mode's");
  });

  test.each([
    ["an unknown setting", { databse: "sqlite:x" }, "databse"],
    ["a port out of range", { listen: { port: 70_000 } }, "listen.port"],
    ["an issuer label with a colon", { totp: { issuer: "a:b" } }, "totp.issuer"],
    ["a text in place of an object", { listen: "0.0.0.0:1" }, "listen"],
    ["a file that is not JSON", "{", "MFA_CONFIG"],
    ["a list in place of an object", [], "settings"],
  ])("%s is refused and named", (_, content, named) => {
    expect(linesOf(() => loadConfig(["--dev"], { MFA_CONFIG: settings(content) }))).toContain(named);
  });

  test("the environment overrides the file", () => {
    const path = settings({ listen: { port: 1 }, dataDir: "/a" });
    const config = loadConfig(["--dev"], { MFA_CONFIG: path, MFA_PORT: "2", MFA_DATA_DIR: "/b" });
    expect(config).toMatchObject({ listen: { port: 2 }, dataDir: "/b" });
    expect(linesOf(() => loadConfig(["--dev"], { MFA_PORT: "http" }))).toContain("listen.port");
  });
});

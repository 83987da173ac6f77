import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../src/config/config.ts";

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
  listeners: [{ kind: "grpc", terminatedBy: "envoy", proxies: { addresses: ["127.0.0.1"] } }],
};

describe("configuration", () => {
  test("dev mode needs nothing and stays on loopback with reflection on", () => {
    const config = loadConfig(["--dev"], {});
    expect(config).toMatchObject({ mode: "dev", reflection: true });
    expect(config.listeners).toMatchObject([
      { kind: "grpc", host: "127.0.0.1", port: 11005 },
      { kind: "gateway", host: "127.0.0.1", port: 11006, origins: [] },
      { kind: "admin", host: "127.0.0.1", port: 11007 },
      { kind: "internal", host: "127.0.0.1", port: 11008 },
    ]);
    expect(config.database).toBe("sqlite:data/mfa.db");
  });

  test("production is the default and lists everything it lacks, one line each", () => {
    const lines = linesOf(() => loadConfig([], {}));
    for (const what of ["no database", "no keys", "no issuers", "no TLS on the grpc", "no TLS on the admin"])
      expect(lines).toContain(what);
  });

  test("a complete production configuration loads, with reflection off", () => {
    const config = loadConfig([], { MFA_CONFIG: settings(production) });
    expect(config).toMatchObject({ mode: "production", reflection: false });
  });

  test("of several issuers those of one tenant speak for the installation only where they say so", () => {
    const [one] = production.issuers;
    const operators = (issuers: readonly object[]) =>
      loadConfig([], { MFA_CONFIG: settings({ ...production, issuers }) }).issuers.map(({ operator }) => operator);
    const other = { ...one, issuer: "https://other.example", tenant: "other" };
    expect(operators([{ ...one, tenant: "only" }])).toEqual([true]);
    expect(operators([{ ...one }, other])).toEqual([true, false]);
    const stated = [false, true].map((operator, n) => ({ ...one, issuer: `https://${n}.example`, operator }));
    expect(operators(stated)).toEqual([false, true]);
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

  test("production wants to know whose word about addresses counts behind a proxy", () => {
    const load = (listener: object) => () =>
      loadConfig([], { MFA_CONFIG: settings({ ...production, listeners: [{ kind: "grpc", ...listener }] }) });
    const behind = { terminatedBy: "envoy" };
    expect(linesOf(load(behind))).toContain("no clients' addresses on the grpc listener");
    expect(load({ ...behind, proxies: { addresses: [] } })().listeners).toMatchObject([
      { proxies: { addresses: [], header: "x-forwarded-for" } },
    ]);
    for (const address of ["10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.0/33", "proxy.internal", "fe80::1%eth0"]) {
      expect(linesOf(load({ ...behind, proxies: { addresses: [address] } })), address).toContain("no network like");
    }
  });

  test("carriers have their secrets from files and the environment, and a missing one is named by its place", () => {
    const file = settings("s3cret\n");
    const smtp = { kind: "smtp", host: "mail.example", user: "mfa", from: "no-reply@example.com" };
    const webhook = { kind: "webhook", url: "https://hook.example/m" };
    const load = (email: object[], env = {}) =>
      loadConfig([], { MFA_CONFIG: settings({ ...production, delivery: { email } }), ...env });
    const carriers = [
      { ...smtp, password: { file } },
      { ...webhook, secret: { env: "HOOK" } },
    ];
    expect(load(carriers, { HOOK: "whsec_x" }).delivery.email).toEqual([
      { ...smtp, port: 587, implicitTls: false, password: "s3cret" },
      { ...webhook, secret: "whsec_x" },
    ]);
    const lines = linesOf(() => load([{ ...smtp, password: { file: "/nowhere" } }, carriers[1] ?? {}]));
    expect(lines).toContain("delivery.email.0.password: no secret in /nowhere");
    expect(lines).toContain("delivery.email.1.secret: no secret in the environment variable HOOK");
  });

  test.each([
    ["a secret in the file itself", { delivery: { email: [{ kind: "webhook", url: "https://a", secret: "s" }] } }, "{"],
    ["a webhook over plain http", { delivery: { sms: [{ kind: "webhook", url: "http://a/" }] } }, "delivery.sms.0.url"],
    ["text messages by SMTP", { delivery: { sms: [{ kind: "smtp" }] } }, "delivery.sms.0.kind"],
    ["an unknown setting", { databse: "sqlite:x" }, "databse"],
    ["a port out of range", { listeners: [{ kind: "grpc", port: 70_000 }] }, "listeners.0.port"],
    ["a listener of no known kind", { listeners: [{ kind: "http" }] }, "listeners.0.kind"],
    ["an origin with a path", { listeners: [{ kind: "gateway", origins: ["https://a/b"] }] }, "listeners.0.origins.0"],
    [
      "two ends of TLS",
      { listeners: [{ kind: "grpc", terminatedBy: "x", tls: { certFile: "c", keyFile: "k" } }] },
      "who",
    ],
    ["an issuer without keys", { issuers: [{ issuer: "https://a" }] }, "jwksUrl"],
    ["an issuer twice", { issuers: [1, 2].map(() => ({ issuer: "https://a", jwksFile: "f" })) }, "twice"],
    ["keys over plain http", { issuers: [{ issuer: "https://a", jwksUrl: "http://a/jwks" }] }, "jwksUrl"],
    ["an issuer label with a colon", { totp: { issuer: "a:b" } }, "totp.issuer"],
    ["a text in place of a list", { listeners: "0.0.0.0:1" }, "listeners"],
    ["a file that is not JSON", "{", "mfa.json:1:2"],
    ["a list in place of an object", [], "settings"],
  ])("%s is refused and named", (_, content, named) => {
    expect(linesOf(() => loadConfig(["--dev"], { MFA_CONFIG: settings(content) }))).toContain(named);
  });

  test("naming one listener drops the others only where the list says so, and in production", () => {
    const one = { kind: "gateway", port: 1 };
    const kindsOf = (listeners: unknown, argv = ["--dev"], rest: object = {}) =>
      loadConfig(argv, { MFA_CONFIG: settings({ ...rest, listeners }) }).listeners.map(({ kind }) => kind);
    expect(kindsOf([one])).toEqual(["gateway", "grpc", "admin", "internal"]);
    expect(kindsOf({ only: [one] })).toEqual(["gateway"]);
    expect(kindsOf(production.listeners, [], production)).toEqual(["grpc"]);
    expect(kindsOf({ only: production.listeners }, [], production)).toEqual(["grpc"]);
    for (const wrong of [{ only: [] }, { just: [one] }]) {
      expect(linesOf(() => loadConfig(["--dev"], { MFA_CONFIG: settings({ listeners: wrong }) }))).toContain(
        "listeners",
      );
    }
  });

  test("MFA_ORIGINS lets more pages call browsers' listeners, and names the one that is no origin", () => {
    const { listeners } = loadConfig(["--dev"], { MFA_ORIGINS: "https://a.example, http://b.example:1" });
    const both = ["https://a.example", "http://b.example:1"];
    expect(listeners.flatMap((one) => ("origins" in one ? [one.origins] : []))).toEqual([both, both]);
    expect(linesOf(() => loadConfig(["--dev"], { MFA_ORIGINS: "https://a.example/x" }))).toContain(
      "MFA_ORIGINS: https://a.example/x is no origin",
    );
  });

  test("the environment overrides the file", () => {
    const path = settings({ listeners: [{ kind: "grpc", port: 1 }, { kind: "gateway" }], dataDir: "/a" });
    const env = { MFA_CONFIG: path, MFA_HOST: "::1", MFA_PORT: "2", MFA_GATEWAY_PORT: "3", MFA_DATA_DIR: "/b" };
    const config = loadConfig(["--dev"], env);
    expect(config.listeners).toMatchObject([
      { kind: "grpc", host: "::1", port: 2 },
      { kind: "gateway", host: "::1", port: 3 },
      { kind: "admin", host: "::1", port: 11007 },
      { kind: "internal", host: "::1", port: 11008 },
    ]);
    expect(config.dataDir).toBe("/b");
    for (const text of ["http", " ", "-1", "1e3", "65536"]) {
      expect(linesOf(() => loadConfig(["--dev"], { MFA_PORT: text }))).toContain("MFA_PORT=");
    }
  });
});

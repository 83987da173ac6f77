import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { ConfigError, loadConfig } from "../../src/config/config.ts";

const folder = mkdtempSync(join(tmpdir(), "mfa-wrong-"));
const file = join(folder, "mfa.json");
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The whole message of a start with these settings, with the file's path as FILE. */
function messageOf(content: unknown, { argv = ["--dev"], env = {} }: { argv?: string[]; env?: object } = {}): string {
  writeFileSync(file, typeof content === "string" ? content : JSON.stringify(content, null, 1));
  try {
    loadConfig(argv, { MFA_CONFIG: file, ...env });
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.lines.join("\n").replaceAll(file, "FILE");
  }
  throw new Error("these settings were expected to be refused");
}

const issuer = { issuer: "https://login.example", jwksFile: "/etc/mfa/jwks.json" };
const production = {
  database: "sqlite:/var/lib/mfa/mfa.db",
  keyFile: "/etc/mfa/keys.json",
  issuers: [issuer],
  listeners: [{ kind: "grpc", terminatedBy: "envoy", proxies: { addresses: ["127.0.0.1"] } }],
};

/** What an operator got wrong, the settings, and the whole message. */
const wrong: readonly (readonly [string, unknown, string])[] = [
  ["a misspelt setting", { databse: "sqlite:x" }, 'FILE:2: databse: unknown setting: did you mean "database"?'],
  [
    "two misspelt settings, both told",
    { databse: "x", listners: [] },
    'FILE:2: databse: unknown setting: did you mean "database"?\nFILE:3: listners: unknown setting: did you mean "listeners"?',
  ],
  [
    "a misspelt setting inside of another",
    { webauthn: { rpids: ["a.example"] } },
    'FILE:3: webauthn.rpids: unknown setting: did you mean "rpIds"?',
  ],
  [
    "a misspelt setting in an entry of a list",
    { listeners: [{ kind: "grpc", prot: 1 }] },
    'FILE:5: listeners.0.prot: unknown setting: did you mean "port"?',
  ],
  [
    "a misspelt setting of an issuer",
    { issuers: [{ ...issuer, jwskFile: "f" }] },
    'FILE:6: issuers.0.jwskFile: unknown setting: did you mean "jwksFile"?',
  ],
  [
    "a misspelt setting of a carrier",
    { delivery: { email: [{ kind: "smtp", hots: "a", from: "a@b.c" }] } },
    'FILE:6: delivery.email.0.hots: unknown setting: did you mean "host"?\nFILE:4: delivery.email.0.host: is missing',
  ],
  [
    "a setting at the wrong place",
    { jwksUrl: "https://a/jwks" },
    "FILE:2: jwksUrl: unknown setting here: it belongs at issuers.<n>.jwksUrl",
  ],
  [
    "a setting that resembles none",
    { schedule: { colour: 1 } },
    "FILE:3: schedule.colour: unknown setting: here may stand enabled",
  ],
  [
    "a setting that stands twice",
    '{\n "dataDir": "a",\n "dataDir": "b"\n}',
    "FILE:3: dataDir: stands here twice: keep one",
  ],
  [
    "a text in place of a list",
    { listeners: "0.0.0.0:1" },
    "FILE:2: listeners: must be a list, [like this], not a text",
  ],
  ["a list in place of an object", { rates: [] }, 'FILE:2: rates: must be an object, {"like": "this"}, not a list'],
  ["an object in place of a text", { database: {} }, 'FILE:2: database: must be a text, "like this", not an object'],
  ["a number in place of a text", { database: 5 }, 'FILE:2: database: must be a text, "like this", not 5'],
  [
    "a text in place of a number",
    { listeners: [{ kind: "grpc", port: "11005" }] },
    "FILE:5: listeners.0.port: must be a number, not a text",
  ],
  ["a text in place of true", { reflection: "yes" }, "FILE:2: reflection: must be true or false, not a text"],
  ["null", { keyFile: null }, 'FILE:2: keyFile: must be a text, "like this", not null'],
  ["an empty path", { keyFile: "" }, "FILE:2: keyFile: must not be empty"],
  [
    "a port out of range",
    { listeners: [{ kind: "grpc", port: 70_000 }] },
    "FILE:5: listeners.0.port: must be 65535 or less, not 70000",
  ],
  [
    "a port below zero",
    { listeners: [{ kind: "grpc", port: -1 }] },
    "FILE:5: listeners.0.port: must be 0 or more, not -1",
  ],
  [
    "half a port",
    { listeners: [{ kind: "grpc", port: 1.5 }] },
    "FILE:5: listeners.0.port: must be a whole number, not 1.5",
  ],
  ["no listeners", { listeners: [] }, "FILE:2: listeners: must have 1 entry or more"],
  [
    "a listener without a kind",
    { listeners: [{ port: 1 }] },
    'FILE:3: listeners.0.kind: is missing: "grpc", "gateway", "admin", "internal"',
  ],
  [
    "a listener of a misspelt kind",
    { listeners: [{ kind: "gatway" }] },
    'FILE:4: listeners.0.kind: must be one of "grpc", "gateway", "admin", "internal": did you mean "gateway"?',
  ],
  [
    "a listener of no known kind",
    { listeners: [{ kind: "http" }] },
    'FILE:4: listeners.0.kind: must be one of "grpc", "gateway", "admin", "internal"',
  ],
  [
    "a wrong listener under only",
    { listeners: { only: [{ kind: "grpc", port: 70_000 }] } },
    "FILE:6: listeners.only.0.port: must be 65535 or less, not 70000",
  ],
  [
    "TLS without its key",
    { listeners: [{ kind: "grpc", tls: { certFile: "c" } }] },
    "FILE:5: listeners.0.tls.keyFile: is missing",
  ],
  [
    "TLS that ends twice",
    { listeners: [{ kind: "grpc", terminatedBy: "x", tls: { certFile: "c", keyFile: "k" } }] },
    'FILE:3: listeners.0: the grpc listener has both "tls" and "terminatedBy": who ends TLS? Keep one of them',
  ],
  [
    "an origin with a path",
    { listeners: [{ kind: "gateway", origins: ["https://a/b"] }] },
    'FILE:6: listeners.0.origins.0: must be an origin without a path: "https://app.example"',
  ],
  [
    "an origin without a scheme",
    { listeners: [{ kind: "gateway", origins: ["a.example"] }] },
    'FILE:6: listeners.0.origins.0: must be an origin without a path: "https://app.example"',
  ],
  [
    "a network with host bits",
    { listeners: [{ kind: "grpc", proxies: { addresses: ["10.0.0.1/8"] } }] },
    "FILE:7: listeners.0.proxies.addresses.0: no network like 10.1.0.0/16 or 2001:db8::/64, without host bits",
  ],
  [
    "another address than loopback in dev mode",
    { listeners: [{ kind: "grpc", host: "0.0.0.0" }] },
    "FILE:3: listeners.0: dev mode listens on loopback only: move the grpc listener from 0.0.0.0 to 127.0.0.1",
  ],
  ["a rate of zero", { rates: { user: 0 } }, "FILE:3: rates.user: must be 0.1 or more, not 0"],
  ["a limit of zero", { limits: { maxStreams: 0 } }, "FILE:3: limits.maxStreams: must be 1 or more, not 0"],
  [
    "a limit beyond timers",
    { limits: { arrivalMs: 2 ** 31 } },
    "FILE:3: limits.arrivalMs: must be 2147483647 or less, not 2147483648",
  ],
  [
    "an issuer without keys",
    { issuers: [{ issuer: "https://a" }] },
    'FILE:3: issuers.0: issuer https://a: give either "jwksFile" or "jwksUrl" or "discovery": true',
  ],
  [
    "an issuer with keys of two places",
    { issuers: [{ ...issuer, discovery: true }] },
    'FILE:3: issuers.0: issuer https://login.example: give either "jwksFile" or "jwksUrl" or "discovery": true',
  ],
  ["an issuer without a name", { issuers: [{ jwksFile: "f" }] }, "FILE:3: issuers.0.issuer: is missing"],
  [
    "an issuer twice",
    { issuers: [issuer, issuer] },
    "FILE:7: issuers.1: issuer https://login.example is listed twice: keep one of the entries",
  ],
  [
    "keys over plain http",
    { issuers: [{ issuer: "https://a", jwksUrl: "http://a/jwks" }] },
    'FILE:5: issuers.0.jwksUrl: must begin with "https://"; plain "http://" is for this machine only (localhost, 127.0.0.1, [::1])',
  ],
  [
    "a misspelt preset",
    { issuers: [{ ...issuer, preset: "keyclock" }] },
    'FILE:6: issuers.0.preset: must be one of "keycloak", "auth0", "entra", "okta", "cognito", "google-identity-platform", "zitadel", "authentik", "authelia", "hydra", "kratos", "dex", "logto", "supabase", "better-auth", "spring": did you mean "keycloak"?',
  ],
  [
    "an algorithm that is never taken",
    { issuers: [{ ...issuer, algorithms: ["HS256"] }] },
    'FILE:7: issuers.0.algorithms.0: one of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519; HMAC and "none" are never taken',
  ],
  [
    "a misspelt audience",
    { issuers: [{ ...issuer, audiences: ["mfa-admn"] }] },
    'FILE:7: issuers.0.audiences.0: must be one of "mfa", "mfa-admin", "mfa-internal": did you mean "mfa-admin"?',
  ],
  [
    "a secret in the file itself",
    { delivery: { email: [{ kind: "webhook", url: "https://a/", secret: "s3cret" }] } },
    'FILE:7: delivery.email.0.secret: a secret is given as {"file": path} or {"env": name}',
  ],
  [
    "a webhook over plain http",
    { delivery: { sms: [{ kind: "webhook", url: "http://a/", secret: { env: "X" } }] } },
    'FILE:6: delivery.sms.0.url: must begin with "https://"; plain "http://" is for this machine only (localhost, 127.0.0.1, [::1])',
  ],
  [
    "text messages by SMTP",
    { delivery: { sms: [{ kind: "smtp" }] } },
    'FILE:5: delivery.sms.0.kind: must be one of "twilio", "webhook"',
  ],
  [
    "a sender that is no address",
    { delivery: { email: [{ kind: "smtp", host: "a", from: "mfa" }] } },
    'FILE:7: delivery.email.0.from: must end with an address: "Example <no-reply@example.com>"',
  ],
  ["a channel without carriers", { delivery: { sms: [] } }, "FILE:3: delivery.sms: must have 1 entry or more"],
  [
    "an account at Twilio of another form",
    { delivery: { sms: [{ kind: "twilio", accountSid: "x", authToken: { env: "T" }, from: "x" }] } },
    'FILE:6: delivery.sms.0.accountSid: must be "AC" and 32 hexadecimal digits in lower case',
  ],
  [
    "a secret that is in no file",
    { delivery: { email: [{ kind: "webhook", url: "https://a/", secret: { file: "/nowhere" } }] } },
    "FILE:7: delivery.email.0.secret: no secret in /nowhere",
  ],
  [
    "a secret that is in no variable",
    { delivery: { email: [{ kind: "webhook", url: "https://a/", secret: { env: "HOOK" } }] } },
    "FILE:7: delivery.email.0.secret: no secret in the environment variable HOOK",
  ],
  [
    "a relying party with a scheme",
    { webauthn: { rpIds: ["https://a.example"] } },
    'FILE:4: webauthn.rpIds.0: must be a domain in lower case, without scheme or port: "example.com"',
  ],
  [
    "an origin of pages that is none",
    { webauthn: { origins: ["login page"] } },
    'FILE:4: webauthn.origins.0: must be an origin: "https://login.example.com"',
  ],
  [
    "an issuer label with a colon",
    { totp: { issuer: "a:b" } },
    'FILE:3: totp.issuer: must be a name of 1 to 64 characters without ":"',
  ],
  [
    "a schedule that is none",
    { backup: { folder: "/b", schedule: "daily" } },
    "FILE:4: backup.schedule: neither cron of five fields nor a period like PT6H, of 366 days at most",
  ],
  [
    "copies of PostgreSQL",
    { database: "postgres://db/mfa", backup: { folder: "/b" } },
    "FILE:4: backup.folder: PostgreSQL is backed up by its own tools (pg_dump, pg_basebackup): drop this setting",
  ],
  [
    "a database of no known kind",
    { database: "mysql://db/mfa" },
    'FILE:2: database: must be "sqlite:<path>" or "postgres://<user>:<password>@<host>/<database>"',
  ],
  [
    "a PostgreSQL url with a password that is not encoded",
    { database: "postgres://mfa:a/b:c@db/mfa" },
    "FILE:2: database: this PostgreSQL url cannot be read: write /, @, :, ?, # and % of a password as %2F, %40, %3A, %3F, %23, %25",
  ],
  [
    "a PostgreSQL url with a # in the password",
    { database: "postgres://mfa:a%23b@db/mfa#x" },
    "FILE:2: database: everything behind # is lost: write a # of the password as %23",
  ],
  [
    "a PostgreSQL url without a database",
    { database: "postgres://db" },
    "FILE:2: database: names no database: postgres://<host>/<database>",
  ],
  [
    "a database in memory",
    { database: "sqlite::memory:" },
    "FILE:2: database: a database in memory is gone with the process: sqlite:/var/lib/mfa/mfa.db",
  ],
  ["a database without a path", { database: "sqlite:" }, "FILE:2: database: names no file: sqlite:/var/lib/mfa/mfa.db"],
  [
    "a folder as database",
    { database: "sqlite:/var/lib/mfa/" },
    "FILE:2: database: names a folder, no file: add the name of the file, mfa.db",
  ],
  [
    "a database on a pseudo file system",
    { database: "sqlite:/proc/mfa.db" },
    "FILE:2: database: /proc/mfa.db is on a pseudo file system, which keeps nothing: sqlite:/var/lib/mfa/mfa.db",
  ],
  [
    "a misspelt algorithm of assertions",
    { assertions: { algorithm: "EDDSA" } },
    'FILE:3: assertions.algorithm: must be one of "EdDSA", "ES256": did you mean "EdDSA"?',
  ],
  ["an empty file", "", "FILE:1:1: the file is empty: without settings it is {}"],
  ["a comment", '{\n // where\n "dataDir": "a"\n}', "FILE:2:2: JSON has no comments: take this one out"],
  ["a comma too many", '{\n "dataDir": "a",\n}', "FILE:3:1: there is a comma too many before this }"],
  [
    "a comma that is missing",
    '{\n "dataDir": "a"\n "keyFile": "b"\n}',
    "FILE:3:2: a comma or } is missing before this",
  ],
  ["single quotes", "{'dataDir': 'a'}", 'FILE:1:2: texts and names stand in straight double quotes, "like this"'],
  ["a name without quotes", "{dataDir: 1}", 'FILE:1:2: texts and names stand in double quotes, "like this"'],
  [
    "a Windows path with lone backslashes",
    '{"dataDir": "C:\\data"}',
    "FILE:1:13: this text does not end, or holds a line break or a lone backslash (write \\\\)",
  ],
  ["a file that ends too early", '{"dataDir": "a"', "FILE:1:16: the file ends too early"],
  ["something behind the end", "{} {}", "FILE:1:4: something stands behind the end of the settings"],
  ["a list in place of the settings", [], 'FILE:1: the settings are one object, {"database": …}'],
  ["a file in UTF-16", "{\0}\0", "FILE: this is no text in UTF-8"],
];

describe("a configuration is refused in whole sentences that say where and how to mend it:", () => {
  test.each(wrong)("%s", (_, content, message) => {
    expect(messageOf(content)).toBe(message);
  });

  /** What an operator got wrong in the environment or on the command line of production. */
  const outside: readonly (readonly [string, { argv?: string[]; env?: object }, string])[] = [
    [
      "a misspelt variable",
      { env: { MFA_DATBASE_URL: "sqlite:x" } },
      "MFA_DATBASE_URL: no variable of the service: did you mean MFA_DATABASE_URL?",
    ],
    [
      "a variable that resembles none",
      { env: { MFA_COLOUR: "blue" } },
      "MFA_COLOUR: no variable of the service: there are MFA_CONFIG, MFA_DATABASE_URL, MFA_KEY_FILE, MFA_DATA_DIR, MFA_HOST, MFA_PORT, MFA_GATEWAY_PORT, MFA_ADMIN_PORT, MFA_INTERNAL_PORT, MFA_ORIGINS",
    ],
    ["a port that is a name", { env: { MFA_PORT: "http" } }, "MFA_PORT=http: a port is a number from 0 to 65535"],
    [
      "a port that Kubernetes sets",
      { env: { MFA_PORT: "tcp://10.0.0.1:11005" } },
      "MFA_PORT=tcp://10.0.0.1:11005: a port is a number from 0 to 65535; Kubernetes sets this one for a Service of that name: set `enableServiceLinks: false` in the pod",
    ],
    [
      "an origin with a path",
      { env: { MFA_ORIGINS: "https://a.example/x" } },
      "MFA_ORIGINS: https://a.example/x is no origin like https://app.example",
    ],
    [
      "a database of no kind",
      { env: { MFA_DATABASE_URL: "mfa.db" } },
      'MFA_DATABASE_URL: must be "sqlite:<path>" or "postgres://<user>:<password>@<host>/<database>"',
    ],
    [
      "a file that is not there",
      { env: { MFA_CONFIG: "/nowhere/mfa.json" } },
      "MFA_CONFIG=/nowhere/mfa.json: there is no such file",
    ],
    ["a folder for a file", { env: { MFA_CONFIG: "/tmp" } }, "MFA_CONFIG=/tmp: this is a folder, no file"],
    [
      "dev mode on a production machine",
      { argv: ["--dev"], env: { NODE_ENV: "production" } },
      "dev mode refuses NODE_ENV=production: drop --dev or unset NODE_ENV",
    ],
    [
      "dev mode on every address",
      { argv: ["--dev"], env: { MFA_HOST: "0.0.0.0" } },
      "FILE:11: listeners.0: dev mode listens on loopback only: move the grpc listener from 0.0.0.0 to 127.0.0.1\nFILE:10: listeners.1: dev mode listens on loopback only: move the gateway listener from 0.0.0.0 to 127.0.0.1\nFILE:10: listeners.2: dev mode listens on loopback only: move the admin listener from 0.0.0.0 to 127.0.0.1\nFILE:10: listeners.3: dev mode listens on loopback only: move the internal listener from 0.0.0.0 to 127.0.0.1",
    ],
  ];
  test.each(outside)("%s", (_, { argv = [], env = {} }, message) => {
    expect(messageOf(production, { argv, env })).toBe(message);
  });

  const lacking: readonly (readonly [string, object, string])[] = [
    [
      "production without anything",
      {},
      'no database: set MFA_DATABASE_URL=sqlite:/var/lib/mfa/mfa.db or postgres://…\nno keys: run `npm run -s keys -- /etc/mfa/keys.json`, then set MFA_KEY_FILE=/etc/mfa/keys.json\nno issuers: add "issuers": [{"issuer": …, "jwksUrl": …}] to the file of MFA_CONFIG\nlisteners.0: no TLS on the grpc listener: give it "tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>" in the "listeners" of the file of MFA_CONFIG\nlisteners.1: no TLS on the gateway listener: give it "tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>" in the "listeners" of the file of MFA_CONFIG\nlisteners.2: no TLS on the admin listener: give it "tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>" in the "listeners" of the file of MFA_CONFIG\nlisteners.3: no TLS on the internal listener: give it "tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>" in the "listeners" of the file of MFA_CONFIG\nTo try the service without any of this, run `npm start` (dev mode).',
    ],
    [
      "production without TLS",
      { ...production, listeners: [{ kind: "grpc" }] },
      'FILE:11: listeners.0: no TLS on the grpc listener: give it "tls": {"certFile": …, "keyFile": …} or "terminatedBy": "<proxy>" in the "listeners" of the file of MFA_CONFIG\nTo try the service without any of this, run `npm start` (dev mode).',
    ],
    [
      "production behind a proxy of no known addresses",
      { ...production, listeners: [{ kind: "grpc", terminatedBy: "x" }] },
      'FILE:11: listeners.0: no clients\' addresses on the grpc listener: say whose word about them counts, "proxies": {"addresses": ["<its network>"]}, [] where it passes none on\nTo try the service without any of this, run `npm start` (dev mode).',
    ],
    [
      "production with the issuer of dev mode",
      { ...production, issuers: [{ issuer: "urn:mfa:dev:1", jwksFile: "f" }] },
      "FILE:5: issuers.0: issuer urn:mfa:dev:1 is a dev mode's: configure the real one\nTo try the service without any of this, run `npm start` (dev mode).",
    ],
  ];
  test.each(lacking)("%s", (_, content, message) => {
    expect(messageOf(content, { argv: [] })).toBe(message);
  });

  test("no message of them shows a pattern, or quotes a text of the file that may be a secret", () => {
    const messages = wrong.map(([, content]) => messageOf(content)).join("\n");
    expect(messages).not.toMatch(/\/\^|\\S|\[\^|Expected|Invalid|s3cret/);
  });

  test("variables that Kubernetes sets for a Service of that name, and those that settings name, are no mistakes", () => {
    const env = { MFA_SERVICE_HOST: "10.0.0.1", MFA_PORT_11005_TCP_ADDR: "10.0.0.1", MFA_SMTP: "x", MFA_EMPTY: "" };
    const email = [{ kind: "smtp", host: "a", from: "a@b.c", user: "u", password: { env: "MFA_SMTP" } }];
    writeFileSync(file, JSON.stringify({ ...production, delivery: { email } }));
    expect(loadConfig([], { MFA_CONFIG: file, ...env }).delivery.email).toMatchObject([{ password: "x" }]);
  });
});

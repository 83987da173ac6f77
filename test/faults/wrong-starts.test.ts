import { generateKeyPairSync } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { loadConfig } from "../../src/config/config.ts";
import { createKeyFile } from "../../src/crypto/key-file.ts";
import { openIssuer } from "../../src/rpc/access/tokens/configured.ts";
import { startServer } from "../../src/server.ts";
import { judgeCertificate } from "../../src/startup/certificates.ts";
import { judgeClock, lookAtIssuerClock } from "../../src/startup/clocks.ts";
import { emptyDatabase } from "../support/engine/engines.ts";
import { execute } from "../support/engine/postgres.ts";
import { authority, selfSigned } from "../support/fakes/certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "mfa-starts-"));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const jwks = (key: object) => JSON.stringify({ keys: [key] });

beforeAll(async () => {
  await createKeyFile(at("keys.json"));
  const ed25519 = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
  const p521 = generateKeyPairSync("ec", { namedCurve: "secp521r1" }).publicKey.export({ format: "jwk" });
  writeFileSync(at("jwks.json"), jwks(ed25519));
  writeFileSync(at("p521.json"), jwks(p521));
  writeFileSync(at("none.json"), '{"keys": []}');
  writeFileSync(at("page.json"), "<html>");
  const { cert, key } = selfSigned();
  writeFileSync(at("tls.pem"), Buffer.concat([cert, key]));
  writeFileSync(at("other.pem"), selfSigned().key);
  writeFileSync(
    at("text"),
    "neither a database nor a certificate, of more than a hundred bytes so that SQLite reads all of a header here",
  );
  mkdirSync(at("folder"));
});

/** The whole message of a start in production that is refused, without the folder of the test. */
async function messageOf(changed: object): Promise<string> {
  const settings = {
    listeners: [{ kind: "grpc", port: 0, terminatedBy: "a test", proxies: { addresses: [] } }],
    database: `sqlite:${at("mfa.db")}`,
    keyFile: at("keys.json"),
    erasureLedger: at("erasures.jsonl"),
    issuers: [{ issuer: "https://a.example", jwksFile: at("jwks.json"), tenant: "t" }],
    schedule: { enabled: false },
    ...changed,
  };
  writeFileSync(at("settings.json"), JSON.stringify(settings));
  const config = loadConfig([], { MFA_CONFIG: at("settings.json") });
  const started = startServer(config, { log: pino({ level: "silent" }) });
  const refused = await started.then(
    async (server) => {
      await server.stop();
      throw new Error("the start was expected to be refused");
    },
    (error: Error) => error.message,
  );
  return refused.replaceAll(folder, "FOLDER");
}

const issuer = (file: string) => ({ issuers: [{ issuer: "https://a.example", jwksFile: at(file), tenant: "t" }] });
const tls = (certFile: string, keyFile: string) => ({
  listeners: [{ kind: "grpc", port: 0, tls: { certFile: at(certFile), keyFile: at(keyFile) } }],
});

describe("a start that cannot succeed says why, where, and what mends it:", () => {
  test.each([
    [
      "a database that is none",
      { database: `sqlite:${at("text")}` },
      "FOLDER/text is no SQLite database, or its beginning is damaged: restore a backup",
    ],
    [
      "a database that is a folder",
      { database: `sqlite:${at("folder")}` },
      "FOLDER/folder is a folder: name a file in it",
    ],
    ["no key file", { keyFile: at("no-keys.json") }, "key file FOLDER/no-keys.json: it does not exist"],
    [
      "a key set without a key",
      issuer("none.json"),
      "issuers.0.jwksFile: FOLDER/none.json holds no Ed25519, P-256 or RSA key (EdDSA, Ed25519, ES256, RS256; RSA of 2048 bits or more): it is empty",
    ],
    [
      "a key set of keys that nothing is verified by",
      issuer("p521.json"),
      "issuers.0.jwksFile: FOLDER/p521.json holds no Ed25519, P-256 or RSA key (EdDSA, Ed25519, ES256, RS256; RSA of 2048 bits or more): only EC P-521",
    ],
    [
      "a page in place of a key set",
      issuer("page.json"),
      "issuers.0.jwksFile: FOLDER/page.json: Unexpected token '<', \"<html>\" is not valid JSON",
    ],
    ["a key set that is not there", issuer("no-jwks.json"), "issuers.0.jwksFile: there is no file FOLDER/no-jwks.json"],
    [
      "a certificate that is not there",
      tls("no.pem", "tls.pem"),
      "listeners.0.tls: TLS cannot be had from FOLDER/no.pem, FOLDER/tls.pem: there is no file FOLDER/no.pem",
    ],
    [
      "a certificate that is none",
      tls("text", "tls.pem"),
      "listeners.0.tls: TLS cannot be had from FOLDER/text, FOLDER/tls.pem: FOLDER/text holds no PEM certificate",
    ],
    [
      "a private key that is none",
      tls("tls.pem", "text"),
      "listeners.0.tls: TLS cannot be had from FOLDER/tls.pem, FOLDER/text: FOLDER/text holds no PEM private key without a passphrase",
    ],
    [
      "the key of another certificate",
      tls("tls.pem", "other.pem"),
      "listeners.0.tls: TLS cannot be had from FOLDER/tls.pem, FOLDER/other.pem: the key is not that of the certificate",
    ],
    [
      "a record of erasures that is a folder",
      { erasureLedger: at("folder") },
      'erasureLedger: FOLDER/folder cannot be written: a folder is there; set "erasureLedger": "/var/lib/mfa/erasures.jsonl"',
    ],
    [
      "a record of erasures below a file",
      { erasureLedger: at("text/erasures.jsonl") },
      'erasureLedger: FOLDER/text/erasures.jsonl cannot be written: a part of the path is a file; set "erasureLedger": "/var/lib/mfa/erasures.jsonl"',
    ],
    [
      "a folder of copies that is a file",
      { backup: { folder: at("text") } },
      'backup.folder: FOLDER/text cannot be written: a file is there; set "backup.folder": "/var/lib/mfa/backups"',
    ],
    [
      "a folder of copies where nothing can be made",
      { backup: { folder: "/proc/backups" } },
      'backup.folder: /proc/backups cannot be written: this is a pseudo file system, which keeps nothing; set "backup.folder": "/var/lib/mfa/backups"',
    ],
  ])("%s", async (_, changed, message) => {
    expect(await messageOf(changed)).toBe(message);
  });
});

describe("PostgreSQL's own reason is told, with what mends it:", () => {
  const server = () => new URL(inject("postgres").url);
  const changed = (change: (url: URL) => void) => {
    const url = server();
    change(url);
    return url.href;
  };
  const wrong: readonly (readonly [string, () => string | Promise<string>, string])[] = [
    [
      "a wrong password",
      () =>
        changed((url) => {
          url.password = "no";
        }),
      'No connection to PostgreSQL at SERVER: the password of the role "mfa" is wrong, or there is no such role',
    ],
    [
      "no such role",
      () =>
        changed((url) => {
          url.username = "nobody";
        }),
      'No connection to PostgreSQL at SERVER: the password of the role "nobody" is wrong, or there is no such role',
    ],
    [
      "no such database",
      () =>
        changed((url) => {
          url.pathname = "/nowhere";
        }),
      'No connection to PostgreSQL at SERVER: there is no database "DATABASE": CREATE DATABASE "DATABASE" OWNER "mfa"',
    ],
    [
      "nothing that listens",
      () => "postgres://mfa:mfa@127.0.0.1:9/mfa",
      "No connection to PostgreSQL at SERVER: nothing listens there: start the server, or mend host and port of the url",
    ],
    [
      "an unknown host",
      () => "postgres://mfa:mfa@db.invalid/mfa",
      'No connection to PostgreSQL at db.invalid:5432: no host is known by the name "db.invalid": mend it, or the resolver of this machine',
    ],
    [
      "no TLS there",
      () =>
        changed((url) => {
          url.searchParams.set("sslmode", "require");
        }),
      'No connection to PostgreSQL at SERVER: it speaks no TLS: set "ssl = on" there, or drop sslmode from the url where the network is safe',
    ],
    [
      "a role that may not make tables",
      async () => {
        const owners = await emptyDatabase();
        await execute(owners, "CREATE ROLE starts_reader LOGIN PASSWORD 'x'");
        onTestFinished(() => execute(server().href, "DROP ROLE starts_reader"));
        const url = new URL(owners);
        url.username = "starts_reader";
        url.password = "x";
        return url.href;
      },
      'the role "starts_reader" may not make tables in the database "DATABASE": GRANT USAGE, CREATE ON SCHEMA public TO "starts_reader"',
    ],
  ];
  test.each(wrong)("%s", async (_, url, message) => {
    const database = await url();
    const told = await messageOf({ database });
    const { port, pathname } = new URL(database);
    expect(told.replaceAll(`127.0.0.1:${port}`, "SERVER").replaceAll(pathname.slice(1), "DATABASE")).toBe(message);
  });
});

describe("what a start goes on without is told:", () => {
  const now = new Date("2026-06-01T00:00:00Z");
  const DAY_MS = 86_400_000;

  test("a certificate that has expired, soon expires, or is not valid yet", () => {
    const { cert } = authority().issue({ days: 30, usage: "serverAuth" });
    const look = (days: number) =>
      judgeCertificate("listeners.0.tls.certFile", cert, new Date(Date.now() + days * DAY_MS));
    const until = new Date(Date.now() + 30 * DAY_MS).toISOString().slice(0, 10);
    const renew = "put a new one and its key into the files; they are read again without a restart";
    expect(look(1).fault).toBeUndefined();
    expect(look(20).fault).toBe(`listeners.0.tls.certFile: the certificate expires in 9 days, on ${until}: ${renew}`);
    expect(look(31).fault).toBe(
      `listeners.0.tls.certFile: the certificate has expired on ${until}, so clients refuse it: ${renew}`,
    );
    expect(look(-1).fault).toMatch(
      /^listeners\.0\.tls\.certFile: the certificate is not valid before .*: check the clock of this machine$/,
    );
  });

  test("a clock that differs from PostgreSQL's", () => {
    const ours = { before: now.getTime(), after: now.getTime() + 300 };
    expect(judgeClock("PostgreSQL", ours, ours.after).fault).toBeUndefined();
    expect(judgeClock("PostgreSQL", ours, ours.before - 60_000).fault).toBe(
      "the clock of this machine is 60 s ahead of that of PostgreSQL: let both follow one time server (NTP)",
    );
    expect(judgeClock("PostgreSQL", ours, ours.after + 9_000).fault).toBe(
      "the clock of this machine is 9 s behind that of PostgreSQL: let both follow one time server (NTP)",
    );
  });

  test("a clock that differs from an issuer's, by the Date of its answers", async () => {
    const issuers = createServer((_, reply) => reply.setHeader("date", now.toUTCString()).end()).listen(0, "127.0.0.1");
    await new Promise((resolve) => issuers.once("listening", resolve));
    onTestFinished(() => void issuers.close());
    const jwksUrl = `http://127.0.0.1:${(issuers.address() as AddressInfo).port}/jwks`;
    const look = (offMs: number) =>
      lookAtIssuerClock({ issuer: "https://a.example", jwksUrl }, () => new Date(now.getTime() + offMs));
    expect((await look(0))?.fault).toBeUndefined();
    expect((await look(-62_000))?.fault).toBe(
      "the clock of this machine is 60 s behind that of the issuer https://a.example: let both follow one time server (NTP)",
    );
  });

  test("an issuer whose keys cannot be fetched", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => closed.once("listening", resolve));
    const host = `127.0.0.1:${(closed.address() as AddressInfo).port}`;
    await new Promise((resolve) => closed.close(resolve));
    const away = await openIssuer({ issuer: "https://a.example", jwksUrl: `http://${host}/jwks` });
    expect(await away.lookAtKeys()).toBe(
      `keys could not be fetched: http://${host}/jwks: connect ECONNREFUSED ${host}`,
    );
  });
});

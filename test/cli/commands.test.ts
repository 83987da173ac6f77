import { generateKeyPairSync } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { partsOf } from "../../src/cli/mfactl/data-commands.ts";
import { migrationsFolder } from "../../src/db/migrate.ts";
import { openSqlite } from "../../src/db/sqlite.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import { operator } from "./world.ts";

const [sqlite] = engines as [(typeof engines)[number]];

test("what a help desk and an auditor do: show and reset a user, read, verify and write the trail, import and export", async () => {
  const service = await serviceForTest(sqlite);
  const env = { MFACTL_ADDRESS: `http://127.0.0.1:${service.port}`, MFACTL_DEV_DATA_DIR: service.dataDir };
  const { home, run } = operator(env, { now: () => service.clock.now });
  await enrollApp(service, "ann");

  const shown = await run(["user", "show", "ann"]);
  expect(shown).toMatchObject({ exit: 0, err: "" });
  expect(shown.out).toMatch(
    /^User ann\n\nFactors\n[\s\S]*totp[\s\S]*\nLocks\n {2}none\n[\s\S]*\nTrusted devices\n {2}none\n/,
  );

  expect((await run(["user", "reset", "ann", "--reason", "lost"])).exit).toBe(2);
  const reset = await run(["user", "reset", "ann", "--reason", "lost", "--cool-down", "1h", "--yes"]);
  expect(reset).toMatchObject({ exit: 0, err: "" });
  expect((await run(["user", "show", "ann"])).out).not.toMatch(/ totp +active/);

  expect((await run(["audit", "tail", "--user", "ann"])).out).toContain("lost");
  const verified = await run(["audit", "verify"]);
  expect(verified.exit).toBe(0);
  expect(verified.out).toContain("intact: true");
  const file = join(home, "audit.jsonl");
  expect((await run(["audit", "export", file])).out).toMatch(/^\d+ entries in /);
  const entries = readFileSync(file, "utf8").trim().split("\n");
  expect(entries.length).toBeGreaterThan(1);
  expect(() => entries.map((line) => JSON.parse(line))).not.toThrow();

  const good = "otpauth://totp/x?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
  const document = [...Array(260).keys()].map((n) => `u${n}\t${n === 255 ? "nothing" : good}`).join("\n");
  const dry = await run(["import", "-", "--format", "uris"], document);
  expect(dry.exit).toBe(4);
  expect(dry.out).toMatch(
    /^259 would be imported \(dry run; --commit imports\), 0 skipped, 1 refused\.\nLINE .*\n256 /,
  );
  expect((await run(["import", "-", "--format", "uris", "--commit"], `bob\t${good}\n`)).out).toBe(
    "1 imported, 0 skipped, 0 refused.\n",
  );
  expect(JSON.parse((await run(["export", "bob", "--reason", "asked for it"])).out)).toHaveProperty("data");

  const doctor = await run(["doctor", "--no-settings"]);
  expect(doctor).toMatchObject({ exit: 0, err: "" });
  expect(doctor.out).toMatch(/ok +running instance: answers, and its scheduled tasks/);
});

test("a document is cut into calls of 250, with the names of its columns on each, and lines keep their numbers", () => {
  const rows = [...Array(251).keys()].map((n) => `u${n},s${n}`);
  const parts = partsOf(["user,secret,type", ...rows].join("\n"), "csv");
  expect(parts.map(({ firstLine, repeated }) => ({ firstLine, repeated }))).toEqual([
    { firstLine: 2, repeated: 1 },
    { firstLine: 252, repeated: 1 },
  ]);
  expect(parts[1]?.text).toBe("user,secret,type\nu250,s250");
});

/** The settings of a production service that is not running, over an own database. */
async function settled() {
  const { home } = operator();
  const at = (name: string) => join(home, name);
  const { run } = operator({ MFA_CONFIG: at("mfa.json") });
  expect((await run(["keys", "new", at("keys.json")])).exit).toBe(0);
  const key = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
  writeFileSync(at("jwks.json"), JSON.stringify({ keys: [key] }));
  const settings = {
    database: `sqlite:${at("mfa.db")}`,
    keyFile: at("keys.json"),
    erasureLedger: at("erasures.jsonl"),
    issuers: [{ issuer: "https://a.example", jwksFile: at("jwks.json"), tenant: "t" }],
    listeners: [{ kind: "grpc", terminatedBy: "a test", proxies: { addresses: [] } }],
  };
  const write = (changed: object) => writeFileSync(at("mfa.json"), JSON.stringify({ ...settings, ...changed }));
  write({});
  await openSqlite({ path: at("mfa.db"), migrations: migrationsFolder("sqlite") }).close();
  return { at, run, write };
}

describe("on the machine of the service", () => {
  test("the settings are checked, printed without secrets and explained", async () => {
    const { at, run, write } = await settled();
    expect(await run(["config", "check"])).toEqual({
      exit: 0,
      out: `The settings are good: production, sqlite:${at("mfa.db")}, grpc on 127.0.0.1:11005.\n`,
      err: "",
    });
    write({ database: "postgres://mfa:s3cret@db/mfa" });
    const printed = await run(["config", "print"]);
    expect(JSON.parse(printed.out)).toMatchObject({ database: "postgres://mfa:…@db/mfa", mode: "production" });
    write({ databse: "x" });
    expect((await run(["config", "check"])).err).toBe(
      `${at("mfa.json")}:1: databse: unknown setting: did you mean "database"?\n`,
    );
    expect((await run(["config", "explain", "rates.user"])).out).toBe("rates.user: a number; default 5\n");
    expect((await run(["config", "explain", "MFA_PORT"])).out).toBe("MFA_PORT: the port of gRPC listeners\n");
    expect((await run(["config", "explain", "MFA_PROT"])).err).toBe(
      "there is no setting MFA_PROT: did you mean MFA_PORT?\n",
    );
  });

  test("keys are made, added, made primary, listed and compared with the database", async () => {
    const { at, run } = await settled();
    const added = await run(["keys", "add", at("keys.json")]);
    const [, id = ""] = /^Added (\S+)\. /.exec(added.out) ?? [];
    expect((await run(["keys", "primary", at("keys.json"), id])).out).toContain(`${id} is the primary key`);
    expect((await run(["keys", "status"])).out).toMatch(
      new RegExp(`KEY +ROLE .*\\n[\\s\\S]*${id} +primary +yes +not yet +0`),
    );
    expect((await run(["keys", "check"])).out).toBe(`The keys of ${at("keys.json")} are those of the database.\n`);
    expect((await run(["keys", "new", at("keys.json")])).exit).toBe(1);
  });

  test("what the next start migrates is listed, and nothing is changed", async () => {
    const { run } = await settled();
    expect((await run(["migrate", "--dry-run"])).out).toBe("The database is up to date.\n");
    expect((await run(["migrate"])).exit).toBe(2);
  });

  test("the database is copied, and a copy put back only while nobody serves it", async () => {
    const { at, run } = await settled();
    expect((await run(["backup", at("copy.db")])).exit).toBe(0);
    expect((await run(["backup", at("copy.db")])).err).toBe(`${at("copy.db")} exists already: name another file\n`);
    expect((await run(["restore", at("copy.db")])).exit).toBe(2);
    const store = openSqlite({ path: at("mfa.db") });
    expect((await run(["restore", at("copy.db"), "--yes"])).err).toBe(
      `${at("mfa.db")} is in use: stop the service first\n`,
    );
    await store.close();
    expect((await run(["restore", at("jwks.json"), "--yes"])).err).toContain("is no SQLite database");
    const restored = await run(["restore", at("copy.db"), "--yes"]);
    const [, aside = ""] = /What was there is (\S+)\. /.exec(restored.out) ?? [];
    expect(existsSync(aside)).toBe(true);
    await openSqlite({ path: at("mfa.db"), migrations: migrationsFolder("sqlite") }).close();
  });

  test("doctor says what is well and what is wrong, with what mends it", async () => {
    const { at, run, write } = await settled();
    const well = await run(["doctor", "--no-instance"]);
    expect(well.err).toBe("");
    expect(well.out).toMatch(/^ +CHECK +REMARK\nok +settings +production\n/);
    expect(well.out).toMatch(/ok +database, its migrations and keys\n/);
    write({ erasureLedger: "/proc/x/erasures.jsonl", backup: { folder: at("none") } });
    const ill = await run(["doctor", "--no-instance"]);
    expect(ill.exit).toBe(1);
    expect(ill.out).toMatch(
      /WRONG +places that are written to +erasureLedger: \/proc\/x\/erasures\.jsonl cannot be written: /,
    );
    expect(ill.out).toMatch(
      /WRONG +age of backups +.*holds no copy yet: run the task database_backup, or mend its schedule/,
    );
  });

  test("a token is explained check by check, and one of dev mode minted", async () => {
    const service = await serviceForTest(sqlite);
    const env = { MFA_DATA_DIR: service.dataDir, MFACTL_DEV_DATA_DIR: service.dataDir };
    const { run } = operator(env, { now: () => service.clock.now });
    const { out: token } = await run(["dev", "token", "admin", "root"]);
    const explained = await run(["token", "explain", "--dev"], token);
    expect(explained).toMatchObject({ exit: 0, err: "" });
    expect((await run(["token", "explain", "--dev"], `${token.trim()}x`)).exit).toBe(1);
    expect((await run(["dev", "token", "robot", "r"])).err).toBe('"robot" is none of user, service, admin\n');
  });
});

import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { durationText, instantOf, instantText, secondsOf } from "../../src/cli/mfactl/words.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import { operator } from "./world.ts";

const [sqlite] = engines as [(typeof engines)[number]];

/** A service in dev mode, and somebody who operates it on the same machine. */
async function world(given: Parameters<typeof operator>[1] = {}) {
  const service = await serviceForTest(sqlite);
  const env = { MFACTL_ADDRESS: `http://127.0.0.1:${service.port}`, MFACTL_DEV_DATA_DIR: service.dataDir };
  return { service, ...operator(env, { now: () => service.clock.now, ...given }) };
}

describe("mfactl", () => {
  test("shows a list as a table with short names and times in words, and as JSON", async () => {
    const { service, run } = await world();
    await enrollApp(service, "ann");
    service.pass(3 * 3_600_000);
    const { exit, out } = await run(["admin", "list-user-factors", "--user-id", "ann"]);
    expect(exit).toBe(0);
    expect(out).toMatch(/^factors:\n\s+FACTOR ID +TYPE +STATE .*\n.* totp +active .*2026-03-01 12:00:00Z \(3h ago\)/);
    const json = await run(["admin", "list-user-factors", "--user-id", "ann", "--json"]);
    expect(JSON.parse(json.out).factors).toMatchObject([{ type: "FACTOR_TYPE_TOTP" }]);
    const piped = await run(["admin", "list-user-factors", "--json", "-"], '{"userId": "ann"}');
    expect(piped.out).toBe(json.out);
  });

  test("asks before it takes something away, and does nothing where nobody can be asked", async () => {
    const { service, run } = await world();
    await enrollApp(service, "ann");
    const reset = ["admin", "reset-user-factor", "--user-id", "ann", "--factor-type", "totp", "--reason", "lost phone"];
    expect(await run(reset)).toEqual({
      exit: 2,
      out: "",
      err: "reset-user-factor takes something away for good: repeat it with --yes\n",
    });
    expect((await run([...reset, "--yes"])).exit).toBe(0);
  });

  test("ends with 2 at a misspelt verb, option or value, and names the nearest", async () => {
    const { run } = await world();
    const said = async (...argv: string[]) => {
      const { exit, err } = await run(argv);
      return { exit, err };
    };
    expect(await said("admin", "list-user-factor")).toEqual({
      exit: 2,
      err: "error: unknown command 'list-user-factor'\n(Did you mean list-user-factors?)\n",
    });
    expect(await said("admin", "list-user-factors", "--user", "a")).toEqual({
      exit: 2,
      err: "error: unknown option '--user'\n(Did you mean --user-id?)\n",
    });
    expect(await said("admin", "reset-user-factor", "--factor-type", "topt", "--yes")).toEqual({
      exit: 2,
      err: '--factor-type: "topt" is none of totp, webauthn, push, sms, email, backup-code, temporary-pass: did you mean totp?\n',
    });
    expect((await said("admin", "issue-temporary-pass", "--lifetime", "soon")).err).toBe(
      '--lifetime: "soon" is no duration: write 45s, 30m, 1h30m or 90d\n',
    );
  });

  test("ends with 3 where nothing answers", async () => {
    const { run } = operator({ MFACTL_ADDRESS: "http://127.0.0.1:1", MFACTL_TOKEN: "x" });
    expect(await run(["admin", "list-lockouts"])).toEqual({
      exit: 3,
      out: "",
      err: "nothing listens at http://127.0.0.1:1: start the service, or mend the address\n",
    });
  });

  test("keeps contexts in a file that only their owner reads", async () => {
    const { service, home } = await world();
    const { run } = operator({ HOME: home }, { now: () => service.clock.now });
    const address = `http://127.0.0.1:${service.port}`;
    const token = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" });
    expect((await run(["context", "set", "here", "--address", address, "--token-command", `echo ${token}`])).exit).toBe(
      0,
    );
    const path = join(home, ".config/mfactl.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject({ current: "here" });
    expect((await run(["admin", "list-lockouts"])).exit).toBe(0);
    expect((await run(["context", "list"])).out).toMatch(/\*\s+here\s+http/);
    expect((await run(["admin", "list-lockouts", "--context", "heer"])).err).toBe(
      "there is no context heer: did you mean here?\n",
    );
    await run(["context", "delete", "here"]);
    expect((await run(["context", "use", "here"])).exit).toBe(2);
  });

  test("follows a stream, one JSON object a line, until it is interrupted", async () => {
    const interrupted = new AbortController();
    const lines: string[] = [];
    const { service, run } = await world({
      signal: interrupted.signal,
      out: (text) => {
        lines.push(text);
        interrupted.abort();
      },
    });
    await enrollApp(service, "ann");
    expect((await run(["internal", "tail", "watch-events"])).exit).toBe(0);
    expect(lines.length > 0 && lines.every((line) => typeof JSON.parse(line) === "object")).toBe(true);
  });

  test.each(["bash", "zsh", "fish"])("completes commands in %s", async (shell) => {
    const { run } = operator();
    const lines: string[] = [];
    // The library writes there and nowhere else.
    const log = vi.spyOn(console, "log").mockImplementation((text: string) => void lines.push(text));
    try {
      await run(["completion", shell]);
    } finally {
      log.mockRestore();
    }
    expect(lines.join("\n")).toContain("mfactl");
  });
});

test("durations and times are read and written in words", () => {
  const now = new Date("2026-03-01T12:00:00Z");
  expect(["45s", "1h30m", "90d", "PT6H", "2 weeks", "1h 5m"].map(secondsOf)).toEqual([
    45, 5400, 7_776_000, 21_600, 1_209_600, 3900,
  ]);
  expect([0, 59, 3600, 90_061, -60].map(durationText)).toEqual(["0s", "59s", "1h", "1d 1h", "-1m"]);
  expect(["now", "2h ago", "in 30m", "2026-03-02"].map((text) => instantOf(text, now).toISOString())).toEqual([
    "2026-03-01T12:00:00.000Z",
    "2026-03-01T10:00:00.000Z",
    "2026-03-01T12:30:00.000Z",
    "2026-03-02T00:00:00.000Z",
  ]);
  expect(instantText(new Date("2026-03-01T09:00:00Z"), now)).toBe("2026-03-01 09:00:00Z (3h ago)");
  for (const wrong of ["", "5", "h", "1x", "tomorrow"]) expect(() => secondsOf(wrong)).toThrow("is no duration");
});

import { describe, expect, test } from "vitest";
import { AssertionUndecided, remoteKeys } from "../../src/client/assertion.ts";

const MINUTE_MS = 60_000;
const keyOf = (kid: string) => ({ kty: "OKP", crv: "Ed25519", x: "AAAA", kid });

/** A key set behind a fetch that the test answers, by a clock that the test moves. */
function keySet(...kids: string[]) {
  const state = { calls: 0, down: false, now: new Date("2026-03-01T12:00:00Z"), published: kids, body: "" };
  const waiting: (() => void)[] = [];
  let held = false;
  const fetched = async () => {
    state.calls++;
    const { published } = state;
    if (held) await new Promise<void>((resolve) => waiting.push(resolve));
    if (state.down) throw new TypeError("fetch failed");
    return new Response(state.body || JSON.stringify({ keys: published.map(keyOf) }));
  };
  return {
    state,
    key: remoteKeys("https://mfa.example/jwks", fetched as typeof fetch, () => state.now),
    pass: (ms: number) => {
      state.now = new Date(state.now.getTime() + ms);
    },
    hold: () => {
      held = true;
    },
    release: () => {
      held = false;
      for (const answer of waiting.splice(0)) answer();
    },
  };
}
const outcome = (promise: Promise<unknown>) =>
  promise.then(
    (key) => (key === undefined ? "unknown" : "found"),
    (error: unknown) => (error instanceof AssertionUndecided && error.retry ? "undecided" : error),
  );

describe("keys by url", () => {
  test("an answer without an end is read no further than key sets are long", async () => {
    let sent = 0;
    const pull = (controller: ReadableStreamDefaultController) => {
      sent += 16_384;
      controller.enqueue(new Uint8Array(16_384).fill(32));
    };
    const endless = async () => new Response(new ReadableStream({ pull }));
    expect(await outcome(remoteKeys("https://mfa.example/jwks", endless)("a"))).toBe("undecided");
    expect(sent).toBeLessThan(320 * 1024);
  });

  test("ten log-ins at once share one fetch, and all get the key", async () => {
    const { state, key } = keySet("a");
    const found = await Promise.all(Array.from({ length: 10 }, () => outcome(key("a"))));
    expect(found).toEqual(Array(10).fill("found"));
    expect(state.calls).toBe(1);
  });

  test("ten log-ins at once after ten minutes share one fetch too", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    pass(11 * MINUTE_MS);
    expect(await Promise.all(Array.from({ length: 10 }, () => outcome(key("a"))))).toEqual(Array(10).fill("found"));
    expect(state.calls).toBe(2);
  });

  test("a fetch that failed is tried again after a second, and says so meanwhile", async () => {
    const { state, key, pass } = keySet("a");
    state.down = true;
    expect(await outcome(key("a"))).toBe("undecided");
    expect(await outcome(key("a"))).toBe("undecided");
    expect(state.calls).toBe(1);
    state.down = false;
    pass(1000);
    expect(await outcome(key("a"))).toBe("found");
  });

  test("the pause after failures grows to fifteen seconds and no further", async () => {
    const { state, key, pass } = keySet("a");
    state.down = true;
    for (let n = 0; n < 600; n++) {
      await outcome(key("a"));
      pass(1000);
    }
    // 1, 2, 4, 8 and then every 15 seconds of ten minutes.
    expect(state.calls).toBeGreaterThan(40);
    expect(state.calls).toBeLessThan(46);
    state.down = false;
    pass(15_000);
    expect(await outcome(key("a"))).toBe("found");
  });

  test("are used for an hour while they cannot be fetched, and no longer", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    state.down = true;
    pass(59 * MINUTE_MS);
    expect(await outcome(key("a"))).toBe("found");
    pass(2 * MINUTE_MS);
    expect(await outcome(key("a"))).toBe("undecided");
  });

  test("a key that signs since a moment ago is found at once", async () => {
    const { state, key } = keySet("a");
    await key("a");
    state.published = ["a", "b"];
    expect(await Promise.all([outcome(key("b")), outcome(key("b")), outcome(key("a"))])).toEqual(
      Array(3).fill("found"),
    );
    expect(state.calls).toBe(2);
  });

  test("a key that was published while a fetch was under way is looked for once more", async () => {
    const { state, key, hold, release } = keySet("a");
    hold();
    const first = key("a");
    const second = outcome(key("b"));
    state.published = ["a", "b"];
    release();
    expect(await outcome(first)).toBe("found");
    expect(await second).toBe("found");
  });

  test("made-up ids cause few fetches, and no log-in with a known key suffers", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    const strangers = await Promise.all(Array.from({ length: 1000 }, (_, n) => outcome(key(`made-up-${n}`))));
    for (let n = 0; n < 1000; n++) strangers.push(await outcome(key(`other-${n}`)));
    expect(new Set(strangers)).toEqual(new Set(["unknown", "undecided"]));
    expect(await outcome(key("a"))).toBe("found");
    expect(state.calls).toBeLessThanOrEqual(4);
    pass(MINUTE_MS);
    for (let n = 0; n < 1000; n++) await outcome(key(`third-${n}`));
    expect(state.calls).toBeLessThanOrEqual(7);
  });

  test("an id that no fetch has brought is unknown, and is not looked for again for half a minute", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    for (let n = 0; n < 100; n++) expect(await outcome(key("b"))).toBe("unknown");
    expect(state.calls).toBe(2);
    state.published = ["a", "b"];
    pass(31_000);
    expect(await outcome(key("b"))).toBe("found");
  });

  test("a new id is not called unknown while the key set cannot be asked", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    state.down = true;
    expect(await outcome(key("b"))).toBe("undecided");
    state.down = false;
    state.published = ["a", "b"];
    pass(1000);
    expect(await outcome(key("b"))).toBe("found");
  });

  test("a clock that is set back stops no fetch", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    pass(-24 * 60 * MINUTE_MS);
    state.published = ["b"];
    expect(await outcome(key("b"))).toBe("found");
    pass(11 * MINUTE_MS);
    await key("b");
    expect(state.calls).toBeLessThanOrEqual(3);
  });

  test("a clock that is set back makes no key good for longer than an hour", async () => {
    const { state, key, pass } = keySet("a");
    await key("a");
    pass(-24 * 60 * MINUTE_MS);
    state.down = true;
    expect(await outcome(key("a"))).toBe("found");
    pass(30 * MINUTE_MS);
    expect(await outcome(key("a"))).toBe("found");
    pass(31 * MINUTE_MS);
    expect(await outcome(key("a"))).toBe("undecided");
  });

  test.each([
    ["a page", "<html>"],
    ["an object without keys", "{}"],
    ["null", "null"],
    ["an empty set", '{"keys":[]}'],
    ["a set of nothing that is a key", '{"keys":[null,{"kid":1}]}'],
    ["300 KB", `"${"a".repeat(300_000)}"`],
  ])("an answer that is no key set but %s does not take the place of one", async (_, body) => {
    const { state, key, pass } = keySet("a");
    await key("a");
    state.body = body;
    pass(11 * MINUTE_MS);
    expect(await outcome(key("a"))).toBe("found");
  });
});

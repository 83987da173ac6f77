import { readFile } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { createDestinations } from "../../src/webhooks/destination.ts";
import { createPost } from "../../src/webhooks/post.ts";
import { webhookReceiver } from "../support/fakes/webhook-receiver.ts";

const never = () => new Promise<number>(() => {});

test("a delivery does not wait for others to the same host that are not answered", async () => {
  const receiver = await webhookReceiver(({ url }) => (url === "/slow" ? never() : 204));
  const { networks, caFile } = receiver.settings;
  const options = { destinations: createDestinations(networks), ca: await readFile(caFile, "utf8") };
  const { post, close } = createPost({ ...options, limitMs: 3_600_000 });
  const stop = new AbortController();
  onTestFinished(close);
  onTestFinished(() => stop.abort());
  const at = (path: string) => post(new URL(path, receiver.url).href, { headers: {}, body: "{}" }, stop.signal);
  const slow = Array.from({ length: 32 }, () => at("/slow"));
  expect(await at("/fast")).toBeUndefined();
  stop.abort();
  expect(new Set(await Promise.all(slow))).toEqual(new Set(["STOPPED"]));
});

test("a name whose server does not answer is asked for once, however many deliveries wait for it", async () => {
  let asked = 0;
  const answer = Promise.withResolvers<{ address: string; family: number }[]>();
  const destinations = createDestinations([], () => {
    asked += 1;
    return answer.promise;
  });
  const { post, close } = createPost({ destinations, limitMs: 20 });
  onTestFinished(close);
  const deliver = () => post("https://hangs.example.com/", { headers: {}, body: "{}" }, new AbortController().signal);
  for (let round = 0; round < 2; round++) {
    const outcomes = await Promise.all(Array.from({ length: 8 }, deliver));
    expect(new Set(outcomes)).toEqual(new Set(["TIMEOUT"]));
  }
  expect(asked).toBe(1);
  // Nothing is remembered of an answer: the name may lead elsewhere the next time.
  answer.resolve([{ address: "10.0.0.1", family: 4 }]);
  await answer.promise;
  await nextTurn();
  expect(await destinations.admits("https://hangs.example.com/")).toBe(false);
  expect(asked).toBe(2);
});

test("a connection carries one delivery after the other, and is made anew once the receiver has closed it", async () => {
  const receiver = await webhookReceiver();
  const { networks, caFile } = receiver.settings;
  const { post, close } = createPost({
    destinations: createDestinations(networks),
    ca: await readFile(caFile, "utf8"),
  });
  onTestFinished(close);
  const deliver = () => post(receiver.url, { headers: {}, body: "{}" }, new AbortController().signal);
  for (let n = 0; n < 10; n += 1) expect(await deliver()).toBeUndefined();
  expect(receiver.connections()).toBe(1);
  for (let n = 0; n < 5; n += 1) {
    receiver.closeIdle();
    expect(await deliver()).toBeUndefined();
  }
  expect(receiver.received).toHaveLength(15);
});

test("a name with one address that is not public is not connected to, whichever of its addresses that is", async () => {
  const open = { address: "8.8.8.8", family: 4 };
  const inside = { address: "10.0.0.1", family: 4 };
  const outcome = (found: readonly { address: string; family: number }[], all: boolean) =>
    new Promise<string>((resolve) => {
      createDestinations([], async () => found).lookup("both.example.com", { all }, (error) =>
        resolve(error ? String(error.code) : "OK"),
      );
    });
  for (const all of [true, false]) {
    expect(await outcome([open, inside], all)).toBe("PRIVATE_ADDRESS");
    expect(await outcome([inside, open], all)).toBe("PRIVATE_ADDRESS");
    expect(await outcome([], all)).toBe("PRIVATE_ADDRESS");
    expect(await outcome([open], all)).toBe("OK");
  }
});

test.each([
  "https://name@example.com/",
  "https://:word@example.com/",
  "https://a:b@example.com/",
  "https://example.com/#x",
])("the url %s is not delivered to, since lists would show what it carries", async (url) => {
  const destinations = createDestinations([], async () => [{ address: "8.8.8.8", family: 4 }]);
  expect(await destinations.admits("https://example.com/")).toBe(true);
  expect(await destinations.admits(url)).toBe(false);
});

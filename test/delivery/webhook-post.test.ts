import { readFile } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { createDestinations } from "../../src/webhooks/destination.ts";
import { createPost } from "../../src/webhooks/post.ts";
import { webhookReceiver } from "../support/webhook-receiver.ts";

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

import { readFile } from "node:fs/promises";
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

// Deliveries of webhooks to one endpoint: how many events a second one instance gets rid of, to a receiver in a process
// of its own that answers at once, over SQLite. The events are there before the first round begins.
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { newKeys, parseKeys } from "../src/crypto/key-format.ts";
import { openKeyring } from "../src/crypto/keyring.ts";
import { bindingStore } from "../src/db/bound-rows.ts";
import { openStore } from "../src/db/open.ts";
import { eventRepository } from "../src/events/events.repository.ts";
import { sequenceEvents } from "../src/events/sequencer.ts";
import { createDestinations } from "../src/webhooks/destination.ts";
import { createDispatcher } from "../src/webhooks/dispatcher.ts";
import { createPost } from "../src/webhooks/post.ts";
import { webhookEndpointRepository } from "../src/webhooks/webhook-endpoints.repository.ts";
import { secretCell } from "../src/webhooks/webhooks.ts";

const key = { tenantId: "dev", endpointId: "endpoint" };

async function receiver() {
  const child = fork(join(import.meta.dirname, "webhook-receiver.mjs"), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  const [{ port, ca }] = await new Promise((resolve) => child.once("message", (...args) => resolve(args)));
  return { port, ca, stop: () => child.kill() };
}

const eventOf = (n, users) => ({
  ...{ tenantId: "dev", userId: `user-${n % users}`, type: "PROOF_SUCCEEDED", position: null, factorType: "TOTP" },
  ...{
    failureReason: "UNSPECIFIED",
    attemptsRemaining: 0,
    factorId: "",
    rpc: "",
    ip: "",
    userAgent: "",
    application: "",
  },
  ...{ actorType: "USER", actorId: "", mfaEpoch: 0, challengeDigest: "", createTime: new Date() },
  eventId: `01900000-0000-7000-8000-${String(n).padStart(12, "0")}`,
});

/** Events a second to one endpoint, of as many users as events. */
export async function benchWebhooks({ quick }) {
  const count = quick ? 500 : 5_000;
  const folder = mkdtempSync(join(tmpdir(), "mfa-bench-"));
  const { port, ca, stop } = await receiver();
  const opened = await openStore({ url: `sqlite:${join(folder, "mfa.db")}` });
  const keyring = await openKeyring(parseKeys(newKeys()), opened);
  const store = bindingStore(opened, keyring);
  const { post, close } = createPost({ destinations: createDestinations(["127.0.0.0/8", "::1/128"]), ca });
  const clock = () => new Date();
  const sealedSecret = await keyring.seal(Buffer.alloc(32, 7), secretCell(key));
  await store.write(async (tx) => {
    const now = clock();
    await webhookEndpointRepository(tx).insert({
      ...{ ...key, url: `https://localhost:${port}/`, description: "", types: [], position: 0, sealedSecret },
      ...{ sealedOldSecret: null, oldSecretExpireTime: null, paused: false, version: 1, replays: 0, failures: 0 },
      ...{
        lastError: "",
        leaseId: null,
        lastSuccessTime: null,
        nextAttemptTime: now,
        createTime: now,
        updateTime: now,
      },
    });
    for (let n = 0; n < count; n += 1) await eventRepository(tx).insert(eventOf(n, count));
  });
  await sequenceEvents(store, "dev");
  const dispatcher = createDispatcher({
    ...{ store, keyring, clock, timeOf: async () => clock(), post },
    onFailed: (failed) => process.stderr.write(`${JSON.stringify(failed)}\n`),
    onTrouble: (error) => process.stderr.write(`${error}\n`),
  });
  const [startMs, startCpu] = [performance.now(), process.cpuUsage()];
  await dispatcher.look();
  for (;;) {
    const row = await store.read((tx) => webhookEndpointRepository(tx).find(key));
    if (row.position === count) break;
    await wait(10);
  }
  const ms = performance.now() - startMs;
  const { user, system } = process.cpuUsage(startCpu);
  await dispatcher.stop();
  close();
  stop();
  await store.close();
  rmSync(folder, { recursive: true });
  return { count, rate: (count * 1000) / ms, cpuMs: (user + system) / 1000 / count };
}

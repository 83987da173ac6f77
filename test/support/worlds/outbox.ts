import { setImmediate as nextTurn } from "node:timers/promises";
import { onTestFinished } from "vitest";
import { newKeys, parseKeys } from "../../../src/crypto/key-format.ts";
import { openKeyring } from "../../../src/crypto/keyring.ts";
import { bindingStore } from "../../../src/db/bound-rows.ts";
import type { Denied } from "../../../src/delivery/attempt.ts";
import type { DeliveryOutcome, Outgoing, Provider } from "../../../src/delivery/provider.ts";
import { type Delivered, startWorker, type WorkerOptions } from "../../../src/delivery/worker.ts";
import { outboxRepository } from "../../../src/outbox/outbox.repository.ts";
import { enqueue, type Message, sealContent } from "../../../src/outbox/outbox.ts";
import { wakingStore } from "../../../src/outbox/wake.ts";
import { type EngineUnderTest, openForTest } from "../engine/engines.ts";

/** Whose messages they are. */
export const owner = { tenantId: "dev", userId: "ann" };

/** A provider that keeps what it was given and answers as it is told, at once or when `answer` is called. */
export function scripted(name: string, channel: Provider["channel"], answers: (DeliveryOutcome | "hang")[] = []) {
  const sent: Outgoing[] = [];
  const hanging: ((outcome: DeliveryOutcome) => void)[] = [];
  const provider: Provider = {
    name,
    channel,
    send: (message) => {
      sent.push(message);
      const answer = answers.shift() ?? { outcome: "delivered" };
      return answer === "hang" ? new Promise((resolve) => hanging.push(resolve)) : Promise.resolve(answer);
    },
  };
  return { provider, sent, answer: (outcome: DeliveryOutcome) => hanging.shift()?.(outcome) };
}

/** The outbox of a fresh store, workers on it, and a clock that the test moves. */
export async function outboxForTest(engine: EngineUnderTest) {
  const database = await openForTest(engine);
  const clock = { now: new Date("2026-03-01T12:00:00.000Z") };
  const keyring = await openKeyring(parseKeys(newKeys()), database.store);
  const opened = { ...database, store: bindingStore(database.store, keyring) };

  const work = (
    providers: readonly Provider[],
    changes: Partial<Pick<WorkerOptions, "store" | "keyring" | "limitMs" | "onTrouble" | "clock" | "timeOf">> = {},
  ) => {
    const ends: Delivered[] = [];
    const denials: Denied[] = [];
    let seen = () => {};
    const worker = startWorker({
      store: opened.store,
      keyring,
      providers,
      limitMs: 15_000,
      clock: () => clock.now,
      timeOf: async () => clock.now,
      pollMs: 20,
      onDelivered: (end) => {
        ends.push(end);
        seen();
      },
      onDenied: (denied) => denials.push(denied),
      onTrouble: (error) => {
        throw error;
      },
      ...changes,
    });
    onTestFinished(() => worker.stop(0));
    return {
      ...worker,
      ends,
      denials,
      /** Waits until so many attempts have ended, and answers the last. */
      ended: (count = 1) =>
        new Promise<Delivered>((resolve) => {
          seen = () => {
            const end = ends[count - 1];
            if (end) resolve(end);
          };
          seen();
        }),
    };
  };

  return {
    ...opened,
    keyring,
    clock,
    work,
    pass: (ms: number) => {
      clock.now = new Date(clock.now.getTime() + ms);
    },
    /** Enqueues a message with a code in it, in a unit of its own. */
    send: async (message: Partial<Message> = {}, wake = () => {}) => {
      const sealed = await sealContent(keyring, owner, { code: "123456" });
      const expireTime = new Date(clock.now.getTime() + 300_000);
      const whole = { owner, channel: "sms", kind: "code", expireTime, sealed, ...message } as const;
      await wakingStore(opened.store, wake).write((tx) => enqueue(tx, clock.now, whole));
      return sealed.messageId;
    },
    row: async (messageId: string) => opened.store.read((tx) => outboxRepository(tx).find(owner, messageId)),
    /** Lets everything happen that waits for nothing outside. */
    nextTurn: () => nextTurn(),
  };
}

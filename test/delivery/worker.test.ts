import { describe, expect, test, vi } from "vitest";
import type { Keyring } from "../../src/crypto/keyring.ts";
import { bindingStore } from "../../src/db/bound-rows.ts";
import { databaseTime } from "../../src/db/database-time.ts";
import { claimMode } from "../../src/db/installation.ts";
import type { Store } from "../../src/db/store.ts";
import { pauseMs } from "../../src/delivery/attempt.ts";
import type { DeliveryOutcome } from "../../src/delivery/provider.ts";
import { outboxRepository } from "../../src/outbox/outbox.repository.ts";
import { enqueue } from "../../src/outbox/outbox.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { outboxForTest, owner, scripted } from "../support/worlds/outbox.ts";

const retry: DeliveryOutcome = { outcome: "retry", error: "SMTP_451" };
const denied: DeliveryOutcome = { outcome: "denied", error: "SMTP_535" };
const refused: DeliveryOutcome = { outcome: "refused", error: "SMTP_554" };
const gone: DeliveryOutcome = { outcome: "gone", error: "SMTP_550" };

describe.each(engines)("the delivery of messages on $name", (engine) => {
  test("a message goes out after its commit, once, and its content is forgotten", async () => {
    const outbox = await outboxForTest(engine);
    const sms = scripted("one", "sms");
    const worker = outbox.work([sms.provider]);
    const id = await outbox.send({ data: { locale: "en" } });
    expect(await worker.ended()).toMatchObject({ state: "sent", provider: "one", attempts: 1 });
    expect(sms.sent).toMatchObject([{ owner, kind: "code", content: { code: "123456" }, data: { locale: "en" } }]);
    expect(await outbox.row(id)).toMatchObject({ state: "sent", sealedContent: null, provider: "one", lastError: "" });
    expect(sms.sent[0]?.idempotencyKey).toBe(id);
  });

  test("a commit wakes the worker, a unit that is rolled back does not and sends nothing", async () => {
    const outbox = await outboxForTest(engine);
    const wake = vi.fn();
    await outbox.send({}, wake);
    expect(wake).toHaveBeenCalledTimes(1);
    const expireTime = new Date(outbox.clock.now.getTime() + 1000);
    const undone = outbox.store.write(async (tx) => {
      await enqueue(tx, outbox.clock.now, { owner, channel: "email", kind: "code", expireTime });
      throw new Error("no");
    });
    await expect(undone).rejects.toThrow("no");
    const due = await outbox.store.read((tx) =>
      outboxRepository(tx).listDue({ channel: "email", now: outbox.clock.now, limit: 9 }),
    );
    expect(due).toEqual([]);
  });

  test("of two messages with one key the second is dropped", async () => {
    const outbox = await outboxForTest(engine);
    const first = await outbox.send({ idempotencyKey: "k" });
    const second = await outbox.send({ idempotencyKey: "k" });
    expect(await outbox.row(first)).toMatchObject({ idempotencyKey: "k" });
    expect(await outbox.row(second)).toBeUndefined();
  });

  test("what a provider cannot take at present is tried again after a pause that grows, under the same key", async () => {
    const outbox = await outboxForTest(engine);
    const sms = scripted("one", "sms", [retry, retry]);
    const worker = outbox.work([sms.provider]);
    const id = await outbox.send();
    expect(await worker.ended(1)).toMatchObject({ state: "queued", error: "SMTP_451" });
    expect((await outbox.row(id))?.nextAttemptTime).toEqual(new Date(outbox.clock.now.getTime() + 1000));
    outbox.pass(1000);
    await worker.ended(2);
    expect((await outbox.row(id))?.nextAttemptTime).toEqual(new Date(outbox.clock.now.getTime() + 2000));
    outbox.pass(2000);
    expect(await worker.ended(3)).toMatchObject({ state: "sent", attempts: 3 });
    expect(new Set(sms.sent.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1);
  });

  test("a provider that asks for a longer pause is left alone for that long, an hour at most", async () => {
    const outbox = await outboxForTest(engine);
    const busy = (seconds: number): DeliveryOutcome => ({ ...retry, retryAfterMs: seconds * 1000 });
    const worker = outbox.work([scripted("one", "sms", [busy(60), busy(1), busy(24 * 3600)]).provider]);
    const hours = 3600_000 * 5;
    const id = await outbox.send({ expireTime: new Date(outbox.clock.now.getTime() + hours) });
    for (const [n, pause] of [60_000, 2_000, 3600_000].entries()) {
      await worker.ended(n + 1);
      expect((await outbox.row(id))?.nextAttemptTime).toEqual(new Date(outbox.clock.now.getTime() + pause));
      outbox.pass(pause);
    }
    expect(await worker.ended(4)).toMatchObject({ state: "sent" });
  });

  test.each([
    ["cannot", retry] as const,
    ["will not", refused] as const,
    ["takes from nobody like us", denied] as const,
  ])("what the first provider %s take the second does, at once", async (_, answer) => {
    const outbox = await outboxForTest(engine);
    const [first, second] = [scripted("one", "sms", [answer]), scripted("two", "sms")];
    const worker = outbox.work([first.provider, second.provider]);
    await outbox.send();
    expect(await worker.ended()).toMatchObject({ state: "sent", provider: "two", attempts: 1 });
    expect(second.sent[0]?.idempotencyKey).toBe(first.sent[0]?.idempotencyKey);
  });

  test("an address that is gone is given up at once, and no other provider asked", async () => {
    const outbox = await outboxForTest(engine);
    const [first, second] = [scripted("one", "sms", [gone]), scripted("two", "sms")];
    const worker = outbox.work([first.provider, second.provider]);
    const id = await outbox.send();
    expect(await worker.ended()).toMatchObject({ state: "failed", error: "SMTP_550" });
    expect(second.sent).toEqual([]);
    expect(await outbox.row(id)).toMatchObject({ state: "failed", sealedContent: null, lastError: "SMTP_550" });
  });

  test("what every provider refuses is given up, and so is what has none", async () => {
    const outbox = await outboxForTest(engine);
    const worker = outbox.work([scripted("one", "sms", [refused]).provider]);
    await outbox.send();
    expect(await worker.ended(1)).toMatchObject({ state: "failed", error: "SMTP_554" });
    await outbox.send({ channel: "fcm" });
    expect(await worker.ended(2)).toMatchObject({ state: "failed", error: "NO_PROVIDER" });
  });

  test.each([["cannot", retry] as const, ["is denied to us", denied] as const])(
    "what a provider that %s has not taken is tried until it expires, however often, and keeps why it was not sent",
    async (_, answer) => {
      const outbox = await outboxForTest(engine);
      const sms = scripted("one", "sms", Array(99).fill(answer));
      const worker = outbox.work([sms.provider]);
      const expireTime = new Date(outbox.clock.now.getTime() + 3 * 24 * 3_600_000);
      const id = await outbox.send({ expireTime });
      let n = 1;
      for (; (await worker.ended(n)).state === "queued"; n++) outbox.pass(pauseMs(n));
      expect(n).toBeGreaterThan(70);
      expect(worker.ends.at(-1)).toMatchObject({ state: "expired", error: answer.error });
      expect(await outbox.row(id)).toMatchObject({ state: "expired", sealedContent: null, lastError: answer.error });
      expect(worker.denials).toHaveLength(answer === denied ? n - 1 : 0);
    },
  );

  test("a message that waited for a provider to take anything from us goes out once it does", async () => {
    const outbox = await outboxForTest(engine);
    const mail = scripted("mail", "email", [denied, denied]);
    const worker = outbox.work([mail.provider]);
    const id = await outbox.send({ channel: "email" });
    expect(await worker.ended(1)).toMatchObject({ state: "queued", error: "SMTP_535" });
    expect(await outbox.row(id)).toMatchObject({ state: "queued", lastError: "SMTP_535" });
    outbox.pass(pauseMs(1));
    await worker.ended(2);
    outbox.pass(pauseMs(2));
    expect(await worker.ended(3)).toMatchObject({ state: "sent", provider: "mail", attempts: 3 });
    expect(worker.denials).toEqual(Array(2).fill({ provider: "mail", channel: "email", error: "SMTP_535" }));
  });

  test("that a provider takes nothing from us is told also where the next one does, or has trouble of its own", async () => {
    const outbox = await outboxForTest(engine);
    const [first, second] = [scripted("one", "sms", [denied, retry]), scripted("two", "sms", ["hang", denied])];
    const worker = outbox.work([first.provider, second.provider]);
    await outbox.send();
    await vi.waitUntil(() => second.sent.length === 1);
    second.answer({ outcome: "delivered" });
    expect(await worker.ended(1)).toMatchObject({ state: "sent", provider: "two" });
    await outbox.send();
    expect(await worker.ended(2)).toMatchObject({ state: "queued", error: "SMTP_451" });
    expect(worker.denials.map(({ provider }) => provider)).toEqual(["one", "two"]);
  });

  test("an expired code is never sent: not when it was late, not by the next provider, not at a retry", async () => {
    const outbox = await outboxForTest(engine);
    const late = await outbox.send();
    outbox.pass(300_000);
    const slow = scripted("one", "sms", ["hang", retry]);
    const second = scripted("two", "sms", [retry]);
    const worker = outbox.work([slow.provider, second.provider]);
    expect(await worker.ended(1)).toMatchObject({ state: "expired" });
    expect(await outbox.row(late)).toMatchObject({ state: "expired", sealedContent: null });

    const slowly = await outbox.send({}, worker.wake);
    await vi.waitUntil(() => slow.sent.length === 1);
    outbox.pass(300_000);
    slow.answer(retry);
    expect(await worker.ended(2)).toMatchObject({ state: "expired" });
    expect(await outbox.row(slowly)).toMatchObject({ state: "expired", sealedContent: null });
    expect(second.sent).toEqual([]);

    const again = await outbox.send({}, worker.wake);
    expect(await worker.ended(3)).toMatchObject({ state: "queued" });
    // In one step past both: a look in between would find it due and not yet expired.
    outbox.pass(300_000);
    await worker.ended(4);
    expect(await outbox.row(again)).toMatchObject({ state: "expired", sealedContent: null });
    expect([slow.sent.length, second.sent.length]).toEqual([2, 1]);
  });

  test("a withdrawn message is not sent and holds nothing", async () => {
    const outbox = await outboxForTest(engine);
    const id = await outbox.send();
    await outbox.store.write((tx) =>
      outboxRepository(tx).withdraw({ tenantId: owner.tenantId, messageId: id }, outbox.clock.now),
    );
    const sms = scripted("one", "sms");
    const worker = outbox.work([sms.provider]);
    const next = await outbox.send();
    await worker.ended();
    expect(sms.sent).toMatchObject([{ messageId: next }]);
    expect(await outbox.row(id)).toMatchObject({ state: "expired", sealedContent: null });
  });

  test("a channel whose provider hangs keeps neither other channels nor those who send waiting", async () => {
    const outbox = await outboxForTest(engine);
    const [sms, email] = [scripted("one", "sms", Array(50).fill("hang")), scripted("mail", "email")];
    const worker = outbox.work([sms.provider, email.provider]);
    for (let n = 0; n < 20; n++) await outbox.send();
    await outbox.send({ channel: "email" });
    expect(await worker.ended()).toMatchObject({ channel: "email", state: "sent" });
    await vi.waitUntil(() => sms.sent.length > 0);
    expect(sms.sent.length).toBeLessThan(20);
  });

  test("what somebody waits for goes before any number of messages that nobody does", async () => {
    const outbox = await outboxForTest(engine);
    for (let n = 0; n < 30; n++) await outbox.send({ kind: "factors_imported" });
    outbox.pass(60_000);
    const code = await outbox.send({ urgent: true });
    const sms = scripted("one", "sms", Array(31).fill("hang"));
    outbox.work([sms.provider]);
    await vi.waitUntil(() => sms.sent.length === 8);
    expect(sms.sent.map(({ messageId }) => messageId)).toContain(code);
  });

  test("a provider that does not answer in its time is taken for one that cannot", async () => {
    const outbox = await outboxForTest(engine);
    const worker = outbox.work([scripted("one", "sms", ["hang"]).provider], { limitMs: 50 });
    await outbox.send();
    expect(await worker.ended()).toMatchObject({ state: "queued", error: "TIMEOUT" });
  });

  test("a stop ends the attempts under way, and their messages go out after the next start", async () => {
    const outbox = await outboxForTest(engine);
    const sms = scripted("one", "sms", ["hang"]);
    const worker = outbox.work([sms.provider]);
    await outbox.send();
    await vi.waitUntil(() => sms.sent.length === 1);
    await worker.stop(0);
    expect(worker.ends).toMatchObject([{ state: "queued", error: "STOPPED" }]);
    const next = outbox.work([sms.provider]);
    expect(await next.ended()).toMatchObject({ state: "sent", attempts: 2 });
  });

  test("a lost lease lapses: another worker delivers, and the first cannot settle any more", async () => {
    const outbox = await outboxForTest(engine);
    const lost = scripted("lost", "sms", ["hang"]);
    const first = outbox.work([lost.provider]);
    const id = await outbox.send();
    await vi.waitUntil(() => lost.sent.length === 1);
    // Only the second may look from here on.
    const stopped = first.stop(600_000);
    outbox.pass(60_000);
    const second = outbox.work([scripted("second", "sms").provider]);
    expect(await second.ended()).toMatchObject({ state: "sent", provider: "second", attempts: 2 });
    lost.answer(gone);
    await stopped;
    expect(first.ends).toEqual([]);
    expect(await outbox.row(id)).toMatchObject({ state: "sent", provider: "second", lastError: "" });
  });

  test("of four workers on one queue each message is delivered by one", async () => {
    const outbox = await outboxForTest(engine);
    const stores = engine.name === "postgres" ? await Promise.all([1, 2, 3].map(() => engine.reopen(outbox))) : [];
    const sms = scripted("one", "sms");
    const workers = [outbox.store, ...stores.map((one) => bindingStore(one, outbox.keyring)), outbox.store]
      .slice(0, 4)
      .map((store) => outbox.work([sms.provider], { store }));
    const ids = await Promise.all(Array.from({ length: 100 }, () => outbox.send()));
    await vi.waitUntil(() => workers.flatMap(({ ends }) => ends).length >= 100, { timeout: 20_000 });
    await Promise.all(workers.map((worker) => worker.stop(1000)));
    await Promise.all(stores.map((store) => store.close()));
    expect(sms.sent.map(({ messageId }) => messageId).sort()).toEqual(ids.sort());
  });

  test("what a thief or a fault altered is given up, never sent", async () => {
    const outbox = await outboxForTest(engine);
    const id = await outbox.send();
    const bytes = engine.name === "sqlite" ? "x'0102'" : "'\\x0102'";
    await outbox.execute(`UPDATE outbox_messages SET sealed_content = ${bytes}`);
    const sms = scripted("one", "sms");
    const worker = outbox.work([sms.provider]);
    expect(await worker.ended()).toMatchObject({ messageId: id, state: "failed", error: "SEAL_BROKEN" });
    expect(sms.sent).toEqual([]);
  });

  test("what cannot be opened at present waits, is never tried past its expiry, and is forgotten then", async () => {
    const outbox = await outboxForTest(engine);
    const sms = scripted("one", "sms");
    let asked = 0;
    const keyring: Keyring = {
      ...outbox.keyring,
      open: async () => {
        asked += 1;
        throw new Error("the keys are away");
      },
    };
    const troubles: unknown[] = [];
    const worker = outbox.work([sms.provider], { keyring, onTrouble: (error) => troubles.push(error) });
    const id = await outbox.send();
    expect(await worker.ended(1)).toMatchObject({ state: "queued", attempts: 1, error: "UNOPENED" });
    expect((await outbox.row(id))?.nextAttemptTime).toEqual(new Date(outbox.clock.now.getTime() + 1000));
    outbox.pass(1000);
    expect(await worker.ended(2)).toMatchObject({ state: "queued", attempts: 2 });
    outbox.pass(300_000);
    expect(await worker.ended(3)).toMatchObject({ state: "expired", error: "UNOPENED" });
    expect(await outbox.row(id)).toMatchObject({ state: "expired", sealedContent: null, lastError: "UNOPENED" });
    expect([asked, troubles.length, sms.sent.length]).toEqual([2, 2, 0]);
  });

  test("what could not be opened for a while is sent once it can", async () => {
    const outbox = await outboxForTest(engine);
    const sms = scripted("one", "sms");
    let isAway = true;
    const open: Keyring["open"] = async (...of) => {
      if (isAway) throw new Error("the keys are away");
      return outbox.keyring.open(...of);
    };
    const worker = outbox.work([sms.provider], { keyring: { ...outbox.keyring, open }, onTrouble: () => {} });
    await outbox.send();
    await worker.ended(1);
    isAway = false;
    outbox.pass(1000);
    expect(await worker.ended(2)).toMatchObject({ state: "sent", attempts: 2 });
    expect(sms.sent).toMatchObject([{ content: { code: "123456" } }]);
  });

  test("settled messages are forgotten after a week, queued ones never", async () => {
    const outbox = await outboxForTest(engine);
    const worker = outbox.work([scripted("one", "sms", [gone, retry]).provider]);
    const done = await outbox.send();
    await worker.ended(1);
    const waiting = await outbox.send({ expireTime: new Date("2027-01-01T00:00:00.000Z") });
    await worker.ended(2);
    await worker.stop(0);
    await outbox.store.write((tx) => outboxRepository(tx).purge(new Date(outbox.clock.now.getTime() + 1), 100));
    expect(await outbox.row(done)).toBeUndefined();
    expect(await outbox.row(waiting)).toBeDefined();
  });
});

test("clocks of instances that differ by more than a lease send no message twice, on PostgreSQL", async () => {
  const [, postgres] = engines as [EngineUnderTest, EngineUnderTest];
  const outbox = await outboxForTest(postgres);
  outbox.clock.now = new Date();
  await claimMode(outbox.store, "dev");
  const timeOf = databaseTime(outbox.store);
  const sms = scripted("one", "sms", ["hang"]);
  const first = outbox.work([sms.provider], { timeOf });
  await outbox.send();
  await vi.waitUntil(() => sms.sent.length === 1, { timeout: 20_000 });
  let looks = 0;
  const read: Store["read"] = (work) => {
    looks += 1;
    return outbox.store.read(work);
  };
  const clock = () => new Date(outbox.clock.now.getTime() + 31_000);
  outbox.work([sms.provider], { timeOf, clock, store: { ...outbox.store, read } });
  await vi.waitUntil(() => looks >= 3, { timeout: 20_000 });
  sms.answer({ outcome: "delivered" });
  expect(await first.ended()).toMatchObject({ state: "sent", attempts: 1 });
  expect(sms.sent).toHaveLength(1);
});

import { newId } from "../core/id.ts";
import { SealBroken } from "../crypto/aead.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { TimeOf } from "../db/database-time.ts";
import type { Store } from "../db/store.ts";
import { type OutboxRow, outboxRepository } from "../outbox/outbox.repository.ts";
import { CHANNELS, type Channel } from "../outbox/outbox.table.ts";
import { openContent } from "../outbox/outbox.ts";
import { type Attempted, attempt, type Denied, pauseMs } from "./attempt.ts";
import type { Provider } from "./provider.ts";

/** The result of a message's attempt, for the log. Names no address and no content. */
export interface Delivered {
  readonly messageId: string;
  readonly channel: Channel;
  readonly kind: string;
  readonly state: OutboxRow["state"];
  readonly attempts: number;
  readonly provider: string;
  readonly error: string;
}

/** Dependencies of the worker. */
export interface WorkerOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** The time that all instances share, by which messages are due and leases expire. */
  readonly timeOf: TimeOf;
  /** In the order in which those of one channel are asked. */
  readonly providers: readonly Provider[];
  readonly onDelivered: (delivered: Delivered) => void;
  readonly onDenied: (denied: Denied) => void;
  /** Called when the store or the keys are unavailable; unsettled messages are retried. */
  readonly onTrouble: (error: unknown) => void;
  /** The polling interval, for retries and for messages of other instances. */
  readonly pollMs?: number;
  /** How long one provider may take with one message. */
  readonly limitMs?: number;
}

/** The running worker. */
export interface Worker {
  /** Wakes the worker. */
  wake(): void;
  /** Starts no attempt any more, gives running ones some time, aborts them, and returns their messages to the queue. */
  stop(graceMs: number): Promise<void>;
}

/** Concurrent attempts of one channel, so that a hanging provider delays no other channel. */
const PLACES = 8;

/**
 * Delivers the outbox. An attempt starts with a lease by one conditional statement, so that one of any number of
 * workers gets it; an expired lease is taken again, and the message is retried under the same idempotency key.
 */
export function startWorker(options: WorkerOptions): Worker {
  const {
    store,
    keyring,
    clock,
    timeOf,
    providers,
    onDelivered,
    onDenied,
    onTrouble,
    pollMs = 1000,
    limitMs = 15_000,
  } = options;
  const stop = new AbortController();
  const underWay = new Map<Promise<void>, Channel>();
  const providersOf = Map.groupBy(providers, ({ channel }) => channel);
  const free = (channel: Channel) => PLACES - [...underWay.values()].filter((taken) => taken === channel).length;
  const leaseMs = (channel: Channel) => limitMs * Math.max(1, providersOf.get(channel)?.length ?? 0) + 15_000;
  let stopping = false;
  let looking: Promise<void> | undefined;
  let again = false;
  // A SQLite file has one process at a time, so leases found at start are those of a dead process.
  let orphaned = store.engine === "sqlite";

  const keepers = new Set(providers.filter(({ keepsContent }) => keepsContent).map(({ name }) => name));

  async function settle(row: OutboxRow, state: OutboxRow["state"], { provider = "", error = "" } = {}): Promise<void> {
    const { tenantId, messageId, channel, kind, attempts } = row;
    const sealedContent = state === "sent" && keepers.has(provider) ? row.sealedContent : null;
    const outcome = { state, provider, lastError: error, sealedContent, now: clock() };
    const attempted = { tenantId, messageId, leaseId: row.leaseId ?? "" };
    const ours = await store.write((tx) => outboxRepository(tx).settle({ ...attempted, ...outcome }));
    if (ours) onDelivered({ messageId, channel, kind, state, attempts, provider, error });
  }

  async function putBack(
    row: OutboxRow,
    { provider, error, retryAfterMs = 0 }: { provider: string; error: string; retryAfterMs?: number | undefined },
  ): Promise<void> {
    const { tenantId, messageId, channel, kind, attempts, expireTime, state } = row;
    const waitMs = stopping ? 0 : pauseMs(attempts, retryAfterMs);
    const ours = await store.write(async (tx) => {
      const now = await timeOf(tx);
      const pause = new Date(now.getTime() + waitMs);
      // Due at its expiry at the latest, when its content is deleted.
      const nextAttemptTime = pause < expireTime ? pause : expireTime;
      const retry = { tenantId, messageId, leaseId: row.leaseId ?? "", nextAttemptTime, lastError: error, now };
      return outboxRepository(tx).retry(retry);
    });
    if (ours) onDelivered({ messageId, channel, kind, state, attempts, provider, error });
  }

  async function conclude(row: OutboxRow, result: Attempted | "expired"): Promise<void> {
    if (result === "expired") return settle(row, "expired", { error: row.lastError });
    const { provider } = result;
    if (result.outcome === "delivered") return settle(row, "sent", { provider });
    const failure = { provider, error: result.error, retryAfterMs: result.retryAfterMs };
    const isFinal = result.outcome === "refused" || result.outcome === "gone";
    return isFinal ? settle(row, "failed", failure) : putBack(row, failure);
  }

  async function deliver(row: OutboxRow): Promise<void> {
    const { tenantId, userId, ...message } = row;
    // Before anything that can fail, so that content which cannot be opened now is still deleted in time.
    if (row.expireTime <= clock()) return conclude(row, "expired");
    const content = await openContent(keyring, row).catch((error: unknown) => {
      if (error instanceof SealBroken) return "SEAL_BROKEN" as const;
      onTrouble(error);
      return "UNOPENED" as const;
    });
    if (content === "SEAL_BROKEN") return settle(row, "failed", { error: content });
    if (content === "UNOPENED") return putBack(row, { provider: "", error: content });
    const outgoing = { ...message, owner: { tenantId, userId }, content };
    const result = await attempt(providersOf.get(row.channel) ?? [], outgoing, {
      stopping: stop.signal,
      ...{ limitMs, clock, onDenied },
    });
    await conclude(row, result);
  }

  function begin(row: OutboxRow): void {
    const delivery = deliver(row)
      .catch(onTrouble)
      .finally(() => {
        const wasFull = free(row.channel) === 0;
        underWay.delete(delivery);
        if (wasFull) wake();
      });
    underWay.set(delivery, row.channel);
  }

  /** Starts due attempts as far as there are slots. Returns whether it started any. */
  async function look(): Promise<boolean> {
    const due = await store.read(async (tx) => {
      const now = await timeOf(tx);
      const found = [];
      for (const channel of CHANNELS) {
        if (free(channel) === 0) continue;
        const keys = await outboxRepository(tx).listDue({ channel, now, limit: free(channel) });
        found.push(...keys.map((key) => ({ ...key, leaseId: newId(), leaseMs: leaseMs(channel) })));
      }
      return found;
    });
    if (due.length === 0 || stopping) return false;
    const leased = await store.write(async (tx) => {
      const rows: OutboxRow[] = [];
      const now = await timeOf(tx);
      for (const { leaseMs: ms, ...key } of due) {
        const leaseExpireTime = new Date(now.getTime() + ms);
        const row = await outboxRepository(tx).lease({ ...key, now, leaseExpireTime });
        if (row) rows.push(row);
      }
      return rows;
    });
    leased.forEach(begin);
    return leased.length > 0;
  }

  async function lookAround(): Promise<void> {
    if (orphaned) await store.write(async (tx) => outboxRepository(tx).release(await timeOf(tx)));
    orphaned = false;
    let more = true;
    while (more && !stopping) {
      again = false;
      more = (await look()) || again;
    }
  }

  function wake(): void {
    again = true;
    if (stopping || looking !== undefined) return;
    looking = lookAround()
      .catch(onTrouble)
      .finally(() => {
        looking = undefined;
        // Woken while the last pass was ending.
        if (again && !stopping) setImmediate(wake);
      });
  }

  const timer = setInterval(wake, pollMs);
  timer.unref();
  wake();

  return {
    wake,
    async stop(graceMs) {
      stopping = true;
      clearInterval(timer);
      const end = setTimeout(() => stop.abort(), graceMs);
      await looking;
      while (underWay.size > 0) await Promise.all(underWay.keys());
      clearTimeout(end);
    },
  };
}

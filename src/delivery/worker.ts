import { newId } from "../core/id.ts";
import { SealBroken } from "../crypto/aead.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { type OutboxRow, outboxRepository } from "../outbox/outbox.repository.ts";
import { CHANNELS, type Channel } from "../outbox/outbox.table.ts";
import { openContent } from "../outbox/outbox.ts";
import { type Attempted, attempt, type Denied, pauseMs } from "./attempt.ts";
import type { Provider } from "./provider.ts";

/** How a message ended or was put back, for the log. Names no address and no content. */
export interface Delivered {
  readonly messageId: string;
  readonly channel: Channel;
  readonly kind: string;
  readonly state: OutboxRow["state"];
  readonly attempts: number;
  readonly provider: string;
  readonly error: string;
}

/** What the worker needs of the process. */
export interface WorkerOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** In the order in which those of one channel are asked. */
  readonly providers: readonly Provider[];
  readonly onDelivered: (delivered: Delivered) => void;
  readonly onDenied: (denied: Denied) => void;
  /** Hears of a store or of keys that are away; what was not settled is tried again. */
  readonly onTrouble: (error: unknown) => void;
  /** How often it looks without being woken: for retries, and for what other instances wrote. */
  readonly pollMs?: number;
  /** How long one provider may take with one message. */
  readonly limitMs?: number;
}

/** The delivery of messages, running. */
export interface Worker {
  /** Has it look for messages now. */
  wake(): void;
  /** Begins no attempt any more, gives those under way some time, ends them, and returns them to the queue. */
  stop(graceMs: number): Promise<void>;
}

/** Attempts at once on one channel: one whose provider hangs keeps no other waiting. */
const PLACES = 8;

/**
 * Delivers what the outbox holds. An attempt begins with a lease by one conditional statement, so that of any number of
 * workers on any number of instances one has it; a lease that is not settled in time lapses, and the message is tried
 * again under the same idempotency key.
 */
export function startWorker(options: WorkerOptions): Worker {
  const {
    store,
    keyring,
    clock,
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
  // One process at a time has a SQLite file: what is leased there was leased by one that is dead.
  let orphaned = store.engine === "sqlite";

  const later = (ms: number) => new Date(clock().getTime() + ms);

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
    const pause = later(stopping ? 0 : pauseMs(attempts, retryAfterMs));
    // Due when its time runs out at the latest: then its content is forgotten.
    const nextAttemptTime = pause < expireTime ? pause : expireTime;
    const retry = { tenantId, messageId, leaseId: row.leaseId ?? "", nextAttemptTime, lastError: error, now: clock() };
    const ours = await store.write((tx) => outboxRepository(tx).retry(retry));
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
    // Before anything that can fail: what cannot be opened at present is forgotten in time all the same.
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

  /** Begins what is due, as far as there is room. Says whether it began anything. */
  async function look(): Promise<boolean> {
    const now = clock();
    const due = await store.read(async (tx) => {
      const found = [];
      for (const channel of CHANNELS) {
        if (free(channel) === 0) continue;
        const keys = await outboxRepository(tx).listDue({ channel, now, limit: free(channel) });
        found.push(...keys.map((key) => ({ ...key, leaseId: newId(), now, leaseExpireTime: later(leaseMs(channel)) })));
      }
      return found;
    });
    if (due.length === 0 || stopping) return false;
    const leased = await store.write(async (tx) => {
      const rows: OutboxRow[] = [];
      for (const lease of due) {
        const row = await outboxRepository(tx).lease(lease);
        if (row) rows.push(row);
      }
      return rows;
    });
    leased.forEach(begin);
    return leased.length > 0;
  }

  async function lookAround(): Promise<void> {
    if (orphaned) await store.write((tx) => outboxRepository(tx).release(clock()));
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
        // Asked for while the last look was ending.
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

import { growingPauseMs } from "../core/growing-pause.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { TimeOf } from "../db/database-time.ts";
import type { Store } from "../db/store.ts";
import { eventStreamRepository } from "../events/event-streams.repository.ts";
import { type EventRow, eventRepository } from "../events/events.repository.ts";
import { deliveryRequest } from "./delivery-request.ts";
import type { Post } from "./post.ts";
import { type WebhookEndpointRow, webhookEndpointRepository } from "./webhook-endpoints.repository.ts";
import { secretCell } from "./webhooks.ts";

/** Dependencies of delivery batches. */
export interface DeliveryBatchOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** The time that all instances share, by which batches are due. */
  readonly timeOf: TimeOf;
  readonly post: Post;
  /**
   * Called after a batch with failures: with the endpoint, the kind of the first failure, and the failures in a row.
   */
  readonly onFailed: (failed: {
    readonly endpointId: string;
    readonly error: string;
    readonly failures: number;
  }) => void;
}

/** What this process remembers of an endpoint whose position is held back by a failure. */
interface Memory {
  readonly replays: number;
  /** The events after its position that were delivered. */
  readonly arrived: ReadonlySet<string>;
  /** Batches that failed in a row: the pause grows with them, since one batch may fail for many users at once. */
  readonly failedRounds: number;
}

/** The result of a batch. */
interface Went {
  /** The kinds of failures, in the order in which they came. */
  readonly errors: string[];
  /** Failures since the last successful delivery, of this or an earlier batch. */
  failures: number;
  /** When the last delivery of the batch succeeded. */
  successTime: Date | undefined;
}

/** Events of a batch, and users served side by side. */
const WINDOW = 256;
const LANES = 16;
/** After this many failures without a success the receiver is unavailable: the rest of the batch is not tried. */
const AWAY = 8;
/** How long a batch may start deliveries; the last ones may end later. */
const ROUND_MS = 20_000;
const LONGEST_PAUSE_MS = 15 * 60_000;

/**
 * A batch takes the next events of an endpoint and delivers each user's in order, several users side by side; the
 * endpoint's position then moves up to the first failure. So each event arrives at least once, and no event of a user
 * before an earlier one. Deliveries after a failure are remembered by this process and not repeated by it. `stopping`
 * ends batches early.
 */
export function createDeliveryBatch(
  { store, keyring, clock, timeOf, post, onFailed }: DeliveryBatchOptions,
  stopping: AbortSignal,
) {
  const memories = new Map<string, Memory>();

  async function secretsOf(row: WebhookEndpointRow): Promise<Uint8Array[]> {
    const { sealedSecret, sealedOldSecret, oldSecretExpireTime } = row;
    const isOldGood = sealedOldSecret !== null && oldSecretExpireTime !== null && oldSecretExpireTime > clock();
    const sealed = isOldGood ? [sealedSecret, sealedOldSecret] : [sealedSecret];
    return Promise.all(sealed.map((bytes) => keyring.open(bytes, secretCell(row))));
  }

  /** Whether an event still exists: its user may have been erased since the batch began. */
  const isThere = async ({ tenantId, userId, eventId, position }: EventRow): Promise<boolean> => {
    const place = position ?? 0;
    const span = { tenantId, after: place - 1, through: place, userId, types: "", since: new Date(0), limit: 1 };
    const [found] = await store.read((tx) => eventRepository(tx).list(span));
    return found?.eventId === eventId;
  };

  /** Delivers events, those of one user one after the other up to the first failure. */
  async function deliverAll(row: WebhookEndpointRow, events: readonly EventRow[], done: Set<string>): Promise<Went> {
    const secrets = await secretsOf(row);
    const went: Went = { errors: [], failures: row.failures, successTime: undefined };
    const wanted = new Set(row.types);
    const lanes = [...Map.groupBy(events, ({ userId }) => userId).values()];
    const ends = performance.now() + ROUND_MS;
    let hasAnswered = false;
    const deliver = async (lane: readonly EventRow[]) => {
      for (const event of lane) {
        if (done.has(event.eventId)) continue;
        // Events sent at the start of the batch were just read.
        const isDue = (wanted.size === 0 || wanted.has(event.type)) && (!hasAnswered || (await isThere(event)));
        const isAway = went.successTime === undefined && went.errors.length >= AWAY;
        if (stopping.aborted || isAway || performance.now() > ends) return;
        if (isDue) {
          const failure = await post(row.url, deliveryRequest(event, secrets, clock()), stopping);
          hasAnswered = true;
          if (failure === "STOPPED") return;
          went.failures = failure === undefined ? 0 : went.failures + 1;
          if (failure !== undefined) return void went.errors.push(failure);
          went.successTime = clock();
        }
        done.add(event.eventId);
      }
    };
    const work = async () => {
      for (let lane = lanes.shift(); lane !== undefined; lane = lanes.shift()) await deliver(lane);
    };
    await Promise.all(Array.from({ length: LANES }, work));
    for (const secret of secrets) secret.fill(0);
    return went;
  }

  /** Delivers the next events under a lease. Returns whether more are due at once. */
  return async function round(row: WebhookEndpointRow, leaseId: string): Promise<boolean> {
    const { tenantId, endpointId, replays } = row;
    const { events, floor, end } = await store.read(async (tx) => {
      const stream = await eventStreamRepository(tx).find(tenantId);
      const [floor, end] = [stream?.floor ?? 0, stream?.position ?? 0];
      const after = Math.max(row.position, floor);
      const span = { tenantId, after, through: end, userId: "", types: "", since: new Date(0), limit: WINDOW };
      return { events: await eventRepository(tx).list(span), floor, end };
    });
    const memory = memories.get(endpointId);
    const done = new Set(memory?.replays === replays ? memory.arrived : []);
    const { errors, failures, successTime } = await deliverAll(row, events, done);
    const missing = events.find(({ eventId }) => !done.has(eventId));
    const reached = missing
      ? (missing.position ?? 1) - 1
      : events.length < WINDOW
        ? end
        : (events.at(-1)?.position ?? end);
    const position = Math.max(row.position, floor, reached);
    const hasFailed = errors.length > 0;
    // Another instance delivered meanwhile, or an administrator changed the endpoint: then the pause starts over.
    const failedRounds = hasFailed ? 1 + (row.lastError === "" ? 0 : (memory?.failedRounds ?? 0)) : 0;
    const arrived = new Set(events.flatMap(({ eventId }) => (done.has(eventId) ? [eventId] : [])));
    if (missing) memories.set(endpointId, { replays, arrived, failedRounds });
    else memories.delete(endpointId);
    const key = { tenantId, endpointId };
    const lastSuccessTime = successTime ?? row.lastSuccessTime;
    // A batch that was ended before its first result is not reported.
    const isUntold = missing && !successTime;
    const outcome = {
      ...{ version: row.version, failures, lastError: errors[0] ?? (isUntold ? row.lastError : "") },
      // 410 Gone: paused until an administrator resumes it.
      paused: errors.includes("HTTP_410"),
    };
    const pauseMs = hasFailed ? growingPauseMs(failedRounds, LONGEST_PAUSE_MS) : 0;
    const isOurs = await store.write(async (tx) => {
      const endpoints = webhookEndpointRepository(tx);
      const isOurs = await endpoints.settle({ ...key, leaseId, position, lastSuccessTime });
      const nextAttemptTime = new Date((await timeOf(tx)).getTime() + pauseMs);
      if (isOurs) await endpoints.note({ ...key, ...outcome, nextAttemptTime });
      return isOurs;
    });
    if (hasFailed) onFailed({ endpointId, error: outcome.lastError, failures });
    return isOurs && !hasFailed && position < end;
  };
}

import { growingPauseMs } from "../core/growing-pause.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { eventStreamRepository } from "../events/event-streams.repository.ts";
import { type EventRow, eventRepository } from "../events/events.repository.ts";
import { deliveryRequest } from "./delivery-request.ts";
import type { Post } from "./post.ts";
import { type WebhookEndpointRow, webhookEndpointRepository } from "./webhook-endpoints.repository.ts";
import { secretCell } from "./webhooks.ts";

/** What a round needs of the process. */
export interface RoundOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  readonly post: Post;
  /** Hears of rounds with failures: of which endpoint, the kind of the first, and how many deliveries failed in a row. */
  readonly onFailed: (failed: {
    readonly endpointId: string;
    readonly error: string;
    readonly failures: number;
  }) => void;
}

/** What only this process knows of an endpoint whose place cannot move. */
interface Memory {
  readonly replays: number;
  /** The events behind its place that arrived. */
  readonly arrived: ReadonlySet<string>;
  /** Rounds that failed in a row: the pause grows by them, as one round may fail for many users at once. */
  readonly failedRounds: number;
}

/** How the deliveries of a round went. */
interface Went {
  /** The kinds of failures, in the order in which they came. */
  readonly errors: string[];
  /** Failures since the last delivery that was taken, of this round or an earlier one. */
  failures: number;
  /** When the last one of the round was taken. */
  successTime: Date | undefined;
}

/** Events of a round, and how many users' at once. */
const WINDOW = 64;
const LANES = 8;
/** How long a round may begin deliveries; the last ones take as long as they take. */
const ROUND_MS = 20_000;
const LONGEST_PAUSE_MS = 15 * 60_000;

/**
 * A round takes the next events of an endpoint and delivers each user's in their order, several users' side by side; the
 * endpoint's place then moves to before the first that was not taken. So each event arrives at least once, and no event
 * of a user before an earlier one. What a round delivered behind a failure is remembered by this process, and not
 * repeated by it. `stopping` ends rounds sooner.
 */
export function createRound({ store, keyring, clock, post, onFailed }: RoundOptions, stopping: AbortSignal) {
  const memories = new Map<string, Memory>();

  const later = (ms: number) => new Date(clock().getTime() + ms);

  async function secretsOf(row: WebhookEndpointRow): Promise<Uint8Array[]> {
    const { sealedSecret, sealedOldSecret, oldSecretExpireTime } = row;
    const isOldGood = sealedOldSecret !== null && oldSecretExpireTime !== null && oldSecretExpireTime > clock();
    const sealed = isOldGood ? [sealedSecret, sealedOldSecret] : [sealedSecret];
    return Promise.all(sealed.map((bytes) => keyring.open(bytes, secretCell(row))));
  }

  /** Whether an event is there still: its user may have been erased since the round began. */
  const isThere = async ({ tenantId, userId, eventId, position }: EventRow): Promise<boolean> => {
    const place = position ?? 0;
    const span = { tenantId, after: place - 1, through: place, userId, since: new Date(0), limit: 1 };
    const [found] = await store.read((tx) => eventRepository(tx).list(span));
    return found?.eventId === eventId;
  };

  /** Delivers the events, those of one user one after the other up to the first that fails. */
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
        // What goes out at the beginning was read a moment ago.
        const isDue = (wanted.size === 0 || wanted.has(event.type)) && (!hasAnswered || (await isThere(event)));
        if (stopping.aborted || performance.now() > ends) return;
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

  /** Delivers the next events under a lease. Says whether there are more to be delivered at once. */
  return async function round(row: WebhookEndpointRow, leaseId: string): Promise<boolean> {
    const { tenantId, endpointId, replays } = row;
    const { events, floor, end } = await store.read(async (tx) => {
      const stream = await eventStreamRepository(tx).find(tenantId);
      const [floor, end] = [stream?.floor ?? 0, stream?.position ?? 0];
      const after = Math.max(row.position, floor);
      const span = { tenantId, after, through: end, userId: "", since: new Date(0), limit: WINDOW };
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
    // Another instance found it well meanwhile, or an administrator changed it: then the pause starts over.
    const failedRounds = hasFailed ? 1 + (row.lastError === "" ? 0 : (memory?.failedRounds ?? 0)) : 0;
    const arrived = new Set(events.flatMap(({ eventId }) => (done.has(eventId) ? [eventId] : [])));
    if (missing) memories.set(endpointId, { replays, arrived, failedRounds });
    else memories.delete(endpointId);
    const key = { tenantId, endpointId };
    const lastSuccessTime = successTime ?? row.lastSuccessTime;
    // Of a round that was ended before anything came of it there is nothing to tell.
    const isUntold = missing && !successTime;
    const outcome = {
      ...{ version: row.version, failures, lastError: errors[0] ?? (isUntold ? row.lastError : "") },
      // Gone for good (410): an administrator resumes it.
      paused: errors.includes("HTTP_410"),
      nextAttemptTime: hasFailed ? later(growingPauseMs(failedRounds, LONGEST_PAUSE_MS)) : clock(),
    };
    const isOurs = await store.write(async (tx) => {
      const endpoints = webhookEndpointRepository(tx);
      const isOurs = await endpoints.settle({ ...key, leaseId, position, lastSuccessTime });
      if (isOurs) await endpoints.note({ ...key, ...outcome });
      return isOurs;
    });
    if (hasFailed) onFailed({ endpointId, error: outcome.lastError, failures });
    return isOurs && !hasFailed && position < end;
  };
}

import { growingPauseMs } from "../core/growing-pause.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { eventStreamRepository } from "../events/event-streams.repository.ts";
import { type EventRow, eventRepository } from "../events/events.repository.ts";
import { deliveryRequest } from "./delivery-request.ts";
import type { Failure, Post } from "./post.ts";
import { type WebhookEndpointRow, webhookEndpointRepository } from "./webhook-endpoints.repository.ts";
import { secretCell } from "./webhooks.ts";

/** What a round needs of the process. */
export interface RoundOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  readonly post: Post;
  /** Hears of rounds that failed: of which endpoint, and by which kind of failure. */
  readonly onFailed: (failed: {
    readonly endpointId: string;
    readonly error: string;
    readonly failures: number;
  }) => void;
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
  /** Of endpoints whose place cannot move: the events behind it that arrived. */
  const arrived = new Map<string, Set<string>>();

  const later = (ms: number) => new Date(clock().getTime() + ms);

  async function secretsOf(row: WebhookEndpointRow): Promise<Uint8Array[]> {
    const { sealedSecret, sealedOldSecret, oldSecretExpireTime } = row;
    const isOldGood = sealedOldSecret !== null && oldSecretExpireTime !== null && oldSecretExpireTime > clock();
    const sealed = isOldGood ? [sealedSecret, sealedOldSecret] : [sealedSecret];
    return Promise.all(sealed.map((bytes) => keyring.open(bytes, secretCell(row))));
  }

  /** Delivers the events, those of one user one after the other; answers what failed, by the first failure of each user. */
  async function deliverAll(
    row: WebhookEndpointRow,
    events: readonly EventRow[],
    done: Set<string>,
  ): Promise<string[]> {
    const secrets = await secretsOf(row);
    const failures: string[] = [];
    const wanted = new Set(row.types);
    const lanes = [...Map.groupBy(events, ({ userId }) => userId).values()];
    const ends = performance.now() + ROUND_MS;
    const deliver = async (lane: readonly EventRow[]) => {
      for (const event of lane) {
        if (done.has(event.eventId)) continue;
        if (stopping.aborted || performance.now() > ends) return;
        const isWanted = wanted.size === 0 || wanted.has(event.type);
        const request = isWanted ? deliveryRequest(event, secrets, clock()) : undefined;
        const failure: Failure = request && (await post(row.url, request, stopping));
        if (failure === "STOPPED") return;
        if (failure !== undefined) return void failures.push(failure);
        done.add(event.eventId);
      }
    };
    const work = async () => {
      for (let lane = lanes.shift(); lane !== undefined; lane = lanes.shift()) await deliver(lane);
    };
    await Promise.all(Array.from({ length: LANES }, work));
    for (const secret of secrets) secret.fill(0);
    return failures;
  }

  /** Delivers the next events under a lease. Says whether there are more to be delivered at once. */
  return async function round(row: WebhookEndpointRow, leaseId: string): Promise<boolean> {
    const { tenantId, endpointId } = row;
    const { events, floor, end } = await store.read(async (tx) => {
      const stream = await eventStreamRepository(tx).find(tenantId);
      const [floor, end] = [stream?.floor ?? 0, stream?.position ?? 0];
      const after = Math.max(row.position, floor);
      const span = { tenantId, after, through: end, userId: "", since: new Date(0), limit: WINDOW };
      return { events: await eventRepository(tx).list(span), floor, end };
    });
    const memory = `${endpointId} ${row.replays}`;
    const done = arrived.get(memory) ?? new Set();
    const failed = await deliverAll(row, events, done);
    const missing = events.find(({ eventId }) => !done.has(eventId));
    const reached = missing
      ? (missing.position ?? 1) - 1
      : events.length < WINDOW
        ? end
        : (events.at(-1)?.position ?? end);
    const position = Math.max(row.position, floor, reached);
    const [error = ""] = failed;
    const failures = error === "" ? 0 : row.failures + 1;
    if (missing) arrived.set(memory, done);
    else arrived.delete(memory);
    const key = { tenantId, endpointId };
    const lastSuccessTime = done.size > 0 && error === "" ? clock() : row.lastSuccessTime;
    const outcome = {
      ...{ version: row.version, failures, lastError: error },
      // Gone for good (410): an administrator resumes it.
      paused: failed.includes("HTTP_410"),
      nextAttemptTime: failures === 0 ? clock() : later(growingPauseMs(failures, LONGEST_PAUSE_MS)),
    };
    const isOurs = await store.write(async (tx) => {
      const endpoints = webhookEndpointRepository(tx);
      const isOurs = await endpoints.settle({ ...key, leaseId, position, lastSuccessTime });
      if (isOurs) await endpoints.note({ ...key, ...outcome });
      return isOurs;
    });
    if (error !== "") onFailed({ endpointId, error, failures });
    return isOurs && error === "" && position < end;
  };
}

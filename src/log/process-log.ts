import type { DescMethod } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { StoreDamaged, StoreUnavailable } from "../db/store.ts";
import type { Denied } from "../delivery/attempt.ts";
import type { Delivered } from "../delivery/worker.ts";
import type { RefusedCredential } from "../rpc/access/tokens/told.ts";
import type { PeerKind } from "../rpc/limits/connections.ts";
import type { Metrics } from "../rpc/serve/metrics.ts";
import type { StoreWatch } from "../rpc/serve/store-watch.ts";
import type { EndedRun } from "../schedule/scheduler.ts";

/** Tells the log of what no handler foresaw, and the watch of what may be an outage. An outage of the store is told once a second, not once a call. */
export function unexpectedLog(log: Logger, watch: StoreWatch, onDamage: () => void = () => {}) {
  let silentUntil = 0;
  return (thrown: unknown, { name }: DescMethod) => {
    if (thrown instanceof StoreDamaged) {
      watch.damage();
      onDamage();
      log.error({ rpc: name, err: thrown, alarm: true }, "the database is damaged: restore a backup");
      return;
    }
    const outage = thrown instanceof StoreUnavailable;
    if (outage) watch.outage();
    if (outage && performance.now() < silentUntil) return;
    if (outage) silentUntil = performance.now() + 1000;
    // A driver's error only: a query's own message would hold its parameters.
    log.error({ rpc: name, err: thrown }, outage ? "the store is unavailable" : "unexpected error");
  };
}

/** Tells the log which check a refused token failed. The rate is bounded where they are refused. */
export const tokenLog = (log: Logger) => ({
  tell: ({ text, ...refused }: RefusedCredential) => log.warn(refused, `token refused: ${text}`),
  onUnusableKeys: (issuer: string, why: string) => log.error({ issuer }, `no token of this issuer is taken: ${why}`),
});

const MINUTE_MS = 60_000;

/** Tells the log, once a minute, of connections that were ended because their peer took its calls back in bulk. */
export function cutLog(log: Logger) {
  const silentUntil = new Map<PeerKind, number>();
  const untold = new Map<PeerKind, number>();
  return {
    onCut: (peer: PeerKind) => {
      const connections = (untold.get(peer) ?? 0) + 1;
      untold.set(peer, connections);
      if (performance.now() < (silentUntil.get(peer) ?? 0)) return;
      silentUntil.set(peer, performance.now() + MINUTE_MS);
      untold.delete(peer);
      log.warn({ peer, connections }, "closed connections that cancelled too many calls (rapid reset)");
    },
  };
}

/**
 * Tells the log what became of messages: of those that were given up as a warning, be it at once or when their time ran
 * out. A provider that takes nothing from us is told of once a minute, not once a message; the metrics count each.
 */
export function deliveryLog(log: Logger, metrics: Pick<Metrics, "messageEnded" | "denied">) {
  const silentUntil = new Map<string, number>();
  return {
    onDelivered: ({ state, ...delivered }: Delivered) => {
      if (state !== "queued") metrics.messageEnded({ channel: delivered.channel, state });
      const isLost = state === "failed" || (state === "expired" && delivered.error !== "");
      if (isLost) log.warn({ state, ...delivered }, "a message could not be delivered");
      else log.debug({ state, ...delivered }, "message");
    },
    onDenied: (denied: Denied) => {
      const { provider, channel, error } = denied;
      metrics.denied({ provider, channel, error });
      const key = `${channel} ${provider} ${error}`;
      if (performance.now() < (silentUntil.get(key) ?? 0)) return;
      silentUntil.set(key, performance.now() + MINUTE_MS);
      log.warn(denied, "a provider refuses this service: check its account and credentials");
    },
    onTrouble: (err: unknown) => log.error({ err }, "the delivery of messages is interrupted"),
    onUnstored: (err: unknown) => log.error({ err }, "a delivery report could not be stored"),
  };
}

/** Tells the log of webhook endpoints that do not take events. */
export const webhookLog = (log: Logger) => ({
  onFailed: (failed: object) => log.warn(failed, "deliveries to a webhook endpoint fail"),
  onTrouble: (err: unknown) => log.error({ err }, "the delivery of events to webhooks is interrupted"),
});

/** Tells the log and the metrics of each run of a scheduled task. */
export const scheduleLog = (log: Logger, metrics: Metrics) => ({
  onRun: (run: EndedRun, err?: unknown) => {
    metrics.taskRan(run);
    const isWell = run.outcome === "SUCCEEDED";
    log[isWell ? "info" : "warn"]({ ...run, ...(err !== undefined && { err }) }, "a scheduled task ran");
  },
  onTrouble: (err: unknown) => log.error({ err }, "the scheduler is interrupted"),
});

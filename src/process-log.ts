import type { DescMethod } from "@bufbuild/protobuf";
import type { Logger } from "pino";
import { StoreUnavailable } from "./db/store.ts";
import type { Denied } from "./delivery/attempt.ts";
import type { Delivered } from "./delivery/worker.ts";
import type { Metrics } from "./rpc/metrics.ts";
import type { StoreWatch } from "./rpc/store-watch.ts";
import type { EndedRun } from "./schedule/scheduler.ts";

/** Tells the log of what no handler foresaw. An outage of the store is told once a second, not once a call. */
export function unexpectedLog(log: Logger, watch: StoreWatch) {
  let silentUntil = 0;
  return (thrown: unknown, { name }: DescMethod) => {
    const outage = thrown instanceof StoreUnavailable;
    if (outage) watch.outage();
    if (outage && performance.now() < silentUntil) return;
    if (outage) silentUntil = performance.now() + 1000;
    // A driver's error only: a query's own message would hold its parameters.
    log.error({ rpc: name, err: thrown }, outage ? "the store is unavailable" : "unexpected error");
  };
}

const MINUTE_MS = 60_000;

/**
 * Tells the log what became of messages: of those that were given up as a warning, be it at once or when their time ran
 * out. A provider that takes nothing from us is told of once a minute, not once a message.
 */
export function deliveryLog(log: Logger) {
  const silentUntil = new Map<string, number>();
  return {
    onDelivered: ({ state, ...delivered }: Delivered) => {
      const isLost = state === "failed" || (state === "expired" && delivered.error !== "");
      if (isLost) log.warn({ state, ...delivered }, "a message was given up");
      else log.debug({ state, ...delivered }, "message");
    },
    onDenied: (denied: Denied) => {
      const { provider, channel, error } = denied;
      const key = `${channel} ${provider} ${error}`;
      if (performance.now() < (silentUntil.get(key) ?? 0)) return;
      silentUntil.set(key, performance.now() + MINUTE_MS);
      log.warn(denied, "a provider takes nothing from this service: look at its account and password");
    },
    onTrouble: (err: unknown) => log.error({ err }, "the delivery of messages was held up"),
  };
}

/** Tells the log of webhook endpoints that do not take events. */
export const webhookLog = (log: Logger) => ({
  onFailed: (failed: object) => log.warn(failed, "a webhook endpoint does not take events"),
  onTrouble: (err: unknown) => log.error({ err }, "the delivery of events was held up"),
});

/** Tells the log and the metrics of each run of a scheduled task. */
export const scheduleLog = (log: Logger, metrics: Metrics) => ({
  onRun: (run: EndedRun, err?: unknown) => {
    metrics.taskRan(run);
    const isWell = run.outcome === "SUCCEEDED";
    log[isWell ? "info" : "warn"]({ ...run, ...(err !== undefined && { err }) }, "a scheduled task ran");
  },
  onTrouble: (err: unknown) => log.error({ err }, "the schedule was held up"),
});

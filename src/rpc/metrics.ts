import { Code } from "@connectrpc/connect";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { OnLimit } from "../core/listener-limits.ts";
import type { EndedCall } from "./call-log.ts";
import { reasonOf } from "./errors.ts";

/** What the service tells of itself in numbers: no ids, no addresses, no texts of callers. */
export interface Metrics {
  ended(call: EndedCall): void;
  limit: OnLimit;
  /** A run of a scheduled task is over. */
  taskRan(run: { readonly task: string; readonly outcome: string; readonly ms: number }): void;
  /** A number to be read whenever somebody asks. */
  gauge(name: string, help: string, read: () => number | Readonly<Record<string, number>>, label?: string): void;
  /** In Prometheus' text format, with its content type. */
  render(): Promise<{ readonly type: string; readonly body: string }>;
}

/** From what a cached answer takes to the longest that a call may. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

/** A registry of a service's own, so that several in one process do not add up. */
export function createMetrics(): Metrics {
  const registers = [new Registry()];
  const [register] = registers as [Registry];
  const calls = new Counter({
    name: "mfa_calls_total",
    help: "Calls by RPC and code.",
    labelNames: ["rpc", "code"],
    registers,
  });
  const durations = new Histogram({
    name: "mfa_call_duration_seconds",
    help: "From the end of a call's request to its answer; of streams, their life.",
    labelNames: ["rpc"],
    buckets: SECONDS,
    registers,
  });
  const refusals = new Counter({
    name: "mfa_refusals_total",
    help: "Calls refused, by the reason that the caller was told.",
    labelNames: ["reason"],
    registers,
  });
  const limits = new Counter({
    name: "mfa_limit_hits_total",
    help: "How often peers ran into a limit.",
    labelNames: ["limit"],
    registers,
  });
  const taskRuns = new Counter({
    name: "mfa_task_runs_total",
    help: "Runs of scheduled tasks that this instance has ended, by task and outcome.",
    labelNames: ["task", "outcome"],
    registers,
  });
  const taskDurations = new Histogram({
    name: "mfa_task_duration_seconds",
    help: "How long runs of scheduled tasks took.",
    labelNames: ["task"],
    buckets: SECONDS,
    registers,
  });
  const metrics: Metrics = {
    ended({ method, startedMs, error }) {
      const rpc = `${method.parent.typeName}/${method.name}`;
      calls.inc({ rpc, code: error ? Code[error.code] : "OK" });
      durations.observe({ rpc }, (performance.now() - startedMs) / 1000);
      const reason = error && reasonOf(error);
      if (reason) refusals.inc({ reason });
    },
    limit: (limit) => limits.inc({ limit }),
    taskRan({ task, outcome, ms }) {
      taskRuns.inc({ task, outcome });
      taskDurations.observe({ task }, ms / 1000);
    },
    gauge(name, help, read, label) {
      new Gauge({
        name,
        help,
        ...(label && { labelNames: [label] }),
        registers,
        collect() {
          const now = read();
          if (typeof now === "number") return this.set(now);
          for (const [value, number] of Object.entries(now)) this.set({ [label ?? ""]: value }, number);
        },
      });
    },
    render: async () => ({ type: register.contentType, body: await register.metrics() }),
  };
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  metrics.gauge("process_cpu_seconds", "Processor time since the start.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  let before = performance.eventLoopUtilization();
  metrics.gauge("nodejs_eventloop_utilization", "Share of time the event loop was busy since the last look.", () => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    return utilization;
  });
  return metrics;
}

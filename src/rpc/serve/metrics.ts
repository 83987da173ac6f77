import { Code } from "@connectrpc/connect";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { OnLimit } from "../limits/listener-limits.ts";
import type { EndedCall } from "./call-log.ts";
import { errorReasonOf } from "./errors.ts";

/** The service's metrics: no ids, no addresses, no texts of callers. */
export interface Metrics {
  ended(call: EndedCall): void;
  limit: OnLimit;
  /** A credential was refused by a check, one of a fixed list. */
  credentialRefused(check: string): void;
  /** A message was sent, failed or reported on. */
  messageEnded(message: { readonly channel: string; readonly state: string }): void;
  /** A provider refused this service as a whole: its account or credentials need attention. */
  denied(by: { readonly provider: string; readonly channel: string; readonly error: string }): void;
  /** A call read damaged data. */
  storeDamaged(): void;
  /** New TLS files of a kind of listener could not be used; it keeps those from before. */
  unusableTls(listener: string): void;
  /** A run of a scheduled task has ended. */
  taskRan(run: { readonly task: string; readonly outcome: string; readonly ms: number }): void;
  /** Registers a gauge that is read at each scrape. */
  gauge(name: string, help: string, read: () => number | Readonly<Record<string, number>>, label?: string): void;
  /** In Prometheus' text format, with its content type. */
  render(): Promise<{ readonly type: string; readonly body: string }>;
}

/** From a cached reply to the time limit of calls. */
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
    help: "Seconds from the end of a call's request to its reply; of streams, their lifetime.",
    labelNames: ["rpc"],
    buckets: SECONDS,
    registers,
  });
  const refusals = new Counter({
    name: "mfa_refusals_total",
    help: "Refused calls by ErrorReason.",
    labelNames: ["reason"],
    registers,
  });
  const limits = new Counter({
    name: "mfa_limit_hits_total",
    help: "Times that a peer reached a limit.",
    labelNames: ["limit"],
    registers,
  });
  const credentials = new Counter({
    name: "mfa_credentials_refused_total",
    help: "Access tokens refused, by the check that failed; the log says more.",
    labelNames: ["check"],
    registers,
  });
  const messages = new Counter({
    name: "mfa_messages_total",
    help: "Messages to users by channel and state: sent, delivered (as the provider reports), failed, expired.",
    labelNames: ["channel", "state"],
    registers,
  });
  const denials = new Counter({
    name: "mfa_carrier_denials_total",
    help: "Attempts that a provider refused because of this service's account, by kind of error: worth an alarm.",
    labelNames: ["provider", "channel", "error"],
    registers,
  });
  const damage = new Counter({
    name: "mfa_store_damaged_total",
    help: "Calls that read damaged pages of the database: above 0, a backup has to be restored.",
    registers,
  });
  const unusableTls = new Counter({
    name: "mfa_tls_unusable_total",
    help: "Changes of a listener's TLS files that could not be used; the listener keeps the former certificate.",
    labelNames: ["listener"],
    registers,
  });
  const taskRuns = new Counter({
    name: "mfa_task_runs_total",
    help: "Ended runs of scheduled tasks of this instance, by task and outcome.",
    labelNames: ["task", "outcome"],
    registers,
  });
  const taskDurations = new Histogram({
    name: "mfa_task_duration_seconds",
    help: "Seconds that runs of scheduled tasks took.",
    labelNames: ["task"],
    buckets: SECONDS,
    registers,
  });
  const metrics: Metrics = {
    ended({ method, startedMs, error }) {
      const rpc = `${method.parent.typeName}/${method.name}`;
      calls.inc({ rpc, code: error ? Code[error.code] : "OK" });
      durations.observe({ rpc }, (performance.now() - startedMs) / 1000);
      const reason = error && errorReasonOf(error);
      if (reason) refusals.inc({ reason });
    },
    limit: (limit) => limits.inc({ limit }),
    credentialRefused: (check) => credentials.inc({ check }),
    messageEnded: (message) => messages.inc({ ...message }),
    denied: (by) => denials.inc({ ...by }),
    storeDamaged: () => damage.inc(),
    unusableTls: (listener) => unusableTls.inc({ listener }),
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

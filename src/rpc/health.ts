import { EventEmitter, on } from "node:events";
import { Code, ConnectError, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  type HealthListResponse,
  HealthCheckResponse_ServingStatus as Status,
} from "../../gen/grpc/health/v1/health_pb.js";

/** The health that the server reports of itself (""), and of each service by name. */
export class HealthState extends EventEmitter {
  readonly #statuses: Map<string, Status>;
  #ended = false;

  constructor(services: readonly string[]) {
    super();
    this.setMaxListeners(0);
    this.#statuses = new Map(["", ...services].map((name) => [name, Status.SERVING]));
  }

  /** The status of a service; undefined for one that is not served here. */
  get(service: string): Status | undefined {
    return this.#statuses.get(service);
  }

  /** Whether the process takes calls. */
  get serving(): boolean {
    return this.#statuses.get("") === Status.SERVING;
  }

  /** Every service and its status. */
  all(): HealthListResponse["statuses"] {
    return Object.fromEntries([...this.#statuses].map(([name, status]) => [name, { status }])) as never;
  }

  /** The server is stopping: NOT_SERVING for good, whatever the store does meanwhile. */
  end(): void {
    this.setAll(Status.NOT_SERVING);
    this.#ended = true;
  }

  /** Reports the same status for everything: the services share one store and one process. */
  setAll(status: Status): void {
    if (this.#ended) return;
    for (const name of this.#statuses.keys()) this.#statuses.set(name, status);
    this.emit("change");
  }
}

/** grpc.health.v1 over a state: Check, List, and Watch, which ends when the server drains. */
export function createHealth(state: HealthState): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      const status = state.get(service);
      if (status === undefined) throw new ConnectError("unknown service", Code.NotFound);
      return { status };
    },
    list: () => ({ statuses: state.all() }),
    async *watch({ service }, { signal }: HandlerContext) {
      const changes = on(state, "change", { signal });
      let last = state.get(service) ?? Status.SERVICE_UNKNOWN;
      yield { status: last };
      try {
        for await (const _ of changes) {
          const status = state.get(service) ?? Status.SERVICE_UNKNOWN;
          if (status !== last) yield { status };
          last = status;
        }
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    },
  };
}

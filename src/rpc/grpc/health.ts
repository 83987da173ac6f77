import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  type Health,
  type HealthListResponse,
  HealthCheckResponse_ServingStatus as Status,
} from "../../../gen/grpc/health/v1/health_pb.js";

/** The health that the server reports of itself (""), and of each service by name. */
export class HealthState {
  readonly #statuses: Map<string, Status>;
  readonly #listeners = new Set<() => void>();
  #ended = false;

  constructor(services: readonly string[]) {
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

  /** Calls back after each change. A listening port has one listener for all of its watchers. */
  onChange(heard: () => void): void {
    this.#listeners.add(heard);
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
    for (const heard of this.#listeners) heard();
  }
}

/** grpc.health.v1 over a state: Check and List. Watch is answered by `health-watch.ts`, before grpc-js. */
export function createHealth(state: HealthState): Omit<ServiceImpl<typeof Health>, "watch"> {
  return {
    check({ service }) {
      const status = state.get(service);
      if (status === undefined) throw new ConnectError("unknown service", Code.NotFound);
      return { status };
    },
    list: () => ({ statuses: state.all() }),
  };
}

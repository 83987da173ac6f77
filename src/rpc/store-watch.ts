import { HealthCheckResponse_ServingStatus as Status } from "../../gen/grpc/health/v1/health_pb.js";
import { probeRead, probeWrite } from "../db/installation.ts";
import type { Store } from "../db/store.ts";
import type { HealthState } from "./health.ts";

const PERIOD_MS = 2_000;

/** Keeps health true to the store. */
export interface StoreWatch {
  /** A call met an outage: NOT_SERVING at once, until the store confirms a write. */
  outage(): void;
  end(): void;
}

/**
 * Looks at the store now and then: by a read, which costs next to nothing, and after an outage by a write, since a
 * full disk still reads.
 */
export function watchStore(store: Store, health: HealthState, periodMs = PERIOD_MS): StoreWatch {
  let ended = false;
  let failing = false;
  const report = (usable: boolean) => {
    if (ended) return;
    failing = !usable;
    if (usable !== health.serving) health.setAll(usable ? Status.SERVING : Status.NOT_SERVING);
  };
  const look = async () => {
    await (failing ? probeWrite(store) : probeRead(store)).then(
      () => report(true),
      () => report(false),
    );
    if (!ended) timer = setTimeout(look, periodMs).unref();
  };
  let timer = setTimeout(look, periodMs).unref();
  return {
    outage: () => report(false),
    end: () => {
      ended = true;
      clearTimeout(timer);
    },
  };
}

import { HealthCheckResponse_ServingStatus as Status } from "../../../gen/grpc/health/v1/health_pb.js";
import { probeRead, probeWrite } from "../../db/installation.ts";
import type { Store } from "../../db/store.ts";
import type { HealthState } from "../grpc/health.ts";

const PERIOD_MS = 1_000;
const MINUTE_MS = 60_000;
/** Damaged reads, and their share of the calls of a minute, beyond which the instance is not ready. */
const MAX_DAMAGED = 20;
const MAX_DAMAGED_SHARE = 0.1;

/** Keeps health in step with the store. */
export interface StoreWatch {
  /** A call failed because of the store: NOT_SERVING until the store confirms a write. */
  outage(): void;
  /** A call ended. */
  called(): void;
  /**
   * A call read damaged data. Beyond 20 in a minute and a tenth of its calls: NOT_SERVING until the next start, since a
   * file does not repair itself.
   */
  damage(): void;
  end(): void;
}

/** A store without a confirmation for this long is unavailable. */
const LIMIT_MS = 2_000;

/**
 * Probes the store: periodically by a cheap read, and at once by a write after a call failed because of the store,
 * since a full disk still reads. A call may fail alone, waiting for a locked row, which does not concern the instance.
 */
export function watchStore(store: Store, health: HealthState, periodMs = PERIOD_MS): StoreWatch {
  let ended = false;
  let failing = false;
  let looking = false;
  let timer: NodeJS.Timeout | undefined;
  let broken = false;
  let minute = { since: performance.now(), calls: 0, damaged: 0 };
  const thisMinute = () => {
    const now = performance.now();
    if (now - minute.since > MINUTE_MS) minute = { since: now, calls: 0, damaged: 0 };
    return minute;
  };
  const report = (answered: boolean) => {
    if (ended) return;
    const usable = answered && !broken;
    failing = !usable;
    if (usable !== health.serving) health.setAll(usable ? Status.SERVING : Status.NOT_SERVING);
  };
  const later = () => {
    clearTimeout(timer);
    if (!ended) timer = setTimeout(look, periodMs).unref();
  };
  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    const writes = failing;
    const limit = setTimeout(() => report(false), LIMIT_MS).unref();
    const usable = await (writes ? probeWrite(store) : probeRead(store)).then(
      () => true,
      () => false,
    );
    clearTimeout(limit);
    looking = false;
    // A call failed since this probe began: a successful read says nothing of writes.
    if (usable && failing && !writes) return look();
    report(usable);
    later();
  }
  later();
  return {
    outage: () => {
      failing = true;
      if (!ended) void look();
    },
    called: () => {
      thisMinute().calls++;
    },
    damage() {
      const { calls, damaged } = thisMinute();
      minute.damaged++;
      broken ||= damaged + 1 >= MAX_DAMAGED && damaged + 1 >= calls * MAX_DAMAGED_SHARE;
      if (broken) report(false);
    },
    end: () => {
      ended = true;
      clearTimeout(timer);
    },
  };
}

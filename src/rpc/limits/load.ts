import { type AdmissionControl, createAdmissionControl } from "./admission.ts";
import type { ListenerLimits, OnLimit } from "./listener-limits.ts";
import { limitOpenCalls, type OpenCalls } from "./open-calls.ts";

/** The load limits of a process, over all of its listeners. */
export interface Load {
  readonly work: AdmissionControl;
  /** Unary calls from their headers to their end. */
  readonly calls: OpenCalls;
  /** Streams behind a credential. */
  readonly streams: OpenCalls;
}

type Limits = Pick<ListenerLimits, "maxOpenCalls" | "maxOpenStreams" | "maxQueueMs">;

/** Makes the load limits of a process. */
export const createLoad = (limits: Limits, onLimit: OnLimit): Load => ({
  work: createAdmissionControl(limits.maxQueueMs, onLimit),
  calls: limitOpenCalls(limits.maxOpenCalls, onLimit),
  streams: limitOpenCalls(limits.maxOpenStreams, onLimit),
});

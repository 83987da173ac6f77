import { isSameDigest } from "../../core/session-digest.ts";
import type { PushDeviceRow } from "./push-devices.repository.ts";

/** Whether the session that asks has paired the device itself: such a device is not asked, shown or heard. */
export const hasPaired = (session: Buffer | null, device: Pick<PushDeviceRow, "sessionDigest"> | undefined): boolean =>
  session !== null && isSameDigest(session, device?.sessionDigest ?? null);

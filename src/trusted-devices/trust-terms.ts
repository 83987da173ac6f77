import { durationMs } from "@bufbuild/protobuf/wkt";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import type { TrustedDeviceRow } from "./trusted-devices.repository.ts";

/** No trust lasts longer than 30 days, whatever a tenant sets. */
const MAX_MS = 30 * 24 * 60 * 60 * 1000;
/** No row is newer. */
const NEVER = new Date("9999-12-31T00:00:00.000Z");

/** How long a tenant lets trust last. */
export const longestTrustMs = ({ trustedDevices: { lifetime } }: EffectiveSettings): number =>
  Math.min(MAX_MS, lifetime ? durationMs(lifetime) : MAX_MS);

/** Trust that began then or earlier has ended by the tenant's settings of now: all of it where trust is switched off. */
export const trustedSince = (settings: EffectiveSettings, now: Date): Date =>
  settings.trustedDevices.enabled ? new Date(now.getTime() - longestTrustMs(settings)) : NEVER;

/** The device as it stands by the tenant's settings of now: a lifetime that was shortened since ends it earlier. */
export function cappedTrust(row: TrustedDeviceRow, settings: EffectiveSettings): TrustedDeviceRow {
  const latest = new Date(row.createTime.getTime() + longestTrustMs(settings));
  return row.expireTime <= latest ? row : { ...row, expireTime: latest };
}

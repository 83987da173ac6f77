import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { TrustedDeviceRow } from "./trusted-devices.repository.ts";
import type { Trust } from "./trusted-devices.ts";

/** A device as its user sees it. */
export const trustedDeviceMessage = (row: TrustedDeviceRow, current = false) => ({
  trustedDeviceId: row.trustedDeviceId,
  displayName: row.displayName,
  userAgent: row.userAgent,
  ip: row.ip,
  location: row.location,
  application: row.application,
  current,
  createTime: timestampFromDate(row.createTime),
  lastUseTime: timestampFromDate(row.lastUseTime),
  trustedUntilTime: timestampFromDate(row.expireTime),
});

/** What a presented secret was worth. */
export const deviceTrustMessage = ({ row, trustToken }: Trust) => ({
  trusted: row !== undefined,
  trustToken,
  ...(row && { device: trustedDeviceMessage(row, true) }),
});

import { durationFromMs, durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type StartTotpEnrollmentRequest, TotpAlgorithm, TotpDeviceState } from "../../../gen/mfa/v1/totp_pb.js";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import type { TotpDeviceRow } from "./totp.repository.ts";
import type { CodeParameters } from "./totp-code.ts";

const algorithms = {
  [TotpAlgorithm.UNSPECIFIED]: undefined,
  [TotpAlgorithm.SHA1]: "sha1",
  [TotpAlgorithm.SHA256]: "sha256",
  [TotpAlgorithm.SHA512]: "sha512",
} as const;

const wire = {
  sha1: TotpAlgorithm.SHA1,
  sha256: TotpAlgorithm.SHA256,
  sha512: TotpAlgorithm.SHA512,
  pending: TotpDeviceState.PENDING,
  active: TotpDeviceState.ACTIVE,
  disabled: TotpDeviceState.DISABLED,
  revoked: TotpDeviceState.REVOKED,
} as const;

/** The contract's TotpDevice. */
export const toProto = (row: TotpDeviceRow, primaryFactorId: string | undefined) => ({
  deviceId: row.deviceId,
  displayName: row.displayName,
  state: wire[row.state],
  algorithm: wire[row.algorithm],
  digits: row.digits,
  period: durationFromMs(row.periodSeconds * 1000),
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
  drift: durationFromMs(row.driftSteps * row.periodSeconds * 1000),
  primary: row.deviceId === primaryFactorId,
  version: BigInt(row.version),
});

type Asked = Pick<StartTotpEnrollmentRequest, "algorithm" | "digits" | "period">;

/** How a new device makes its codes: as asked, else as the tenant has it. */
export const parametersOf = ({ algorithm, digits, period }: Asked, { totp }: EffectiveSettings): CodeParameters => ({
  algorithm: algorithms[algorithm] ?? algorithms[totp.algorithm] ?? "sha1",
  digits: (digits || totp.digits) === 8 ? 8 : 6,
  periodSeconds: period ? durationMs(period) / 1000 : 30,
});

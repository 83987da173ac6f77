import { durationFromMs, durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { type StartTotpEnrollmentRequest, TotpAlgorithm, TotpDeviceState } from "../../../gen/mfa/v1/totp_pb.js";
import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PageTokens } from "../../crypto/page-token.ts";
import type { Handlers } from "../../rpc/service.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import { createTotp, type TotpOptions } from "./totp.ts";
import type { CodeParameters } from "./totp-code.ts";

const algorithms = {
  [TotpAlgorithm.UNSPECIFIED]: "sha1",
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

const toProto = (row: TotpDeviceRow) => ({
  deviceId: row.deviceId,
  displayName: row.displayName,
  state: wire[row.state],
  algorithm: wire[row.algorithm],
  digits: row.digits,
  period: durationFromMs(row.periodSeconds * 1000),
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
});

const parametersOf = ({ algorithm, digits, period }: StartTotpEnrollmentRequest): CodeParameters => ({
  algorithm: algorithms[algorithm],
  digits: digits === 8 ? 8 : 6,
  periodSeconds: period ? durationMs(period) / 1000 : 30,
});

const verified = (proof: { deviceId: string } | Refusal, { now }: Call) =>
  proof instanceof Refusal ? proof : { deviceId: proof.deviceId, verifyTime: timestampFromDate(now) };

/** What users do with their authenticator apps, and backends with their users' codes. */
export function createTotpHandlers(options: TotpOptions & { readonly pageTokens: PageTokens }) {
  const totp = createTotp(options);
  const { pageTokens } = options;

  const user = {
    startTotpEnrollment: async (request, call) => {
      const { displayName, accountName } = request;
      const started = await totp.start(call, ownerOf(call.caller), {
        displayName: displayName || "Authenticator app",
        accountName,
        parameters: parametersOf(request),
      });
      if (started instanceof Refusal) return started;
      const { device, provisioning } = started;
      return {
        device: toProto(device),
        provisioning,
        ...(device.expireTime && { expireTime: timestampFromDate(device.expireTime) }),
      };
    },

    finishTotpEnrollment: async (request, call) => {
      // What is asked for here and not given yet is refused, never silently left out.
      if (request.acceptAppParameters || request.generateBackupCodes) return new Refusal("NOT_BUILT");
      const device = await totp.finish(call, ownerOf(call.caller), request);
      return device instanceof Refusal ? device : { device: toProto(device) };
    },

    listTotpDevices: async (request, call) => {
      const position = pageTokens.read(call, request.pageToken);
      const { rows, next } = await call.unit((tx) =>
        totpRepository(tx).list(ownerOf(call.caller), { position, size: request.pageSize || 50, now: call.now }),
      );
      return { devices: rows.map(toProto), nextPageToken: pageTokens.write(call, next) };
    },

    getTotpDevice: async ({ deviceId }, call) => {
      const device = await call.unit((tx) => totpRepository(tx).find({ ...ownerOf(call.caller), deviceId }, call.now));
      return device ? { device: toProto(device) } : new Refusal("NOT_FOUND");
    },

    verifyTotpCode: async ({ code }, call) =>
      verified(await totp.verify(call, ownerOf(call.caller), { code, hideUnenrolled: false }), call),
  } satisfies Handlers<typeof MfaService>;

  const internal = {
    verifyUserTotpCode: async ({ userId, code }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      return verified(await totp.verify(call, owner, { code, hideUnenrolled: true }), call);
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, internal };
}

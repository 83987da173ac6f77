import { durationMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { TemporaryPassRow } from "./temporary-pass.repository.ts";
import type { createTemporaryPasses } from "./temporary-pass.ts";

const DEFAULT_LIFETIME_MS = 60 * 60 * 1000;

const toProto = ({ passId, userId, issuerId, startTime, expireTime, createTime }: TemporaryPassRow) => ({
  passId,
  userId,
  issuerId,
  startTime: timestampFromDate(startTime),
  expireTime: timestampFromDate(expireTime),
  createTime: timestampFromDate(createTime),
});

/** What administrators do with temporary passes. */
export function createTemporaryPassHandlers(passes: ReturnType<typeof createTemporaryPasses>) {
  const admin = {
    issueTemporaryPass: async ({ userId, lifetime, startTime, reason }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const issued = await passes.issue(call, owner, {
        lifetimeMs: lifetime ? durationMs(lifetime) : DEFAULT_LIFETIME_MS,
        startTime: startTime ? timestampDate(startTime) : call.now,
        reason,
      });
      return issued instanceof Refusal ? issued : { pass: toProto(issued.row), code: issued.code };
    },

    revokeTemporaryPass: async ({ userId, reason }, call) => {
      const revoked = await passes.revoke(call, { tenantId: call.caller.tenantId, userId }, reason);
      return revoked instanceof Refusal ? revoked : { revoked };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { LockScope } from "../../gen/mfa/v1/lockout_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Counter } from "./attempts.table.ts";
import { clearLockouts, type Lockout, listLockouts, lockoutsOf } from "./lockouts.ts";

const scopes: Readonly<Record<Counter, LockScope>> = {
  "typed-code": LockScope.CODES,
  webauthn: LockScope.WEBAUTHN,
};

const countersOf = (scope: LockScope) =>
  (Object.keys(scopes) as Counter[]).filter((counter) => scope === LockScope.UNSPECIFIED || scopes[counter] === scope);

const toProto = ({ userId, counter, consecutiveFailures, dayFailures, lockTime, unlockTime }: Lockout) => ({
  userId,
  scope: scopes[counter],
  consecutiveFailureCount: consecutiveFailures,
  dailyFailureCount: dayFailures,
  needsClearing: unlockTime === undefined,
  lockTime: timestampFromDate(lockTime),
  ...(unlockTime && { unlockTime: timestampFromDate(unlockTime) }),
});

/** RPCs by which administrators list and clear locks. */
export function createLockoutHandlers(pageTokens: PageTokens) {
  const admin = {
    listLockouts: async (request, call) => {
      const { userId, scope, needsClearing, pageSize } = request;
      const wanted = countersOf(scope);
      const filter = JSON.stringify([userId, scope, needsClearing]);
      const position = pageTokens.read(call, request.pageToken, filter);
      const owner = { tenantId: call.caller.tenantId, userId };
      const { lockouts, next } = await call.unit(async (tx) =>
        userId
          ? { lockouts: await lockoutsOf(tx, owner, call.now), next: undefined }
          : listLockouts(tx, call, { position, size: pageSize || 50 }),
      );
      const shown = lockouts.filter(
        ({ counter, unlockTime }) => wanted.includes(counter) && !(needsClearing && unlockTime),
      );
      return { lockouts: shown.map(toProto), nextPageToken: pageTokens.write(call, next, filter) };
    },

    clearLockout: async ({ userId, scope, reason }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const cleared = await clearLockouts(call, owner, { counters: countersOf(scope), reason });
      return cleared instanceof Refusal ? cleared : { cleared: cleared.map(toProto) };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

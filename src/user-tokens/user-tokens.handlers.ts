import { durationMs, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import { createUserTokens, type UserTokenOptions } from "./user-tokens.ts";

const DEFAULT_LIFETIME_MS = 5 * 60_000;

/** What backends without an identity provider get for the users whom they log in. */
export function createUserTokenHandlers(options: UserTokenOptions) {
  const tokens = createUserTokens(options);

  const internal = {
    issueUserToken: async ({ userId, sessionId, firstFactorTime, assertion, lifetime }, call) => {
      const issued = await tokens.issue(call, {
        owner: { tenantId: call.caller.tenantId, userId },
        ...{ sessionId, assertion },
        firstFactorTime: firstFactorTime ? timestampDate(firstFactorTime) : call.now,
        lifetimeMs: lifetime ? durationMs(lifetime) : DEFAULT_LIFETIME_MS,
      });
      if (issued instanceof Refusal) return issued;
      const { token, acr, expireTime } = issued;
      return { token, acr, expireTime: timestampFromDate(expireTime) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { internal };
}

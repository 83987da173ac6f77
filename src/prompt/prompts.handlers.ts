import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type { TermsReader } from "../challenges/asked-terms.ts";
import type { ChallengeHandlers } from "../challenges/challenges.handlers.ts";
import { redeemedMessage, trusting } from "../challenges/redemption.handlers.ts";
import { purposeName } from "../challenges/terms.ts";
import type { Handlers } from "../core/handlers.ts";
import { parseIp, sourceOf } from "../core/ip-address.ts";
import { Refusal } from "../core/refusal.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import type { Prompts } from "./prompts.ts";

/** Dependencies of the RPCs of prompts. */
export interface PromptHandlerOptions {
  readonly prompts: Prompts;
  readonly termsOf: TermsReader;
  readonly message: ChallengeHandlers["message"];
  readonly settingsOf: SettingsOf;
}

/** The network of an address: itself, or its IPv6 /64; empty where it is not known. */
const networkOf = (ip: string): string => {
  const address = parseIp(ip);
  return address ? sourceOf(address) : "";
};

/** Whether two values are known and differ. */
const differs = (a: string, b: string): boolean => a !== "" && b !== "" && a !== b;

/** RPCs of hosted prompts: for backends, and for the browser that opened one. */
export function createPromptHandlers({ prompts, termsOf, message, settingsOf }: PromptHandlerOptions) {
  const user = {
    getPrompt: async (_request, call) => {
      const { row, challenge } = await prompts.find(call);
      const { totp } = await settingsOf(row.tenantId);
      return {
        challenge: await message(call, challenge),
        ...{ userId: row.userId, application: row.application, service: totp.issuer, locale: row.locale },
        returnHost: new URL(row.returnUrl).host,
        otherNetwork: differs(networkOf(row.ip), networkOf(call.client.ip)),
        otherBrowser: differs(row.userAgent, call.client.userAgent),
      };
    },
    finishPrompt: async (_request, call) => ({ returnUrl: await prompts.finish(call) }),
    cancelPrompt: async (_request, call) => ({ returnUrl: await prompts.cancel(call) }),
  } satisfies Handlers<typeof MfaService>;

  const internal = {
    createPrompt: async ({ userId, terms, decisionId, returnUrl, state, codeChallenge, locale }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const read = await termsOf(call, owner, { terms, decisionId });
      if (read instanceof Refusal) return read;
      const asked = { terms: read, returnUrl, state, codeChallenge, locale };
      const created = await prompts.create(call, owner, asked);
      if (created instanceof Refusal) return created;
      const { promptId, promptUrl, openBeforeTime, expireTime } = created;
      return {
        ...{ promptId, promptUrl },
        openBeforeTime: timestampFromDate(openBeforeTime),
        expireTime: timestampFromDate(expireTime),
      };
    },
    redeemPrompt: async (request, call) => {
      const { userId, purpose, trust, code, codeVerifier, returnUrl, sessionId, nonce, action } = request;
      const owner = { tenantId: call.caller.tenantId, userId };
      const stated = {
        ...{ code, codeVerifier, returnUrl, sessionId, nonce, action },
        purpose: purposeName(purpose),
        trust: trust && trusting(trust),
      };
      const redeemed = await prompts.redeem(call, owner, stated);
      return redeemed instanceof Refusal ? redeemed : { redeemed: redeemedMessage(redeemed) };
    },
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, internal };
}

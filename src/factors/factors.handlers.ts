import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { FactorState, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import type { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type { Call } from "../core/call.ts";
import { ownerOf } from "../core/caller.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Owner } from "../db/store.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import type { FactorSet } from "./factor.ts";
import { choosePrimary, forgetKind } from "./factor-changes.ts";
import { toFactor, toMfaStatus } from "./factor-messages.ts";
import { factorPageOf } from "./factor-pages.ts";
import { factors, primaryAmong } from "./index.ts";
import { statusOf } from "./status.ts";

/** What is asked about factors of any kind, by users, administrators and backends. */
export function createFactorHandlers({
  settingsOf,
  pageTokens,
  factorSet,
}: {
  settingsOf: SettingsOf;
  pageTokens: PageTokens;
  factorSet: Pick<FactorSet, "guardLast">;
}) {
  const status = async (call: Call, owner: Owner) => {
    const settings = await settingsOf(owner.tenantId);
    return call.unit((tx) => statusOf(tx, call, owner, settings));
  };

  const list = async (call: Call, owner: Owner, request: ListRequest) => {
    const { factorType, state, pageSize, pageToken } = request;
    const filter = JSON.stringify([owner.userId, factorType, state]);
    const position = pageTokens.read(call, pageToken, filter);
    const found = await status(call, owner);
    const wanted = found.held.filter(
      (held) =>
        (factorType === FactorType.UNSPECIFIED || FactorType[held.factor.type] === factorType) &&
        (state === FactorState.UNSPECIFIED || FactorState[held.state] === state),
    );
    const { rows, next } = factorPageOf(wanted, position, pageSize || 50);
    return {
      found,
      factors: rows.map((held) => toFactor(held, found.primary)),
      nextPageToken: pageTokens.write(call, next, filter),
    };
  };

  const user = {
    getMfaStatus: async ({ factorType }, call) => ({
      status: toMfaStatus(await status(call, ownerOf(call.caller)), factorType),
    }),

    listFactors: async (request, call) => {
      const { factors, nextPageToken } = await list(call, ownerOf(call.caller), request);
      return { factors, nextPageToken };
    },

    setPrimaryFactor: async ({ factorId, factorType }, call) => {
      const type = FactorType[factorType] as keyof typeof FactorType; // validation lets defined values pass only
      const held = await choosePrimary(call, ownerOf(call.caller), { factorId, type });
      return held instanceof Refusal ? held : { factor: toFactor(held, primaryAmong([held], held.factorId)) };
    },

    deleteFactor: async ({ factorType, confirmLastFactor }, call) => {
      const factor = factors.find(({ type }) => FactorType[type] === factorType);
      if (!factor) return new Refusal("NOT_ENROLLED");
      const owner = ownerOf(call.caller);
      const webauthnSignals = await call.unit(async (tx) => [
        ...((await factor.signalsOfForgetting?.(tx, owner)) ?? []),
      ]);
      const { count, untrusted } = await forgetKind(call, owner, factor, {
        confirmed: confirmLastFactor,
        set: factorSet,
      });
      const left = toMfaStatus(await status(call, owner));
      return { deletedCount: count, revokedTrustedDeviceCount: untrusted, status: left, webauthnSignals };
    },
  } satisfies Handlers<typeof MfaService>;

  const admin = {
    listUserFactors: async (request, call) => {
      const owner = { tenantId: call.caller.tenantId, userId: request.userId };
      const { found, factors, nextPageToken } = await list(call, owner, request);
      return { factors, status: toMfaStatus(found), nextPageToken };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  const internal = {
    getUserMfaStatus: async ({ userId }, call) => ({
      status: toMfaStatus(await status(call, { tenantId: call.caller.tenantId, userId })),
    }),
  } satisfies Handlers<typeof InternalMfaService>;

  return { user, admin, internal };
}

type ListRequest = {
  readonly factorType: FactorType;
  readonly state: FactorState;
  readonly pageSize: number;
  readonly pageToken: string;
};

import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { ApprovalState } from "../../gen/mfa/v1/approval_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import type { PageTokens } from "../crypto/page-token.ts";
import type { Factor } from "../factors/factor.ts";
import type { ResetResult } from "../resets/resets.ts";
import { type ApprovalRow, type ApprovalStanding, approvalRepository } from "./approvals.repository.ts";
import { type ApprovalOutcome, type Approvals, approvalStateOf, isCall } from "./approvals.ts";

const toReceipt = ({ removed, mfaEpoch, resetTime, coolDownUntil }: ResetResult) => ({
  removed: removed.map(({ kind, count }) => ({ kind, count: BigInt(count) })),
  mfaEpoch: BigInt(mfaEpoch),
  resetTime: timestampFromDate(resetTime),
  ...(coolDownUntil && { coolDownUntilTime: timestampFromDate(coolDownUntil) }),
});

const stateNames = {
  pending: "PENDING",
  granted: "GRANTED",
  rejected: "REJECTED",
  cancelled: "CANCELLED",
  expired: "EXPIRED",
} as const satisfies Record<ApprovalStanding, keyof typeof ApprovalState>;

const standings = Object.keys(stateNames) as ApprovalStanding[];

const describe = ({ userId, reset }: ApprovalRow) => {
  if (isCall(reset)) return reset.description;
  const { factorType, factorId, coolDownMs } = reset;
  const what = factorType === "" ? "every factor, backup code and trust" : `${factorType}${factorId && ` ${factorId}`}`;
  const wait = coolDownMs > 0 ? `, and keep them from enrolling for ${coolDownMs / 1000} s` : "";
  return `Remove ${what} of ${userId}${wait}`;
};

const toApproval = (row: ApprovalRow, now: Date) => ({
  approvalId: row.approvalId,
  state: ApprovalState[stateNames[approvalStateOf(row, now)]],
  rpc: row.reset.rpc,
  userId: row.userId,
  requesterId: row.requesterId,
  reason: row.reason,
  description: describe(row),
  deciderId: row.deciderId,
  decideReason: row.decideReason,
  createTime: timestampFromDate(row.createTime),
  expireTime: timestampFromDate(row.expireTime),
  ...(row.decideTime && { decideTime: timestampFromDate(row.decideTime) }),
});

const reply = (done: ApprovalOutcome | Refusal, now: Date) => {
  if (done instanceof Refusal) return done;
  const outcome =
    "receipt" in done
      ? ({ case: "receipt", value: toReceipt(done.receipt) } as const)
      : ({ case: "approval", value: toApproval(done.approval, now) } as const);
  return { outcome };
};

const decision = (row: ApprovalRow | Refusal, now: Date) =>
  row instanceof Refusal ? row : { approval: toApproval(row, now) };

/** What administrators do about users who lost their factors, and about what another administrator wants done. */
export function createResetHandlers(approvals: Approvals, pageTokens: PageTokens) {
  const admin = {
    resetUserMfa: async ({ userId, reason, coolDown }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const coolDownMs = coolDown ? durationMs(coolDown) : 0;
      const reset = { rpc: "ResetUserMfa", factorType: "", factorId: "", coolDownMs } as const;
      return reply(await approvals.reset(call, owner, reset, reason), call.now);
    },

    resetUserFactor: async ({ userId, factorType, factorId, reason }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const type = FactorType[factorType] as Factor["type"]; // validation lets defined values pass only, and not 0
      const reset = { rpc: "ResetUserFactor", factorType: type, factorId, coolDownMs: 0 } as const;
      return reply(await approvals.reset(call, owner, reset, reason), call.now);
    },

    listApprovals: async ({ state, pageSize, pageToken }, call) => {
      const { tenantId } = call.caller;
      const position = pageTokens.read(call, pageToken, String(state));
      const wanted = standings.find((standing) => ApprovalState[stateNames[standing]] === state) ?? "";
      const { rows, next } = await call.unit((tx) =>
        approvalRepository(tx).list({ tenantId, state: wanted, now: call.now }, { position, size: pageSize || 50 }),
      );
      const nextPageToken = pageTokens.write(call, next, String(state));
      return { approvals: rows.map((row) => toApproval(row, call.now)), nextPageToken };
    },

    getApproval: async ({ approvalId }, call) => {
      const key = { tenantId: call.caller.tenantId, approvalId };
      return decision(
        (await call.unit((tx) => approvalRepository(tx).find(key))) ?? new Refusal("NOT_FOUND"),
        call.now,
      );
    },

    grantApproval: async ({ approvalId, reason }, call) => {
      const granted = await approvals.grant(call, approvalId, reason);
      if (granted instanceof Refusal) return granted;
      const { approval, receipt } = granted;
      return { approval: toApproval(approval, call.now), ...(receipt && { resetReceipt: toReceipt(receipt) }) };
    },

    rejectApproval: async ({ approvalId, reason }, call) =>
      decision(await approvals.reject(call, approvalId, reason), call.now),

    cancelApproval: async ({ approvalId }, call) => decision(await approvals.cancel(call, approvalId), call.now),
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

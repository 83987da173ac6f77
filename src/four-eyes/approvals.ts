import { type Duration, durationMs } from "@bufbuild/protobuf/wkt";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type Reset, type ResetResult, resetIn } from "../resets/resets.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { type ApprovalRow, type ApprovalStanding, approvalRepository } from "./approvals.repository.ts";
import type { GuardedCall } from "./approvals.table.ts";

const LIFETIME_MS = 24 * 60 * 60 * 1000;

/** What became of a reset that was asked for. */
export type ApprovalOutcome = { readonly receipt: ResetResult } | { readonly approval: ApprovalRow };

/** Where an approval stands at `now`. */
export const approvalStateOf = ({ state, expireTime }: ApprovalRow, now: Date): ApprovalStanding =>
  state === "pending" && expireTime <= now ? "expired" : state;

type Waiting = ApprovalRow["reset"];

/** A call of an RPC that is guarded, in distinction to a reset. */
export const isCall = (asked: Waiting): asked is GuardedCall => "digest" in asked;

const isSame = (a: Waiting, b: Waiting): boolean => {
  if (isCall(a) || isCall(b)) return isCall(a) && isCall(b) && a.rpc === b.rpc && a.digest === b.digest;
  return a.rpc === b.rpc && a.factorType === b.factorType && a.factorId === b.factorId && a.coolDownMs === b.coolDownMs;
};

const ownerOf = ({ tenantId, userId }: ApprovalRow): Owner => ({ tenantId, userId });

const decided = (found: ApprovalRow, now: Date) =>
  new Refusal("WRONG_STATE", { metadata: { state: approvalStateOf(found, now).toUpperCase() } });

/** A reset with no shorter a cool-down than its tenant has it. */
const withCoolDown = (reset: Reset, least: Duration | undefined): Reset => ({
  ...reset,
  coolDownMs: Math.max(reset.coolDownMs, least ? durationMs(least) : 0),
});

/**
 * Resets by administrators, at once or, where their tenant asks for four eyes, once a second administrator grants them.
 * What was checked when a reset was asked for is checked again when it is granted.
 */
export function createApprovals(settingsOf: SettingsOf) {
  /** Waits for a second administrator. Asked for again by the same one while it waits, it is the same approval. */
  const ask = async (tx: Tx, call: Call, owner: Owner, reset: Waiting, reason: string) => {
    const approvals = approvalRepository(tx);
    const requesterId = call.caller.subject;
    const open = await approvals.listOpen(owner, call.now);
    const waiting = open.find((one) => one.requesterId === requesterId && isSame(one.reset, reset));
    const row: ApprovalRow = waiting ?? {
      ...owner,
      ...{ approvalId: newId(), reset, reason, requesterId, state: "pending", deciderId: "", decideReason: "" },
      ...{ createTime: call.now, expireTime: new Date(call.now.getTime() + LIFETIME_MS) },
      ...{ decideTime: null, useTime: null },
    };
    if (!waiting) await approvals.insert(row);
    const after = isCall(reset)
      ? { ...reset }
      : { rpc: reset.rpc, factorType: reset.factorType, factorId: reset.factorId };
    await recordAudit(tx, call, { owner, action: "approval.requested", targetId: row.approvalId, reason, after });
    return row;
  };

  const grantedFor = async (tx: Tx, { caller: { tenantId, subject }, now }: Call, asked: GuardedCall) => {
    const granted = await approvalRepository(tx).listGranted({ tenantId, requesterId: subject, now });
    return granted.filter(({ reset }) => isSame(reset, asked));
  };

  /** Decides a pending approval in a unit of its own that has serialised the user; `then` acts on it. */
  const decide = <T>(
    call: Call,
    approvalId: string,
    {
      to,
      reason,
      admit,
    }: { to: "granted" | "rejected" | "cancelled"; reason: string; admit: (row: ApprovalRow) => Refusal | undefined },
    then: (tx: Tx, row: ApprovalRow, epoch: number) => Promise<T>,
  ): Promise<T | Refusal> =>
    call.unit(async (tx) => {
      const { tenantId, subject } = call.caller;
      const approvals = approvalRepository(tx);
      const found = await approvals.find({ tenantId, approvalId });
      if (!found) return new Refusal("NOT_FOUND");
      const refused = admit(found);
      if (refused) return refused;
      // What concerns no single user has none to wait for.
      const epoch = found.userId === "" ? 0 : await userRepository(tx).serialise(ownerOf(found), call.now);
      const deciderId = to === "cancelled" ? "" : subject;
      const asDecided = { state: to, deciderId, decideReason: reason, decideTime: call.now };
      const row = await approvals.decide({ ...found, ...asDecided }, call.now);
      if (!row) {
        // Read again: another call may have decided meanwhile, or the user was erased, of whom nothing must come back.
        const now = await approvals.find({ tenantId, approvalId });
        if (!now) throw new Refusal("NOT_FOUND");
        const repeats = to !== "granted" && now.state === to && now.deciderId === deciderId;
        if (!repeats) return decided(now, call.now);
        await recordAudit(tx, call, { owner: ownerOf(now), action: `approval.${to}`, targetId: approvalId, reason });
        return then(tx, now, epoch);
      }
      await recordAudit(tx, call, { owner: ownerOf(row), action: `approval.${to}`, targetId: approvalId, reason });
      return then(tx, row, epoch);
    });

  /** Nobody decides what they asked for, nor what concerns themselves. */
  const bySomebodyElse =
    ({ subject }: Call["caller"]) =>
    (row: ApprovalRow) =>
      row.requesterId === subject || row.userId === subject ? new Refusal("SELF_ACTION") : undefined;

  return {
    /** Resets a user's factors, or has the reset wait. */
    async reset(call: Call, owner: Owner, asked: Reset, reason: string): Promise<ApprovalOutcome | Refusal> {
      if (call.caller.subject === owner.userId) return new Refusal("SELF_ACTION");
      const { fourEyes, resetCoolDown } = (await settingsOf(owner.tenantId)).administration;
      const reset = withCoolDown(asked, resetCoolDown);
      return call.unit(async (tx) => {
        const epoch = await userRepository(tx).serialise(owner, call.now);
        if (fourEyes) return { approval: await ask(tx, call, owner, reset, reason) };
        return { receipt: await resetIn(tx, call, owner, { reset, reason, epoch }) };
      });
    },

    /** Asks for the approval of a call; returns APPROVAL_REQUIRED with its id. */
    askFor: (call: Call, owner: Owner, asked: GuardedCall, reason: string): Promise<Refusal> =>
      call.unit(async (tx) => {
        if (owner.userId !== "") await userRepository(tx).serialise(owner, call.now);
        const { approvalId } = await ask(tx, call, owner, asked, reason);
        return new Refusal("APPROVAL_REQUIRED", { metadata: { approval_id: approvalId } });
      }),

    /** Whether an approval of this very call was granted to the caller and is not used up. */
    isGranted: (call: Call, asked: GuardedCall): Promise<boolean> =>
      call.read(async (tx) => (await grantedFor(tx, call, asked)).length > 0),

    /**
     * Uses an approval up in the unit that does what it is for, so that neither is kept without the other; returns its
     * id, and undefined where another call was first.
     */
    async use(tx: Tx, call: Call, owner: Owner, asked: GuardedCall): Promise<string | undefined> {
      if (owner.userId !== "") await userRepository(tx).serialise(owner, call.now);
      for (const { tenantId, approvalId } of await grantedFor(tx, call, asked)) {
        if (await approvalRepository(tx).use({ tenantId, approvalId }, call.now)) return approvalId;
      }
      return undefined;
    },

    /** Grants what another administrator asked for, and does it. */
    async grant(call: Call, approvalId: string, reason: string) {
      const { resetCoolDown } = (await settingsOf(call.caller.tenantId)).administration;
      return decide(
        call,
        approvalId,
        { to: "granted", reason, admit: bySomebodyElse(call.caller) },
        async (tx, approval, epoch) => {
          if (isCall(approval.reset)) return { approval, receipt: undefined };
          const reset = withCoolDown(approval.reset, resetCoolDown);
          const granted = { reset, reason: approval.reason, epoch, approval: approvalId };
          return { approval, receipt: await resetIn(tx, call, ownerOf(approval), granted) };
        },
      );
    },

    /** Rejects what another administrator asked for. */
    reject: (call: Call, approvalId: string, reason: string) =>
      decide(call, approvalId, { to: "rejected", reason, admit: bySomebodyElse(call.caller) }, async (_, row) => row),

    /** Takes back what the caller asked for; anybody else's is not there for them. */
    cancel: (call: Call, approvalId: string) =>
      decide(
        call,
        approvalId,
        {
          to: "cancelled",
          reason: "",
          admit: ({ requesterId }) => (requesterId === call.caller.subject ? undefined : new Refusal("NOT_FOUND")),
        },
        async (_, row) => row,
      ),
  };
}

/** Resets, and what waits for a second administrator. */
export type Approvals = ReturnType<typeof createApprovals>;

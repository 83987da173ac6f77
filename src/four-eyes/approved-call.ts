import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { approvalRepository } from "./approvals.repository.ts";

/** What uses an approval up: returns its id, and undefined where another call was first. */
interface Using {
  use(tx: Tx): Promise<string | undefined>;
  readonly rpc: string;
}

/** One call that an approval lets in, and what becomes of the approval. */
interface ApprovedCall {
  /** The call, the first unit of which uses the approval up. */
  readonly call: Call;
  /** Whether another call had used the approval up before this one could. */
  isTaken(): boolean;
  /** Lets the approval be used again, after a refusal behind the unit that used it. */
  giveBack(): Promise<void>;
}

/**
 * Ties an approval to the units of one call. It is used up in the unit that writes what was approved: what the store
 * loses of the one, it loses of the other, and the same request can be sent again.
 */
export function approvedCall(call: Call, owner: Owner, { use, rpc }: Using): ApprovedCall {
  let [used, isTaken] = ["", false];
  const { tenantId } = owner;

  const unit: Call["unit"] = async (work) => {
    if (used !== "") return call.unit(work);
    let taken = "";
    const result = await call.unit(async (tx) => {
      const approvalId = await use(tx);
      isTaken = approvalId === undefined;
      if (approvalId === undefined) throw new Refusal("APPROVAL_REQUIRED");
      const done = await work(tx);
      taken = approvalId;
      if (done instanceof Refusal) await approvalRepository(tx).giveBack({ tenantId, approvalId });
      else await recordAudit(tx, call, { owner, action: "approval.used", targetId: approvalId, after: { rpc } });
      return done;
    });
    used = result instanceof Refusal ? "" : taken;
    return result;
  };

  return {
    call: {
      ...{
        caller: call.caller,
        client: call.client,
        now: call.now,
        rpc: call.rpc,
        callId: call.callId,
        sign: call.sign,
      },
      get signal() {
        return call.signal;
      },
      ...{ guess: () => call.guess(), clock: () => call.clock(), lockProfile: () => call.lockProfile() },
      read: (work) => call.read(work),
      confirmAccess: (tx) => call.confirmAccess(tx),
      unit,
    },
    isTaken: () => isTaken,
    async giveBack() {
      if (used !== "") await call.unit((tx) => approvalRepository(tx).giveBack({ tenantId, approvalId: used }));
    },
  };
}

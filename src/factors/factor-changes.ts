import type { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { recordAudit, recordChange, recordUpdate } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner } from "../db/store.ts";
import { trustedDeviceRepository } from "../trusted-devices/trusted-devices.repository.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Factor, FactorSet } from "./factor.ts";
import { type Held, listHeld } from "./index.ts";

/** Makes one active factor the user's first choice. `type`, if given, must be its kind. */
export async function choosePrimary(
  call: Call,
  owner: Owner,
  { factorId, type }: { factorId: string; type: keyof typeof FactorType },
): Promise<Held | Refusal> {
  return call.unit(async (tx) => {
    const users = userRepository(tx);
    await users.serialise(owner, call.now);
    const held = (await listHeld(tx, owner, call.now)).find((one) => one.factorId === factorId);
    if (!held || (type !== "UNSPECIFIED" && held.factor.type !== type)) return new Refusal("NOT_FOUND");
    if (held.state !== "ACTIVE") return new Refusal("WRONG_STATE");
    await users.choose(owner, factorId);
    const change = { owner, factorType: held.factor.type, targetId: factorId } as const;
    await recordUpdate(tx, call, { ...change, type: "FACTOR_UPDATED", action: "factor.made_primary" });
    return held;
  });
}

/** Forgets every instance of a kind; says how many there were, and how many trusted devices lost their trust with it. */
export async function forgetKind(
  call: Call,
  owner: Owner,
  factor: Factor,
  { confirmed, set }: { readonly confirmed: boolean; readonly set: Pick<FactorSet, "guardLast"> },
) {
  return call.unit(async (tx) => {
    const epoch = await userRepository(tx).serialise(owner, call.now);
    const trusted = await trustedDeviceRepository(tx).countStanding({
      ...owner,
      epoch,
      now: call.now,
      since: new Date(0),
    });
    const held = (await listHeld(tx, owner, call.now)).filter((one) => one.factor === factor);
    const count = await factor.forget(tx, owner, call.now);
    const lost = factor.counts && held.some(({ state }) => state === "ACTIVE");
    if (lost) await set.guardLast(tx, call, owner, confirmed);
    const change = { owner, factorType: factor.type, targetId: "" } as const;
    const after = { factorType: factor.type, deleted: count };
    // Where there was none, nothing about the user has changed.
    const record = count > 0 ? recordChange : recordAudit;
    await record(tx, call, { ...change, type: "FACTOR_REMOVED", action: "factor.deleted", after });
    return { count, untrusted: count > 0 ? trusted : 0 };
  });
}

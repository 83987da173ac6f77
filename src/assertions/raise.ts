import { ownerOf } from "../core/caller.ts";
import type { Raise } from "../core/raise.ts";
import { Refusal } from "../core/refusal.ts";
import { factorOf } from "../factors/index.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Assertions } from "./assertions.ts";
import { isByBackupCode, isUsedUp, kindsOf } from "./methods.ts";

/** The audience of assertions for this service's own RPCs. */
const OWN_AUDIENCE = "mfa";

/** Dependencies of raising. */
export interface RaiseOptions {
  readonly assertions: Assertions;
  readonly settingsOf: SettingsOf;
}

/** The RPCs that enroll a factor or put one in the place of another. */
const ENROLLS = /^(Start|Finish)\w+(Enrollment|Registration)$|^Replace|^(Generate|Confirm)BackupCodes$/;

/**
 * Takes an assertion in the place of a fresh aal2: for the caller, their session and this one RPC. The call uses it up in
 * its own unit, so that it runs at most once for it, and a refused call keeps it.
 */
export function createRaise({ assertions, settingsOf }: RaiseOptions): Raise {
  /** The assertions of calls under way. Between instances their units decide. */
  const held = new Set<string>();

  /**
   * Whether what proved it is enough for the RPC: by kinds that the tenant still has on; a code that is used up earns no
   * trust, and enrolls only by policy.
   */
  const isEnough = async (tenantId: string, amr: readonly string[], rpc: string): Promise<boolean> => {
    const settings = await settingsOf(tenantId);
    if (!kindsOf(amr).every((type) => factorOf(type).isOn(settings))) return false;
    if (isUsedUp(amr) && rpc === "TrustDevice") return false;
    if (!isByBackupCode(amr) || ENROLLS.test(rpc)) return true;
    return !settings.backupCodes.restrictSession;
  };

  return async (caller, token, { rpc, maxAgeMs }) => {
    const owner = ownerOf(caller);
    const claims = await assertions.read(token, OWN_AUDIENCE, {
      ...owner,
      sessionId: caller.sessionId,
      action: { type: "mfa.rpc", parameters: { name: rpc } },
      acr: "aal2",
      purpose: "step_up",
      ...(maxAgeMs !== undefined && { maxAgeSeconds: maxAgeMs / 1000 }),
    });
    if (!(await isEnough(owner.tenantId, claims.amr, rpc))) {
      throw new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
    }
    return {
      caller: { ...caller, acr: "aal2", authTime: new Date(claims.auth_time * 1000) },
      hold() {
        if (held.has(claims.jti)) throw new Refusal("ASSERTION_REJECTED");
        held.add(claims.jti);
        return () => void held.delete(claims.jti);
      },
      standing: (tx, now) => assertions.standingOf(tx, owner, claims, now),
      noteReplay: (tx, call) => assertions.noteReplay(tx, call, owner, claims),
      async consume(tx, now) {
        await userRepository(tx).serialise(owner, now);
        await assertions.confirm(tx, owner, claims, now);
        await assertions.consume(tx, owner, claims, now);
      },
      giveBack: (tx) => assertions.giveBack(tx, owner, claims),
    };
  };
}

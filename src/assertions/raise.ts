import { ownerOf } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { writingAbout } from "../protection/tombstones.ts";
import type { Raise } from "../rpc/gate.ts";
import type { SettingsOf } from "../tenants/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Assertions } from "./assertions.ts";
import { isByBackupCode, isUsedUp } from "./methods.ts";

/** The audience of assertions for this service's own RPCs. */
const OWN_AUDIENCE = "mfa";

/** What raising needs of the process. */
export interface RaiseOptions {
  readonly assertions: Assertions;
  readonly store: Store;
  readonly keyring: Keyring;
  readonly settingsOf: SettingsOf;
}

/** The RPCs that enrol a factor or put one in the place of another. */
const ENROLS = /^(Start|Finish)\w+(Enrollment|Registration)$|^Replace|^(Generate|Confirm)BackupCodes$/;

/**
 * Takes an assertion in the place of a fresh aal2: for the caller, their session and this one RPC, used up before the
 * RPC runs, so that it runs at most once for it.
 */
export function createRaise({ assertions, store, keyring, settingsOf }: RaiseOptions): Raise {
  /** Whether what proved it is enough for the RPC: a code that is used up earns no trust, and enrols only by policy. */
  const isEnough = async (tenantId: string, amr: readonly string[], rpc: string): Promise<boolean> => {
    if (isUsedUp(amr) && rpc === "TrustDevice") return false;
    if (!isByBackupCode(amr) || ENROLS.test(rpc)) return true;
    return !(await settingsOf(tenantId)).backupCodes.restrictSession;
  };

  return async (caller, token, { rpc, maxAgeMs, now }) => {
    const owner = ownerOf(caller);
    const claims = await assertions.read(token, OWN_AUDIENCE, {
      ...owner,
      sessionId: caller.sessionId,
      action: { type: "mfa.rpc", parameters: { name: rpc } },
      acr: "aal2",
      ...(maxAgeMs !== undefined && { maxAgeSeconds: maxAgeMs / 1000 }),
    });
    if (!(await isEnough(owner.tenantId, claims.amr, rpc))) {
      throw new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });
    }
    const writer = writingAbout(store, keyring, owner, { begun: now, authTime: caller.authTime ?? caller.issueTime });
    await writer.write(async (tx) => {
      await userRepository(tx).serialise(owner, now);
      await assertions.confirm(tx, owner, claims, now);
      await assertions.consume(tx, owner, claims, now);
    });
    return { ...caller, acr: "aal2", authTime: new Date(claims.auth_time * 1000) };
  };
}

import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { KdfPool } from "../../crypto/kdf-pool.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { drawRecoveryCode, readRecoveryCode, showRecoveryCode } from "../../crypto/recovery-code.ts";
import { createRecoveryCodeHash } from "../../crypto/recovery-code-hash.ts";
import type { Owner } from "../../db/store.ts";
import type { Proof } from "../../protection/proof.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import { type TemporaryPassRow, temporaryPassRepository } from "./temporary-pass.repository.ts";

/** Dependencies of temporary passes. */
export interface TemporaryPassOptions {
  readonly keyring: Keyring;
  readonly kdf: KdfPool;
  /** Of the tenant: whether there are any. */
  readonly settingsOf: SettingsOf;
}

/** A pass as an administrator asks for it. */
export interface NewPass {
  readonly lifetimeMs: number;
  /** From when it is good; a time that has passed means now. */
  readonly startTime: Date;
  readonly reason: string;
}

const MAX_AHEAD_MS = 30 * 24 * 60 * 60 * 1000;

const belongingOf = ({ tenantId, userId, passId }: TemporaryPassRow) => ({ tenantId, userId, setId: passId });

/** Temporary passes: one a user, from an administrator, good once within its time. */
export function createTemporaryPasses({ keyring, kdf, settingsOf }: TemporaryPassOptions) {
  const hash = createRecoveryCodeHash(keyring, kdf, "temporary-pass/v1");

  const draw = async (owner: Owner, issuerId: string, { startTime, lifetimeMs }: NewPass, now: Date) => {
    const place = hash.enter();
    try {
      const code = drawRecoveryCode();
      const passId = newId();
      const hashed = await hash.hash(code, { ...owner, setId: passId });
      const expireTime = new Date(startTime.getTime() + lifetimeMs);
      const times = { startTime, expireTime, createTime: now, useTime: null };
      const row: TemporaryPassRow = { ...owner, passId, issuerId, selector: code.selector, ...hashed, ...times };
      return { row, code: showRecoveryCode(code) };
    } finally {
      place.leave();
    }
  };

  return {
    /** Issues a pass in the place of an earlier one, and shows it this once. */
    async issue(call: Call, owner: Owner, asked: NewPass) {
      const { now, caller } = call;
      if (caller.subject === owner.userId) return new Refusal("SELF_ACTION");
      if ((await settingsOf(owner.tenantId)).administration.denyTemporaryPasses) {
        return new Refusal("POLICY_FORBIDS", { metadata: { policy: "administration.deny_temporary_passes" } });
      }
      // Written so that a time beyond what a Date can hold is refused too.
      if (!(asked.startTime.getTime() <= now.getTime() + MAX_AHEAD_MS)) return new Refusal("INVALID_FIELD");
      const startTime = asked.startTime > now ? asked.startTime : now;
      const drawn = await draw(owner, caller.subject, { ...asked, startTime }, now);
      const { passId, expireTime } = drawn.row;
      await call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, now);
        await temporaryPassRepository(tx).delete(owner);
        await temporaryPassRepository(tx).insert(drawn.row);
        const after = { startTime: startTime.toISOString(), expireTime: expireTime.toISOString() };
        const issued = { type: "TEMPORARY_PASS_ISSUED", action: "temporary_pass.issued" } as const;
        const change = { owner, factorType: "TEMPORARY_PASS", targetId: passId, reason: asked.reason, after } as const;
        await recordChange(tx, call, { ...change, ...issued });
      });
      return drawn;
    },

    /** Ends an unused pass; says whether one was out. Never the caller's own, as with issuing. */
    async revoke(call: Call, owner: Owner, reason: string): Promise<boolean | Refusal> {
      if (call.caller.subject === owner.userId) return new Refusal("SELF_ACTION");
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        const ended = await temporaryPassRepository(tx).deleteUnused(owner);
        const act = { owner, action: "temporary_pass.revoked", targetId: ended?.passId ?? "", reason };
        const wasOut = ended !== undefined && ended.expireTime > call.now;
        if (wasOut) await recordChange(tx, call, { ...act, type: "FACTOR_RESET", factorType: "TEMPORARY_PASS" });
        else await recordAudit(tx, call, act);
        return wasOut;
      });
    },

    /** The proof of a pass. `hideUnenrolled`: who has none is refused like a wrong one. */
    proofOf(
      call: Call,
      owner: Owner,
      { code, hideUnenrolled }: { code: string; hideUnenrolled: boolean },
    ): Proof<TemporaryPassRow | undefined, TemporaryPassRow, { factorId: string }> {
      const typed = readRecoveryCode(code);
      return {
        factorType: "TEMPORARY_PASS",
        counter: "typed-code",
        admit: () => hash.enter(),
        load: async (tx) => {
          const pass = await temporaryPassRepository(tx).find(owner);
          const isGood = pass && pass.startTime <= call.now && pass.expireTime > call.now;
          if (!isGood && !hideUnenrolled) return new Refusal("NOT_ENROLLED");
          return isGood && pass.selector === typed?.selector ? pass : undefined;
        },
        judge: async (pass) => {
          const belonging = pass ? belongingOf(pass) : { ...owner, setId: "" };
          return (await hash.matches(typed, pass, belonging)) ? pass : undefined;
        },
        spend: async (tx, { passId }) => {
          await userRepository(tx).serialise(owner, call.now);
          const spent = await temporaryPassRepository(tx).spend({ ...owner, passId }, call.now);
          return spent ? { factorId: passId } : undefined;
        },
      };
    },
  };
}

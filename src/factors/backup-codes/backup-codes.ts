import { BackupCodePolicy } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { KdfPool } from "../../crypto/kdf-pool.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { readRecoveryCode } from "../../crypto/recovery-code.ts";
import { createRecoveryCodeHash } from "../../crypto/recovery-code-hash.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { type Proof, prove } from "../../protection/proof.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { CodesForEnrollment } from "../factor.ts";
import { type DrawnSet, drawSet, storeSet } from "./backup-code-set.ts";
import {
  type BackupCodeRow,
  type BackupCodeSetRow,
  backupCodeRepository,
  backupCodeSetRepository,
  type Lowness,
} from "./backup-codes.repository.ts";

/** Dependencies of backup codes. */
export interface BackupCodeOptions {
  readonly keyring: Keyring;
  readonly kdf: KdfPool;
  /** Of the tenant: how many codes a set has, and when few are left. */
  readonly settingsOf: SettingsOf;
  /** Whether the user holds a factor that counts: codes are for the day when it is lost. */
  readonly hasFactor: (tx: Tx, owner: Owner) => Promise<boolean>;
}

/** What a proof is judged by: the set and, where the selector is known, the code. */
interface Loaded {
  readonly set: BackupCodeSetRow | undefined;
  readonly row: BackupCodeRow | undefined;
}

/** Backup codes: drawn once, shown once, each good once. */
export function createBackupCodes({ keyring, kdf, settingsOf, hasFactor }: BackupCodeOptions) {
  const hash = createRecoveryCodeHash(keyring, kdf, "backup-code/v1");

  const lownessOf = async (tenantId: string): Promise<Lowness> => {
    const { lowThreshold } = (await settingsOf(tenantId)).backupCodes;
    return { threshold: lowThreshold, pepperId: keyring.pepperId };
  };

  const prepare = async (owner: Owner, now: Date): Promise<DrawnSet> => {
    const count = (await settingsOf(owner.tenantId)).backupCodes.codeCount;
    return drawSet(hash, owner, { count, pepperId: keyring.pepperId, now });
  };

  const comesIntoForce = (tx: Tx, call: Call, owner: Owner, { setId, action }: { setId: string; action: string }) =>
    recordChange(tx, call, {
      ...{ owner, type: "BACKUP_CODES_GENERATED", factorType: "BACKUP_CODE", action, targetId: setId },
    });

  /** Puts a drawn set in force, in a unit that has serialised the user. */
  const issue = async (tx: Tx, call: Call, drawn: DrawnSet): Promise<BackupCodeSetRow> => {
    const set = await storeSet(tx, drawn, "active");
    const { tenantId, userId, setId } = set;
    await comesIntoForce(tx, call, { tenantId, userId }, { setId, action: "backup_codes.generated" });
    return set;
  };

  const find = async (tx: Tx, set: BackupCodeSetRow | undefined, typed: string): Promise<Loaded> => {
    const selector = readRecoveryCode(typed)?.selector;
    const known = set && selector !== undefined;
    const { tenantId, userId, setId } = set ?? { tenantId: "", userId: "", setId: "" };
    return { set, row: known ? await backupCodeRepository(tx).find({ tenantId, userId, setId, selector }) : undefined };
  };

  const judge = async ({ row }: Loaded, owner: Owner, typed: string): Promise<BackupCodeRow | undefined> => {
    const belonging = { ...owner, setId: row?.setId ?? "" };
    return (await hash.matches(readRecoveryCode(typed), row, belonging)) ? row : undefined;
  };

  const typed = { factorType: "BACKUP_CODE", counter: "typed-code", admit: () => hash.enter() } as const;

  /** Counts the set down in the unit that spent one of its codes, and tells once when few and when none are left. */
  const countDown = async (tx: Tx, call: Call, owner: Owner, { setId, due }: { setId: string; due: Lowness }) => {
    const sets = backupCodeSetRepository(tx);
    const set = await sets.countDown({ ...owner, setId }, call.now);
    if (!set) return undefined;
    const happening = { owner, factorType: "BACKUP_CODE", factorId: setId } as const;
    if (set.remaining === 0) {
      await recordEvent(tx, call, { ...happening, type: "BACKUP_CODES_EXHAUSTED" });
    } else if (set.remaining <= due.threshold && (await sets.noteLow({ ...owner, setId }, call.now))) {
      await recordEvent(tx, call, { ...happening, type: "BACKUP_CODES_LOW" });
    }
    return set;
  };

  /** The proof of one code. `hideUnenrolled`: who has no codes is refused like a wrong one. */
  const proofOf = (
    call: Call,
    owner: Owner,
    { code, due, hideUnenrolled }: { code: string; due: Lowness; hideUnenrolled: boolean },
  ): Proof<Loaded, BackupCodeRow, { set: BackupCodeSetRow }> => ({
    ...typed,
    load: async (tx) => {
      const set = await backupCodeSetRepository(tx).find(owner, "active");
      return set || hideUnenrolled ? find(tx, set, code) : new Refusal("NOT_ENROLLED");
    },
    judge: (loaded) => judge(loaded, owner, code),
    spend: async (tx, { setId, codeId }) => {
      await userRepository(tx).serialise(owner, call.now);
      if (!(await backupCodeRepository(tx).spend({ ...owner, setId, codeId }, call.now))) return undefined;
      const set = await countDown(tx, call, owner, { setId, due });
      return set && { set };
    },
  });

  /** Notes in the caller's unit that a set is saved; one that waited takes the place of the set in force. */
  const noteSaved = async (tx: Tx, call: Call, owner: Owner, setId: string) => {
    const sets = backupCodeSetRepository(tx);
    const waiting = (await sets.findById({ ...owner, setId }))?.state === "pending";
    if (waiting && !(await hasFactor(tx, owner))) throw new Refusal("NOT_ENROLLED");
    if (waiting) await sets.delete(owner, "active");
    const set = await sets.confirm({ ...owner, setId }, call.now);
    if (!set) return undefined;
    const action = "backup_codes.confirmed";
    if (waiting) await comesIntoForce(tx, call, owner, { setId, action });
    else await recordAudit(tx, call, { owner, action, targetId: setId });
    return { set };
  };

  const findUnexpired = async (tx: Tx, owner: Owner, { setId, now }: { setId: string; now: Date }) => {
    const set = await backupCodeSetRepository(tx).findById({ ...owner, setId });
    if (!set) return new Refusal("NOT_FOUND");
    return set.expireTime && set.expireTime <= now ? new Refusal("CHALLENGE_EXPIRED") : set;
  };

  return {
    lownessOf,
    prepare,
    issue,
    proofOf,

    /** For other factors, which make codes with the first of them. */
    forEnrollment: {
      async draw(call, owner, asked) {
        const { policy } = (await settingsOf(owner.tenantId)).backupCodes;
        if (!asked && policy !== BackupCodePolicy.REQUIRED) return undefined;
        const held = await call.read((tx) => backupCodeSetRepository(tx).find(owner, "active"));
        if (held) return undefined;
        const drawn = await prepare(owner, call.now);
        return async (tx, enrolling) => {
          if (await backupCodeSetRepository(tx).find(owner, "active")) return undefined;
          await issue(tx, enrolling, drawn);
          return { setId: drawn.setId, codes: drawn.codes };
        };
      },
    } satisfies CodesForEnrollment,

    /** Draws a new set, and puts it in force in the place of the old one or has it wait for `confirm`. */
    async generate(call: Call, owner: Owner, { confirmationRequired }: { confirmationRequired: boolean }) {
      const drawn = await prepare(owner, call.now);
      const stored = await call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        if (!(await hasFactor(tx, owner))) return new Refusal("NOT_ENROLLED");
        if (!confirmationRequired) return { set: await issue(tx, call, drawn), inForce: undefined };
        const set = await storeSet(tx, drawn, "pending");
        await recordAudit(tx, call, { owner, action: "backup_codes.generation_started", targetId: set.setId });
        return { set, inForce: await backupCodeSetRepository(tx).find(owner, "active") };
      });
      return stored instanceof Refusal ? stored : { ...stored, codes: drawn.codes };
    },

    /** Notes that a set is saved. A code of it shows that it is at hand; it is judged like any other and not spent. */
    async confirm(call: Call, owner: Owner, { setId, code }: { setId: string; code: string }) {
      const found = await call.unit((tx) => findUnexpired(tx, owner, { setId, now: call.now }));
      if (found instanceof Refusal) return found;
      const { policy } = (await settingsOf(owner.tenantId)).backupCodes;
      // Confirmed again, a set proves nothing: its holder must not clear the count of failures as often as they like.
      const isNew = found.confirmTime === null;
      if (isNew && code === "" && policy === BackupCodePolicy.REQUIRED) {
        return new Refusal("POLICY_FORBIDS", { metadata: { policy: "backup_codes.policy" } });
      }
      if (!isNew || code === "") {
        const saved = await call.unit(async (tx) => {
          await userRepository(tx).serialise(owner, call.now);
          const set = await findUnexpired(tx, owner, { setId, now: call.now });
          return set instanceof Refusal ? set : noteSaved(tx, call, owner, setId);
        });
        return saved ?? new Refusal("NOT_FOUND");
      }
      return prove(call, owner, {
        ...typed,
        load: async (tx) => {
          const set = await findUnexpired(tx, owner, { setId, now: call.now });
          return set instanceof Refusal ? set : find(tx, set, code);
        },
        judge: (loaded) => judge(loaded, owner, code),
        spend: async (tx) => {
          await userRepository(tx).serialise(owner, call.now);
          return noteSaved(tx, call, owner, setId);
        },
      });
    },

    /** Spends a code of the set in force. */
    async verify(call: Call, owner: Owner, { code }: { code: string }) {
      const { restrictSession } = (await settingsOf(owner.tenantId)).backupCodes;
      const due = await lownessOf(owner.tenantId);
      const proof = await prove(call, owner, proofOf(call, owner, { code, due, hideUnenrolled: false }));
      return proof instanceof Refusal ? proof : { ...proof, due, restrictSession };
    },
  };
}

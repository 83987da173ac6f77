import { BackupCodePolicy } from "../../../gen/mfa/v1/tenant_settings_pb.js";
import { ownMethod } from "../amr.ts";
import type { Factor, FactorInstance } from "../factor.ts";
import { type BackupCodeSetRow, backupCodeSetRepository } from "./backup-codes.repository.ts";

const states = { active: "ACTIVE", pending: "PENDING" } as const;

/** That few are left weighs more than that nobody said they are saved. Of a set that waits nothing is recommended. */
function recommendationFor({ state, remaining, lowTime, confirmTime }: BackupCodeSetRow) {
  if (state === "pending") return {};
  if (remaining === 0 || lowTime) return { recommendation: "REPLACE_BACKUP_CODES" } as const;
  return confirmTime ? {} : ({ recommendation: "CONFIRM_BACKUP_CODES" } as const);
}

/** A set of codes is one instance. */
const toInstance = (set: BackupCodeSetRow): FactorInstance => ({
  factorId: set.setId,
  state: states[set.state],
  displayName: "Backup codes",
  maskedTarget: "",
  createTime: set.createTime,
  updateTime: set.confirmTime ?? set.createTime,
  lastUseTime: set.lastUseTime,
  remainingUses: set.remaining,
  ...recommendationFor(set),
});

const METHOD = ownMethod("backup-code");

/** Backup codes as the registry of factors sees them. */
export const backupCodesFactor: Factor<"BACKUP_CODE"> = {
  type: "BACKUP_CODE",
  word: "backup codes",
  receiptKind: "backup_codes",
  amr: { own: METHOD, of: () => [METHOD] },
  consumed: true,
  recovers: true,
  phishingResistant: false,
  canBeDeviceBound: false,
  channels: [],
  counts: false,
  restricted: false,
  isOn: () => true,
  isEnrollable: () => true,
  isEnrolled: async (tx, owner) => ((await backupCodeSetRepository(tx).find(owner, "active"))?.remaining ?? 0) > 0,
  list: async (tx, owner, now) => {
    const sets = await backupCodeSetRepository(tx).listOf(owner);
    return sets.filter(({ expireTime }) => expireTime === null || expireTime > now).map(toInstance);
  },
  listHoldings: async (tx, span) =>
    (await backupCodeSetRepository(tx).listHoldings(span)).filter(({ remainingUses }) => remainingUses > 0),
  // Where they are the user's own affair nobody is told to have them.
  recommend: ({ has, enrollable }, { backupCodes: { policy } }) =>
    policy !== BackupCodePolicy.OPTIONAL && enrollable && !has ? "GENERATE_BACKUP_CODES" : undefined,
  gapOf: ({ has, remainingUses }, { backupCodes: { lowThreshold } }) => {
    if (!has) return "NO_BACKUP_CODES";
    return remainingUses <= lowThreshold ? "LOW_BACKUP_CODES" : undefined;
  },
  statusFields: ({ activeCount }) => ({ backupCodesRemaining: activeCount }),
  endPending: async (tx, owner) => {
    await backupCodeSetRepository(tx).delete(owner, "pending");
  },
  forget: (tx, owner) => backupCodeSetRepository(tx).deleteAll(owner),
  forgetOne: async (tx, owner, setId) => {
    const sets = backupCodeSetRepository(tx);
    const set = (await sets.listOf(owner)).find((one) => one.setId === setId);
    if (!set) return 0;
    await sets.delete(owner, set.state);
    return set.remaining;
  },
};

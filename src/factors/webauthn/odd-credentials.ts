import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { userRepository } from "../../users/users.repository.ts";
import { macOf, requireIntact } from "./row-mac.ts";
import { type CredentialRow, webauthnRepository } from "./webauthn.repository.ts";

// The signature of these is right, so that nobody has guessed anything: they are refused for a reason of their own and
// count towards no lock.

const keyOf = ({ tenantId, userId, credentialId }: CredentialRow) => ({ tenantId, userId, credentialId });

/** The event of each refused use; the audit entry of the first, which changed what is known of the credential. */
async function recordOdd(
  tx: Tx,
  call: Call,
  row: CredentialRow,
  odd: {
    readonly isFirst: boolean;
    readonly action: string;
    readonly failureReason: "CLONE" | "BACKUP_ELIGIBILITY";
    readonly challengeId: string;
  },
): Promise<void> {
  const { tenantId, userId, credentialId } = row;
  const { isFirst, action, failureReason, challengeId } = odd;
  const owner = { tenantId, userId };
  if (isFirst) await recordAudit(tx, call, { owner, action, targetId: credentialId });
  const factor = { factorType: "WEBAUTHN", factorId: credentialId } as const;
  await recordEvent(tx, call, { owner, ...factor, type: "PROOF_FAILED", failureReason, challengeId });
}

/** The refusal of a signature whose flag BE is another than at registration (WebAuthn §7.2 step 16). */
export const changedRefusal = ({ credentialId }: CredentialRow) =>
  new Refusal("BACKUP_ELIGIBILITY_CHANGED", { metadata: { credential_id: credentialId } });

/** The refusal of a signature whose counter did not go on (WebAuthn §6.1.1). */
export const copiedRefusal = ({ credentialId }: CredentialRow) =>
  new Refusal("CLONE_SUSPECTED", { metadata: { credential_id: credentialId } });

/** Writes what is kept of such a refusal: the mark of the credential, events, and an audit entry of the first. */
export async function noteOdd(
  tx: Tx,
  call: Call,
  row: CredentialRow,
  { reason, challengeId }: { readonly reason: string; readonly challengeId: string },
): Promise<void> {
  const { tenantId, userId, credentialId } = row;
  const credentials = webauthnRepository(tx);
  if (reason === "BACKUP_ELIGIBILITY_CHANGED") {
    const isFirst = await credentials.noteChange(keyOf(row), call.now);
    const odd = { action: "webauthn.backup_eligibility_changed", failureReason: "BACKUP_ELIGIBILITY" } as const;
    await recordOdd(tx, call, row, { ...odd, isFirst, challengeId });
  } else if (reason === "CLONE_SUSPECTED") {
    const before = await credentials.find(keyOf(row));
    if (!before || !(await credentials.suspect(keyOf(row), call.now))) return;
    const factor = { owner: { tenantId, userId }, factorType: "WEBAUTHN", factorId: credentialId } as const;
    await recordEvent(tx, call, { ...factor, type: "CLONE_SUSPECTED" });
    const odd = { action: "webauthn.clone_suspected", failureReason: "CLONE" } as const;
    await recordOdd(tx, call, row, { ...odd, isFirst: !before.cloneWarning, challengeId });
  }
}

/**
 * Lets a user's credential prove again after its flag or counter went astray: both are then what its next signature
 * says. An administrator answers for that it is the user's, and not on themselves.
 */
export async function acceptAnew(
  tx: Tx,
  call: Call,
  owner: Owner,
  {
    keyring,
    credentialId,
    reason,
  }: { readonly keyring: Keyring; readonly credentialId: string; readonly reason: string },
): Promise<CredentialRow | Refusal> {
  await userRepository(tx).serialise(owner, call.now);
  const credentials = webauthnRepository(tx);
  const row = await credentials.find({ ...owner, credentialId });
  if (!row) return new Refusal("NOT_FOUND");
  requireIntact(keyring, row);
  const rowMac = macOf(keyring, { ...row, backupKnown: false });
  const accepted = await credentials.acceptAnew({ ...owner, credentialId }, rowMac, call.now);
  if (!accepted) return new Refusal("NOT_FOUND");
  const states = ({ counter, cloneWarning, eligibilityChanged }: CredentialRow) => ({
    ...{ counter, cloneWarning, backupEligibilityChanged: eligibilityChanged ?? false },
  });
  await recordChange(tx, call, {
    ...{ owner, reason, targetId: credentialId, action: "webauthn.accepted_anew" },
    ...{ type: "FACTOR_UPDATED", factorType: "WEBAUTHN", before: states(row), after: states(accepted) },
  });
  return accepted;
}

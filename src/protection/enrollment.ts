import { recordChange } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import type { Owner, Tx } from "../db/store.ts";
import { ticketRepository } from "../enrollment-tickets/tickets.repository.ts";
import type { EventRow } from "../events/events.repository.ts";
import { userRepository } from "../users/users.repository.ts";

/** How one kind of factor comes into use. */
export interface Enrollment<Enrolled> {
  readonly factorType: EventRow["factorType"];
  /** For the audit trail: "totp.enrolled". */
  readonly action: string;
  /** Whether the user then has a second factor, which voids their tickets. Default true. */
  readonly counts?: boolean;
  /** Makes the pending instance active by one conditional statement; returns undefined when it no longer exists. */
  activate(): Promise<Enrolled | undefined>;
  idOf(enrolled: Enrolled): string;
}

/** Returns the end of the cool-down after a reset; undefined without one. */
export async function coolDownOf(tx: Tx, owner: Owner, now: Date): Promise<Date | undefined> {
  const until = (await userRepository(tx).find(owner))?.coolDownUntilTime;
  return until && until > now ? until : undefined;
}

/**
 * Checks that the caller may enroll, in a unit that has locked the user's row. Throws during the cool-down after a
 * reset, and where the caller was let in because the user had no factor and now has one.
 */
export async function admitEnrollment(tx: Tx, call: Call, owner: Owner): Promise<void> {
  await call.confirmAccess(tx);
  const until = await coolDownOf(tx, owner, call.now);
  if (!until) return;
  const metadata = { policy: "administration.reset_cool_down" };
  throw new Refusal("POLICY_FORBIDS", { metadata, retryAfterMs: until.getTime() - call.now.getTime() });
}

/**
 * Brings a factor into use; the only way to do so. It locks the user's row first, so that of two concurrent enrollments
 * the second sees the first: a caller that was let in because the user had no factor must not add a second one.
 */
export async function enroll<Enrolled>(
  tx: Tx,
  call: Call,
  owner: Owner,
  { factorType, action, counts = true, activate, idOf }: Enrollment<Enrolled>,
): Promise<Enrolled | undefined> {
  await userRepository(tx).serialise(owner, call.now);
  await admitEnrollment(tx, call, owner);
  const enrolled = await activate();
  if (enrolled !== undefined) {
    if (counts) await ticketRepository(tx).spendAll(owner, call.now);
    await recordChange(tx, call, { owner, type: "FACTOR_ENROLLED", factorType, action, targetId: idOf(enrolled) });
  }
  return enrolled;
}

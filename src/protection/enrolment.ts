import { recordChange } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Tx } from "../db/store.ts";
import type { EventRow } from "../events/events.repository.ts";
import { userRepository } from "../users/users.repository.ts";
import { ticketRepository } from "./tickets.repository.ts";

/** How one kind of factor comes into use. */
export interface Enrolment<Enrolled> {
  readonly factorType: EventRow["factorType"];
  /** For the audit trail: "totp.enrolled". */
  readonly action: string;
  /** Whether the user has a second factor from here on, which ends their tickets. Default true. */
  readonly counts?: boolean;
  /** Makes the pending instance active by one conditional statement; undefined when there is none any more. */
  activate(): Promise<Enrolled | undefined>;
  idOf(enrolled: Enrolled): string;
}

/** Until when a reset keeps the user from enrolling; undefined when it does not. */
export async function coolDownOf(tx: Tx, owner: Owner, now: Date): Promise<Date | undefined> {
  const until = (await userRepository(tx).find(owner))?.coolDownUntilTime;
  return until && until > now ? until : undefined;
}

/**
 * Whether the caller may enrol, in a unit that has serialised the user: throws while a reset keeps the user from it, and
 * where the caller came in because the user had no factor, and has one now.
 */
export async function admitEnrolment(tx: Tx, call: Call, owner: Owner): Promise<void> {
  await call.confirmAccess(tx);
  const until = await coolDownOf(tx, owner, call.now);
  if (!until) return;
  const metadata = { policy: "administration.reset_cool_down" };
  throw new Refusal("POLICY_FORBIDS", { metadata, retryAfterMs: until.getTime() - call.now.getTime() });
}

/**
 * The only door through which a factor comes into use, in the caller's unit. The user is serialised first, so that of
 * two enrolments at once the second sees the first: whoever came in because the user had no factor must not add one
 * beside it.
 */
export async function enrol<Enrolled>(
  tx: Tx,
  call: Call,
  owner: Owner,
  { factorType, action, counts = true, activate, idOf }: Enrolment<Enrolled>,
): Promise<Enrolled | undefined> {
  await userRepository(tx).serialise(owner, call.now);
  await admitEnrolment(tx, call, owner);
  const enrolled = await activate();
  if (enrolled !== undefined) {
    if (counts) await ticketRepository(tx).spendAll(owner, call.now);
    await recordChange(tx, call, { owner, type: "FACTOR_ENROLLED", factorType, action, targetId: idOf(enrolled) });
  }
  return enrolled;
}

import type { Owner, Tx } from "../db/store.ts";
import { ticketRepository } from "../enrollment-tickets/tickets.repository.ts";
import { factors } from "../factors/index.ts";
import { topicOf } from "../users/user-topic.ts";
import { challengeRepository } from "./challenges.repository.ts";

/**
 * Ends everything of a user that is begun and not completed: challenges, tickets, pending enrollments with their
 * pairing tokens, ceremonies, and sent codes, since somebody else may have begun it. Returns how many challenges were
 * open.
 */
export async function endWhatIsOpen(tx: Tx, owner: Owner, now: Date): Promise<number> {
  for (const factor of factors) await factor.endPending?.(tx, owner, now);
  tx.announce(topicOf(owner));
  return endLogIns(tx, owner, now);
}

/** Ends challenges and tickets only; the user's pending enrollments go on. */
export async function endLogIns(tx: Tx, owner: Owner, now: Date): Promise<number> {
  const cancelled = await challengeRepository(tx).cancelAll(owner, now);
  await ticketRepository(tx).spendAll(owner, now);
  return cancelled.length;
}

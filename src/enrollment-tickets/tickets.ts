import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import { bearerId } from "../crypto/random.ts";
import type { Owner, Tx } from "../db/store.ts";
import { type TicketRow, ticketRepository } from "./tickets.repository.ts";

/** How long a ticket lasts. */
export const TICKET_MS = 10 * 60_000;
/** The maximum age of the log-in's first factor. */
const FIRST_FACTOR_MS = 5 * 60_000;
const SKEW_MS = 30_000;
const PURPOSE = "ticket/v1";
/** 128 bits, base64url. */
const TICKET = /^[\w-]{22}$/;

/** A log-in whose user is to enroll a factor. */
export interface TicketLogIn {
  readonly now: Date;
  /** When its first factor was proved, as the backend says. */
  readonly firstFactorTime: Date;
  /** Whether its user has a factor and has proved it, and is to enroll a stronger one. Default false. */
  readonly besideFactor?: boolean;
}

/**
 * Tickets: what a log-in gets that must first enroll a factor. The holder needs no other proof, may call the RPCs whose
 * options name PRINCIPAL_TICKET, and only as long as the user has no factor that counts, or has proved it for the ticket.
 */
export function createTickets(keyring: Pick<Keyring, "digest" | "digests">) {
  return {
    /** Gives out a ticket, in the unit that decided it. Refused when the first factor is not fresh. */
    async issue(tx: Tx, owner: Owner, { now, firstFactorTime, besideFactor = false }: TicketLogIn) {
      const age = now.getTime() - firstFactorTime.getTime();
      if (!(age >= -SKEW_MS && age <= FIRST_FACTOR_MS)) {
        const metadata = { acr_values: "aal1", max_age: String(FIRST_FACTOR_MS / 1000) };
        return new Refusal("INSUFFICIENT_USER_AUTHENTICATION", { metadata });
      }
      const ticket = bearerId();
      const expireTime = new Date(now.getTime() + TICKET_MS);
      const digest = keyring.digest(PURPOSE, ticket);
      const rows = ticketRepository(tx);
      await rows.deleteExpired(owner, now);
      await rows.insert({
        ...owner,
        digest,
        firstFactorTime,
        createTime: now,
        expireTime,
        spendTime: null,
        besideFactor,
      });
      return { ticket, expireTime };
    },

    /** What is known of a ticket, whatever became of it. */
    async find(tx: Tx, ticket: string): Promise<TicketRow | undefined> {
      if (!TICKET.test(ticket)) return undefined;
      for (const digest of keyring.digests(PURPOSE, ticket)) {
        const row = await ticketRepository(tx).find(digest);
        if (row) return row;
      }
      return undefined;
    },
  };
}

/** Whether a ticket is good for nothing any more, whatever factors its user has. */
export const hasTicketEnded = ({ expireTime, spendTime }: TicketRow, now: Date): boolean =>
  spendTime !== null || expireTime.getTime() <= now.getTime();

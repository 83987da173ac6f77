import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Store } from "../../db/store.ts";
import { type createTickets, hasTicketEnded } from "../../enrollment-tickets/tickets.ts";
import type { IsEnrolled } from "./authorization.ts";
import type { VerifyCredential } from "./credentials.ts";

/**
 * Tickets as credentials. An expired or spent ticket, and one whose user has a factor that was not proved for it, is
 * refused with CHALLENGE_EXPIRED; the enrolling unit checks again that the user has none (`Call.confirmAccess`).
 */
export function createTicketAuthentication(
  store: Store,
  tickets: Pick<ReturnType<typeof createTickets>, "find">,
  isEnrolled: IsEnrolled,
): VerifyCredential {
  return async (ticket, { now }) => {
    const row = await store.read((tx) => tickets.find(tx, ticket));
    if (!row) return undefined;
    const caller: Caller = {
      principal: Principal.TICKET,
      tenantId: row.tenantId,
      subject: row.userId,
      acr: "aal1",
      authTime: row.firstFactorTime,
      sessionId: "",
      scopes: new Set(),
      besideFactor: row.besideFactor,
    };
    const confirm = async () => {
      if (hasTicketEnded(row, now) || (!row.besideFactor && (await isEnrolled(caller))))
        throw new Refusal("CHALLENGE_EXPIRED");
    };
    return { caller, confirm };
  };
}

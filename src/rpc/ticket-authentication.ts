import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Store } from "../db/store.ts";
import { type createTickets, hasEnded } from "../protection/tickets.ts";
import type { IsEnrolled } from "./authorisation.ts";
import type { VerifyCredential } from "./credentials.ts";

/**
 * Tickets as credentials. One that has expired, was spent, or whose user has a factor by now, is refused as
 * CHALLENGE_EXPIRED; that the user has none is asked again in the unit that enrols (`Call.confirmAccess`).
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
    };
    const confirm = async () => {
      if (hasEnded(row, now) || (await isEnrolled(caller))) throw new Refusal("CHALLENGE_EXPIRED");
    };
    return { caller, confirm };
  };
}

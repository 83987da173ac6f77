import { join } from "node:path";
import { readKeyFile } from "../../../src/crypto/key-file.ts";
import { openKeyring } from "../../../src/crypto/keyring.ts";
import { createTickets } from "../../../src/enrollment-tickets/tickets.ts";
import type { ServiceUnderTest } from "../worlds/service.ts";

/** Gives out tickets as a log-in does, over the store and under the keys of a running service. */
export async function ticketOffice({ store, dataDir, clock }: ServiceUnderTest) {
  const tickets = createTickets(await openKeyring(await readKeyFile(join(dataDir, "keys.json")), store));
  const issue = (userId: string, { firstFactorTime = clock.now, tenantId = "dev" } = {}) =>
    store.write((tx) => tickets.issue(tx, { tenantId, userId }, { now: clock.now, firstFactorTime }));
  return {
    issue,
    /** The header of a new ticket's holder. */
    holder: async (userId: string, tenantId = "dev") => {
      const issued = await issue(userId, { tenantId });
      return { authorization: `Ticket ${"ticket" in issued ? issued.ticket : ""}` };
    },
  };
}

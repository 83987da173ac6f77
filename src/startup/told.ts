import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import type { Store } from "../db/store.ts";
import { lookAtCertificates } from "./certificates.ts";
import { lookAtDatabaseClock, lookAtIssuerClock } from "./clocks.ts";

/**
 * Tells the log what a start goes on without: certificates that have expired or soon do, and clocks that differ. None of
 * them stops a start, as a service that is restarted at a bad time serves those who can still use it.
 */
export async function tellAtStart(log: Logger, config: Config, store: Store): Promise<void> {
  const looks = [
    lookAtCertificates(config, new Date()),
    lookAtDatabaseClock(store).then((look) => (look ? [look] : [])),
    ...config.issuers.map((issuer) => lookAtIssuerClock(issuer).then((look) => (look ? [look] : []))),
  ];
  for (const settled of await Promise.allSettled(looks)) {
    if (settled.status === "rejected") log.warn({ err: settled.reason }, "a check of the start could not be made");
    else for (const { fault } of settled.value) if (fault !== undefined) log.error(fault);
  }
}

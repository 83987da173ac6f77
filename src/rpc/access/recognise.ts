import type { PeerKind } from "../limits/connections.ts";
import type { LimitRates } from "../limits/rates.ts";
import { inOwnName } from "../serve/call.ts";
import { readAuthorization, type Verifiers } from "./credentials.ts";

/** Dependencies of `createRecognise`. */
export interface RecogniseOptions extends Pick<Verifiers, "authenticate" | "own"> {
  readonly limits: Pick<LimitRates, "source" | "charge">;
  readonly clock: () => Date;
}

/**
 * Returns whose a bearer credential is, for limits that treat backends, users and strangers differently; never fails.
 * Credentials that are good once are not spent on it. A key that has to be looked up in the store is counted against the
 * source of its connection, so that invented ones ask nothing of it.
 */
export function createRecognise({ authenticate, own, limits, clock }: RecogniseOptions) {
  const callerOf = async (credential: string, ip: string) => {
    const now = clock();
    const kind = own.find(({ isClaimed }) => isClaimed(credential));
    if (!kind) return authenticate(`Bearer ${credential}`, now);
    const beforeLook = () => {
      limits.source(ip);
      limits.charge(ip);
    };
    const found = await kind.verify(credential, { now, ip, beforeLook });
    return "rejected" in found ? undefined : found.caller;
  };

  return async (authorization: string, ip: string): Promise<PeerKind> => {
    const shown = readAuthorization(authorization);
    if (shown?.scheme !== "bearer") return "stranger";
    const caller = await callerOf(shown.credential, ip).catch(() => undefined);
    if (!caller) return "stranger";
    return inOwnName.has(caller.principal) ? "backend" : "user";
  };
}

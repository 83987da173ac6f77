import { ownerOf } from "../core/caller.ts";
import type { Store } from "../db/store.ts";
import type { Raise } from "../rpc/gate.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Assertions } from "./assertions.ts";

/** The audience of assertions for this service's own RPCs. */
export const OWN_AUDIENCE = "mfa";

/**
 * Takes an assertion in the place of a fresh aal2: for the caller, their session and this one RPC, used up before the
 * RPC runs, so that it runs at most once for it.
 */
export function createRaise(assertions: Assertions, store: Store): Raise {
  return async (caller, token, { rpc, maxAgeMs, now }) => {
    const owner = ownerOf(caller);
    const claims = await assertions.read(token, OWN_AUDIENCE, {
      ...owner,
      sessionId: caller.sessionId,
      action: { type: "mfa.rpc", parameters: { name: rpc } },
      acr: "aal2",
      ...(maxAgeMs !== undefined && { maxAgeSeconds: maxAgeMs / 1000 }),
    });
    await store.write(async (tx) => {
      await userRepository(tx).serialise(owner, now);
      await assertions.confirm(tx, owner, claims, now);
      await assertions.consume(tx, owner, claims, now);
    });
    return { ...caller, acr: "aal2", authTime: new Date(claims.auth_time * 1000) };
  };
}

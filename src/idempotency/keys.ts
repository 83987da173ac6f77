import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Cell, Keyring } from "../crypto/keyring.ts";
import type { Store, Tx } from "../db/store.ts";
import { idempotencyKeyRepository } from "./keys.repository.ts";

const KEPT_MS = 24 * 60 * 60 * 1000;
/** Longer than any unary call runs: until then the first call may still store its reply. */
const RUNNING_MS = 60 * 1000;

/** A request with an idempotency key. */
export interface Identified {
  readonly caller: Caller;
  readonly rpc: string;
  readonly requestId: string;
  /** The user whose data the reply holds; empty for the tenant's. */
  readonly userId: string;
  /** The request, to tell a repeat from another request under the same id. */
  readonly body: Uint8Array;
  readonly now: Date;
}

/** Runs a request once within 24 hours (AIP-155). */
export interface Once {
  /**
   * A unit of the call. The first that succeeds claims the key in its own commit, so a refused or failed call leaves it
   * free for a retry; throws REQUEST_REPEATED where it is claimed.
   */
  unit<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** Stores the reply for repeats, before it is sent, so that a repeat gets what the client saw. */
  keep(replyOf: (owner: string) => Uint8Array): Promise<void>;
  /** Releases the key if this call claimed it, since a later unit was refused. */
  release(): Promise<void>;
  /**
   * Returns the stored reply of the first call. Throws CONFLICT while that may still run; REQUEST_REPEATED where there
   * is none, after a crash or for another request under this id.
   */
  repeat(): Promise<Uint8Array | Refusal>;
}

/** Claims a request's key at most once. */
export function onceOnly(
  { store, keyring }: { store: Store; keyring: Keyring },
  { caller, rpc, requestId, userId, body, now }: Identified,
): Once {
  const { tenantId, subject } = caller;
  const request = { tenantId, subject, rpc, requestId };
  const expireTime = new Date(now.getTime() + KEPT_MS);
  // The subject comes last: only it may hold a separator.
  const cellOf = (owner: string): Cell => ({
    ...{ tenantId, userId: owner, row: `${rpc} ${requestId} ${subject}`, column: "request_ids.sealed_reply" },
  });
  const digested = ["request/v1", tenantId, subject, rpc, requestId, body] as const;
  let claimed = false;

  return {
    async unit(work) {
      if (claimed) return store.write(work);
      const bodyDigest = keyring.digest(...digested);
      const result = await store.write(async (tx) => {
        const ids = idempotencyKeyRepository(tx);
        const row = { ...request, userId, bodyDigest, sealedReply: null, expireTime };
        if (!(await ids.claim(row, now))) throw new Refusal("REQUEST_REPEATED");
        const done = await work(tx);
        if (done instanceof Refusal) await ids.release(request);
        return done;
      });
      claimed = !(result instanceof Refusal);
      return result;
    },
    async keep(replyOf) {
      if (!claimed) return;
      const sealedReply = await keyring.seal(replyOf(userId), cellOf(userId));
      await store.write((tx) => idempotencyKeyRepository(tx).keep({ ...request, sealedReply, expireTime }));
    },
    async release() {
      if (claimed) await store.write((tx) => idempotencyKeyRepository(tx).release(request));
    },
    async repeat() {
      const first = await store.read((tx) => idempotencyKeyRepository(tx).find(request));
      const same = first?.bodyDigest && keyring.matches(first.bodyDigest, ...digested);
      if (!first || !same) return new Refusal("REQUEST_REPEATED");
      if (first.sealedReply) return keyring.open(first.sealedReply, cellOf(first.userId));
      const claimTime = first.expireTime.getTime() - KEPT_MS;
      return new Refusal(now.getTime() < claimTime + RUNNING_MS ? "CONFLICT" : "REQUEST_REPEATED");
    },
  };
}

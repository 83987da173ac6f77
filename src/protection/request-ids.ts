import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Cell, Keyring } from "../crypto/keyring.ts";
import type { Store, Tx } from "../db/store.ts";
import { requestIdRepository } from "./request-ids.repository.ts";

const KEPT_MS = 24 * 60 * 60 * 1000;
/** Longer than any unary call runs: until then the first may still be about to keep its reply. */
const RUNNING_MS = 60 * 1000;

/** One request that carries an id, as its caller sent it. */
export interface Identified {
  readonly caller: Caller;
  readonly rpc: string;
  readonly requestId: string;
  /** Whose data its reply holds; empty for the tenant's. */
  readonly userId: string;
  /** The request, to tell a repeat from another request under its id. */
  readonly body: Uint8Array;
  readonly now: Date;
}

/** A request that happens once, however often it is sent in 24 hours (AIP-155). */
export interface Once {
  /**
   * A unit of the call. The first that succeeds takes the id in its own commit, so a refused or failed attempt leaves
   * it free for a retry; where the id is taken it throws REQUEST_REPEATED.
   */
  unit<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Keeps the reply for repeats, as it may be kept with the user whose data it holds. Before it is given: what a client
   * has seen, its repeat sees too.
   */
  keep(replyOf: (owner: string) => Uint8Array): Promise<void>;
  /** Gives the id back, if this call took it: a later unit was refused. */
  release(): Promise<void>;
  /**
   * The kept reply of the first. CONFLICT while that may still be running; REQUEST_REPEATED where there is none, be it
   * lost in a crash or for another request under this id.
   */
  repeat(): Promise<Uint8Array | Refusal>;
}

/** Takes a request's id at most once. */
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
        const ids = requestIdRepository(tx);
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
      await store.write((tx) => requestIdRepository(tx).keep({ ...request, sealedReply, expireTime }));
    },
    async release() {
      if (claimed) await store.write((tx) => requestIdRepository(tx).release(request));
    },
    async repeat() {
      const first = await store.read((tx) => requestIdRepository(tx).find(request));
      const same = first?.bodyDigest && keyring.matches(first.bodyDigest, ...digested);
      if (!first || !same) return new Refusal("REQUEST_REPEATED");
      if (first.sealedReply) return keyring.open(first.sealedReply, cellOf(first.userId));
      const claimTime = first.expireTime.getTime() - KEPT_MS;
      return new Refusal(now.getTime() < claimTime + RUNNING_MS ? "CONFLICT" : "REQUEST_REPEATED");
    },
  };
}

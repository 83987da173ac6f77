import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { About, Store, Tx } from "../db/store.ts";
import { tombstoneRepository } from "./tombstones.repository.ts";

const PURPOSE = "tombstone/v1";

/**
 * Longer than any unary call works, and than clocks of instances may differ: what was begun before an erasure is over by
 * then, or is refused.
 */
export const AFTERMATH_MS = 60_000;

/** What a write goes back to, to be judged by whether the user was erased since. */
export interface Origin {
  /** When the call or the message that writes began. */
  readonly begun: Date;
  /**
   * When the user proved who they are, or their credential was issued; one from before an erasure speaks of somebody who
   * is no more.
   */
  readonly authTime?: Date | undefined;
}

/** A store as far as it writes. */
export type Writer = Pick<Store, "write">;

/** The digests that a user may stand in tombstones under: one a pepper, the present one first. */
export const digestsOf = (keyring: Keyring, { tenantId, userId }: Owner): string[] =>
  keyring.digests(PURPOSE, tenantId, userId).map((digest) => digest.toString("base64url"));

/** Whom a unit about a user is about. */
export const aboutUser = ({ tenantId, userId }: Owner): string => JSON.stringify([tenantId, userId]);

/** Throws where a user was erased since a write's origin, in a unit that is about the user. */
export async function requireUnerased(tx: Tx, keyring: Keyring, owner: Owner, origin: Origin): Promise<void> {
  for (const userDigest of digestsOf(keyring, owner)) {
    for (const { eraseTime } of await tombstoneRepository(tx).list({ tenantId: owner.tenantId, userDigest })) {
      if (origin.authTime && origin.authTime <= eraseTime) throw new Refusal("INVALID_CREDENTIAL");
      const waitMs = eraseTime.getTime() + AFTERMATH_MS - origin.begun.getTime();
      if (waitMs > 0) throw new Refusal("CONFLICT", { retryAfterMs: waitMs });
    }
  }
}

/**
 * The store for writes about a user: what was under way when they were erased brings nothing of them back. Units about
 * one user run beside each other, and never beside an erasure, which is alone about them.
 */
export const writingAbout = (store: Writer, keyring: Keyring, owner: Owner, origin: Origin): Writer => ({
  write: (work) => {
    const about: About = { subjects: [aboutUser(owner)] };
    return store.write(async (tx) => {
      await requireUnerased(tx, keyring, owner, origin);
      return work(tx);
    }, about);
  },
});

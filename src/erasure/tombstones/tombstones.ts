import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Users } from "../../db/sets.ts";
import type { About, Owner, Store, Tx } from "../../db/store.ts";
import { tombstoneRepository } from "./tombstones.repository.ts";

const PURPOSE = "tombstone/v1";

/**
 * Longer than any unary call runs and than instances' clocks may differ: work that began before an erasure has ended by
 * then, or is refused.
 */
export const AFTERMATH_MS = 60_000;

/** The origin of a write, compared with the user's erasures. */
export interface WriteOrigin {
  /** When the call or the message that writes began. */
  readonly begun: Date;
  /** When the user authenticated or the credential was issued; a credential older than an erasure is void. */
  readonly authTime?: Date | undefined;
}

/** The writing part of a store. */
export type Writer = Pick<Store, "write">;
/** The reading part of a store. */
export type Reader = Pick<Store, "read">;

/** Returns the digests of a user's tombstones: one for each pepper, the present one first. */
export const digestsOf = (keyring: Keyring, { tenantId, userId }: Owner): string[] =>
  keyring.digests(PURPOSE, tenantId, userId).map((digest) => digest.toString("base64url"));

/** Returns the subject name of units about a user. */
export const aboutUser = ({ tenantId, userId }: Owner): string => JSON.stringify([tenantId, userId]);

/** Throws when a credential is older than its user's erasure. */
async function requireLiving(tx: Tx, keyring: Keyring, owner: Owner, authTime: Date): Promise<void> {
  for (const userDigest of digestsOf(keyring, owner)) {
    const erasures = await tombstoneRepository(tx).list({ tenantId: owner.tenantId, userDigest });
    if (erasures.some(({ eraseTime }) => authTime <= eraseTime)) throw new Refusal("INVALID_CREDENTIAL");
  }
}

/** Throws when the user was erased after a write's origin, in a unit about the user. */
export async function requireUnerased(tx: Tx, keyring: Keyring, owner: Owner, origin: WriteOrigin): Promise<void> {
  for (const userDigest of digestsOf(keyring, owner)) {
    for (const { eraseTime } of await tombstoneRepository(tx).list({ tenantId: owner.tenantId, userDigest })) {
      if (origin.authTime && origin.authTime <= eraseTime) throw new Refusal("INVALID_CREDENTIAL");
      const waitMs = eraseTime.getTime() + AFTERMATH_MS - origin.begun.getTime();
      if (waitMs > 0) throw new Refusal("CONFLICT", { retryAfterMs: waitMs });
    }
  }
}

/** The same for many users of a tenant, in few statements. */
export async function requireAllUnerased(
  tx: Tx,
  keyring: Keyring,
  users: Users,
  { begun }: WriteOrigin,
): Promise<void> {
  const { tenantId, userIds } = users;
  const digests = userIds.flatMap((userId) => digestsOf(keyring, { tenantId, userId }));
  for (const { eraseTime } of await tombstoneRepository(tx).listOfAny(tenantId, digests)) {
    const waitMs = eraseTime.getTime() + AFTERMATH_MS - begun.getTime();
    if (waitMs > 0) throw new Refusal("CONFLICT", { retryAfterMs: waitMs });
  }
}

/**
 * The store for writes about a user. Writes that began before an erasure are refused. Units about one user run
 * concurrently, but never beside an erasure, which is exclusive.
 */
export const writingAbout = (store: Writer, keyring: Keyring, owner: Owner, origin: WriteOrigin): Writer => ({
  write: (work) => {
    const about: About = { subjects: [aboutUser(owner)] };
    return store.write(async (tx) => {
      await requireUnerased(tx, keyring, owner, origin);
      return work(tx);
    }, about);
  },
});

/**
 * The store for reads about a user. A credential older than an erasure cannot read data of a new user with the same id.
 * Reads do not wait for erasures.
 */
export const readingAbout = (store: Reader, keyring: Keyring, owner: Owner, { authTime }: WriteOrigin): Reader =>
  authTime === undefined
    ? store
    : {
        read: (work) =>
          store.read(async (tx) => {
            await requireLiving(tx, keyring, owner, authTime);
            return work(tx);
          }),
      };

import type { Owner } from "../core/caller.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store } from "../db/store.ts";
import { enqueue, sealContent } from "../outbox/outbox.ts";
import type { Provider } from "./provider.ts";

/** An address that a user proved to receive at. */
export interface Told {
  readonly factorId: string;
  readonly channel: "sms" | "email";
  readonly address: string;
}

/** What resolving notices needs of the process. */
export interface NoticeOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Where a notice of that time goes, addresses that the very change took out of force included. */
  readonly listTold: (owner: Owner, since: Date) => Promise<readonly Told[]>;
  /** The channels that somebody carries, and the tenant pays for. */
  readonly isCarried: (owner: Owner, channel: Told["channel"]) => Promise<boolean>;
}

/**
 * Turns a notice into one message for each address, whose keys are the notice's and the address': done again after a
 * crash, it adds none a second time. A user without an address is told nothing; events tell the backends.
 */
export const noticeProvider = ({ store, keyring, clock, listTold, isCarried }: NoticeOptions): Provider => ({
  name: "notices",
  channel: "notice",
  async send({ owner, idempotencyKey, kind, data, createTime, expireTime }) {
    const told: Told[] = [];
    for (const one of await listTold(owner, createTime)) if (await isCarried(owner, one.channel)) told.push(one);
    const letters = await Promise.all(
      told.map(async ({ factorId, channel, address }) => ({
        ...{ owner, channel, kind, data, expireTime, idempotencyKey: `${idempotencyKey}.${factorId}` },
        sealed: await sealContent(keyring, owner, { address }),
      })),
    );
    await store.write(async (tx) => {
      for (const letter of letters) await enqueue(tx, clock(), letter);
    });
    return { outcome: "delivered" };
  },
});

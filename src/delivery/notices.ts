import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Owner, Store, Tx } from "../db/store.ts";
import { writingAbout } from "../erasure/tombstones/tombstones.ts";
import { outboxRepository } from "../outbox/outbox.repository.ts";
import { enqueue, sealContent } from "../outbox/outbox.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Outgoing, Provider } from "./provider.ts";

/** A verified address of a user. */
export interface Told {
  readonly factorId: string;
  readonly channel: "sms" | "email";
  readonly address: string;
}

/** Dependencies of resolving notices. */
export interface NoticeOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** Returns the addresses for a notice of that time, including those that the change itself removed. */
  readonly listTold: (owner: Owner, since: Date) => Promise<readonly Told[]>;
  /** Channels that have a provider and that the tenant has switched on. */
  readonly isCarried: (owner: Owner, channel: Told["channel"]) => Promise<boolean>;
  /**
   * Limits notices: returns whether one more may be sent by this channel, and counts it. In a unit that has locked the
   * user's row.
   */
  readonly limitNotices: (owner: Owner) => Promise<(tx: Tx, channel: Told["channel"], now: Date) => Promise<boolean>>;
}

/** The factors whose addresses do not get the notice. */
const exceptOf = ({ except }: Outgoing["data"]): readonly unknown[] => (Array.isArray(except) ? except : []);

/**
 * Turns a notice into one message for each address. Their idempotency keys are made of the notice's key and the
 * address, so that a repetition after a crash adds none twice. A user without an address gets none; events tell the
 * backends.
 */
export const noticeProvider = ({
  store,
  keyring,
  clock,
  listTold,
  isCarried,
  limitNotices,
}: NoticeOptions): Provider => ({
  name: "notices",
  channel: "notice",
  async send({ owner, idempotencyKey, kind, data, createTime, expireTime }) {
    const told: Told[] = [];
    for (const one of await listTold(owner, createTime)) {
      if (!exceptOf(data).includes(one.factorId) && (await isCarried(owner, one.channel))) told.push(one);
    }
    if (told.length === 0) return { outcome: "delivered" };
    const letters = await Promise.all(
      told.map(async ({ factorId, channel, address }) => ({
        ...{ owner, channel, kind, data, expireTime, idempotencyKey: `${idempotencyKey}.${factorId}` },
        sealed: await sealContent(keyring, owner, { address }),
      })),
    );
    const admit = await limitNotices(owner);
    const now = clock();
    const enqueueAll = async (tx: Tx) => {
      await userRepository(tx).serialise(owner, now);
      const outbox = outboxRepository(tx);
      for (const letter of letters) {
        const messageId = await enqueue(tx, now, letter);
        // One that an earlier attempt wrote is counted already.
        if (!(await outbox.find(owner, messageId)) || (await admit(tx, letter.channel, now))) continue;
        await outbox.withdraw({ tenantId: owner.tenantId, messageId }, now);
      }
    };
    try {
      await writingAbout(store, keyring, owner, { begun: createTime }).write(enqueueAll);
    } catch (error) {
      // The user was erased: there is nobody to be told, and the notice itself is gone.
      if (error instanceof Refusal) return { outcome: "gone", error: "ERASED" };
      throw error;
    }
    return { outcome: "delivered" };
  },
});

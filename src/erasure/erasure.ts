import { setTimeout as sleep } from "node:timers/promises";
import { auditEntryRepository } from "../audit/audit-entries.repository.ts";
import { auditSubjectRepository } from "../audit/audit-subjects.repository.ts";
import { append, type Draft } from "../audit/trail.ts";
import { newId } from "../core/id.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { TimeOf } from "../db/database-time.ts";
import type { Owner } from "../db/store.ts";
import { LogHeldUp, type Store, type Tx } from "../db/store.ts";
import { eventStreamRepository } from "../events/event-streams.repository.ts";
import { eventRepository } from "../events/events.repository.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { entryKeyOf, type Ledger, type LedgerEntry } from "./ledger.ts";
import type { SubjectTable } from "./subject-data.repository.ts";
import { type TombstoneRow, tombstoneRepository } from "./tombstones/tombstones.repository.ts";
import { AFTERMATH_MS, aboutUser, digestsOf } from "./tombstones/tombstones.ts";

/** Dependencies of erasing. */
export interface ErasureOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** The time that all instances share, by which they tell how long ago another's erasure began. */
  readonly timeOf: TimeOf;
  readonly ledger: Ledger;
  /** Every table with rows about users. */
  readonly tables: readonly SubjectTable[];
}

/** Who erases, for the audit trail. */
export type Eraser = Pick<Draft, "actorType" | "actorId" | "rpc" | "callId" | "ip">;

/** An erasure that the service makes up for by itself. */
const ITSELF: Eraser = { actorType: "UNSPECIFIED", actorId: "", rpc: "", callId: "", ip: "" };

const entryOf = ({ tenantId, userDigest, erasureId, eraseTime }: TombstoneRow): LedgerEntry => {
  return { tenantId, userDigest, erasureId, eraseTime: eraseTime.toISOString() };
};

/** Users that one unit looks for: of a large tenant all of them at once would take longer than a unit may. */
const STEP = 1_000;

/** Rows of a table that one unit deletes: of a user with very many all at once would keep others waiting. */
const PART = 1_000;

/** Of an erasure that found nothing. */
const NOTHING = { removed: {}, pseudonymisedCount: 0, erasedBefore: false };

/**
 * Erases users. Whatever interrupts it, it goes on: the ledger outside of the database comes first, then the tombstone,
 * then units delete from every table, the last of which takes the name out of the audit trail, and at last the files are rid of
 * what was deleted. From the tombstone on no write that began before brings anything back.
 */
export function createErasure({ store, keyring, clock, timeOf, ledger, tables }: ErasureOptions) {
  /** Whether what former processes left in the files is gone. */
  let isScrubbed = false;
  /** What this instance is erasing. */
  const underWay = new Set<string>();
  // Events last: deleting from the other tables waits for background work that turns a row of theirs into an event.
  const inOrder = [...tables].sort((a, b) => Number(a.name === "events") - Number(b.name === "events"));

  const listOf = async (tx: Tx, owner: Owner): Promise<TombstoneRow[]> => {
    const rows: TombstoneRow[] = [];
    for (const userDigest of digestsOf(keyring, owner)) {
      rows.push(...(await tombstoneRepository(tx).list({ tenantId: owner.tenantId, userDigest })));
    }
    return rows;
  };

  /** A unit that no other unit about the user runs beside. */
  const alone = <T>(owner: Owner, work: (tx: Tx) => Promise<T>) =>
    store.write(work, { subjects: [aboutUser(owner)], alone: true });

  /**
   * Takes the user's name out of the trail, behind the entry that says so, and tells backends, naming nobody; answers how
   * many entries lost it.
   */
  async function leaveTrail(tx: Tx, owner: Owner, { erasureId, receiptId }: TombstoneRow, eraser: Eraser) {
    const subjects = auditSubjectRepository(tx);
    const subject = await subjects.find(owner);
    const count = subject ? await auditEntryRepository(tx).countOf(owner.tenantId, subject.pseudonym) : 0;
    await append(tx, keyring.mac, {
      ...{ ...owner, ...eraser, action: "user.erased", targetType: "user", targetId: owner.userId },
      ...{ isByUser: false, isFromUser: false, outcome: "SUCCESS", reason: "", before: null, createTime: clock() },
      after: { erasureId, receiptId },
    });
    await subjects.delete(owner);
    await eventRepository(tx).insert({
      ...{ tenantId: owner.tenantId, userId: "", eventId: newId(), position: null, type: "USER_ERASED" },
      ...{ factorType: "UNSPECIFIED", failureReason: "UNSPECIFIED", factorId: receiptId, challengeDigest: "" },
      ...{ ip: "", userAgent: "", application: "", actorType: eraser.actorType, actorId: eraser.actorId },
      ...{ mfaEpoch: 0, attemptsRemaining: 0, rpc: eraser.rpc, createTime: clock() },
    });
    return count;
  }

  /** Deletes from every table, up to the first that holds more than one unit deletes; returns what went in all. */
  async function deletePart(tx: Tx, owner: Owner, before: TombstoneRow["removed"]) {
    const known = (await userRepository(tx).find(owner)) !== undefined;
    await userRepository(tx).serialise(owner, clock());
    const removed: Record<string, number> = { ...before };
    for (const table of inOrder) {
      // Not here, as the entry in the trail still needs it.
      if (table.name === "audit_subjects") continue;
      // Units that write many events lock the stream first: two that lock events in different orders would deadlock.
      if (table.name === "events") await eventStreamRepository(tx).hold(owner.tenantId);
      const count = await table.deleteSome(tx, owner, PART);
      // Serialising adds the row of a user that has none.
      if (count > 0 && (table.name !== "users" || known)) removed[table.name] = (removed[table.name] ?? 0) + count;
      if (count === PART) return { removed, isLast: false };
    }
    return { removed, isLast: true };
  }

  /** One unit of an erasure: the last one finishes the tombstone, those before note what went so far. */
  async function eraseIn(tx: Tx, owner: Owner, begun: TombstoneRow, eraser: Eraser): Promise<TombstoneRow> {
    const rows = await listOf(tx, owner);
    const own = rows.find(({ erasureId }) => erasureId === begun.erasureId) ?? begun;
    if (own.state === "done") return own;
    const { removed, isLast } = await deletePart(tx, owner, own.removed);
    tx.announce(topicOf(owner));
    if (!isLast) {
      await tombstoneRepository(tx).note({ ...own, removed });
      return { ...own, removed };
    }
    const erasedBefore = rows.some(({ state }) => state === "done");
    const pseudonymisedCount = await leaveTrail(tx, owner, own, eraser);
    const { tenantId, userDigest, erasureId } = own;
    const finished = { tenantId, userDigest, erasureId, removed, pseudonymisedCount, erasedBefore, eraseTime: clock() };
    const done = await tombstoneRepository(tx).finish(finished);
    if (!done) throw new Error("a tombstone is not to be found");
    return done;
  }

  /** Begins an erasure: from here on it is remembered, and what was under way about the user writes no more. */
  async function begin(owner: Owner, erasureId: string, isInLedger: boolean): Promise<TombstoneRow> {
    const { known, eraseTime } = await store.read(async (tx) => {
      return { known: await listOf(tx, owner), eraseTime: await timeOf(tx) };
    });
    const found = known.find((row) => row.erasureId === erasureId);
    if (found) return found;
    const [userDigest = ""] = digestsOf(keyring, owner);
    const row: TombstoneRow = {
      ...{ tenantId: owner.tenantId, userDigest, erasureId, receiptId: newId(), state: "begun" },
      ...{ ...NOTHING, eraseTime },
    };
    if (!isInLedger) await ledger.append([entryOf(row)]);
    await alone(owner, (tx) => tombstoneRepository(tx).insert(row));
    return row;
  }

  /** Erases in the database; what the files still hold of it goes with the next scrub. */
  const eraseRows = async (
    owner: Owner,
    erasureId: string,
    { eraser, isInLedger = false }: { eraser: Eraser; isInLedger?: boolean },
  ): Promise<TombstoneRow> => {
    const { tenantId } = owner;
    // Also as an older pepper would have begun it.
    const keys = digestsOf(keyring, owner).map((userDigest) => entryKeyOf({ tenantId, userDigest, erasureId }));
    for (const key of keys) underWay.add(key);
    try {
      let row = await begin(owner, erasureId, isInLedger);
      while (row.state !== "done") {
        const begun = row;
        row = await alone(owner, (tx) => eraseIn(tx, owner, begun, eraser));
      }
      return row;
    } finally {
      for (const key of keys) underWay.delete(key);
    }
  };

  /** Whether somebody who lives may be at it: this instance, or another, which takes less than a minute. */
  const mayGoOn = (entry: LedgerEntry | TombstoneRow, now: Date): boolean => {
    if (underWay.has(entryKeyOf(entry))) return true;
    const isOthers = store.engine === "postgres" && "state" in entry;
    return isOthers && now.getTime() < new Date(entry.eraseTime).getTime() + AFTERMATH_MS;
  };

  /** Finds the users behind digests, among all that the tables know: nothing leads from a digest to its user. */
  async function usersBehind(tenantId: string, digests: ReadonlySet<string>): Promise<Owner[]> {
    const found = new Map<string, Owner>();
    for (const table of tables) {
      for (let after = "", full = true; full; ) {
        const users = await store.read((tx) => table.listUsers(tx, tenantId, after, STEP));
        for (const userId of users.filter((user) => !found.has(user))) {
          const owner = { tenantId, userId };
          if (digestsOf(keyring, owner).some((digest) => digests.has(digest))) found.set(userId, owner);
        }
        full = users.length === STEP;
        after = users.at(-1) ?? "";
      }
    }
    return [...found.values()];
  }

  /** Notes erasures of users of whom there is nothing, so that they are not looked for again. */
  async function settle(due: readonly (LedgerEntry | TombstoneRow)[]): Promise<void> {
    for (const { tenantId, userDigest, erasureId, eraseTime } of due) {
      const row = { ...NOTHING, tenantId, userDigest, erasureId, eraseTime: new Date(eraseTime) };
      await store.write(async (tx) => {
        await tombstoneRepository(tx).insert({ ...row, receiptId: newId(), state: "begun" });
        await tombstoneRepository(tx).finish(row);
      });
    }
  }

  /** Rids the files of what was deleted; where another process holds that up, the store goes on trying. */
  const scrubOrLater = () =>
    store.scrub().catch((error: unknown) => {
      if (!(error instanceof LogHeldUp)) throw error;
    });

  /**
   * Makes the ledger and the database agree, and makes up for what either has missed: erasures that were interrupted,
   * and those of a database that was put back to an earlier state. Answers how many users it erased again, and how many
   * erasures it left to those who may be at it.
   */
  async function makeUp(): Promise<{ erased: number; left: number }> {
    const { rows, now } = await store.read(async (tx) => {
      return { rows: await tombstoneRepository(tx).listAll(), now: await timeOf(tx) };
    });
    const entries = await ledger.list();
    const inStore = new Map(rows.map((row) => [entryKeyOf(row), row]));
    const inLedger = new Set(entries.map(entryKeyOf));
    const unwritten = rows.filter((row) => !inLedger.has(entryKeyOf(row)));
    await ledger.append(unwritten.map(entryOf));
    const forgotten = entries.filter((entry) => !inStore.has(entryKeyOf(entry)));
    const open = [...rows.filter(({ state }) => state !== "done"), ...forgotten];
    const abandoned = open.filter((entry) => !mayGoOn(entry, now));
    let erased = 0;
    for (const [tenantId, due] of Map.groupBy(abandoned, (entry) => entry.tenantId)) {
      const users = await usersBehind(tenantId, new Set(due.map(({ userDigest }) => userDigest)));
      for (const owner of users) {
        const digests = digestsOf(keyring, owner);
        for (const { erasureId } of due.filter(({ userDigest }) => digests.includes(userDigest))) {
          await eraseRows(owner, erasureId, { eraser: ITSELF, isInLedger: true });
        }
        erased += 1;
      }
      await settle(due);
    }
    // Once for all of them: it may write the file anew.
    if (erased > 0) await scrubOrLater();
    return { erased, left: open.length - abandoned.length };
  }

  return {
    /** Erases a user; a repeat goes on where an interrupted one stopped, and answers the same. */
    async erase(owner: Owner, erasureId: string, by: { readonly eraser: Eraser }): Promise<TombstoneRow> {
      const done = await eraseRows(owner, erasureId, by);
      // Also where it was done before: the process may have ended right behind the commit.
      await store.scrub();
      return done;
    },

    makeUp,

    /**
     * Makes up for erasures until none is left that somebody may be at, and at first rids the files of what was deleted by
     * those whose process ended right behind the commit. The signal ends the waiting.
     */
    async upkeep(signal: AbortSignal): Promise<void> {
      while (!signal.aborted && (await makeUp()).left > 0) {
        await sleep(AFTERMATH_MS, undefined, { signal, ref: false }).catch(() => {});
      }
      const hasErased = !isScrubbed && (await store.read((tx) => tombstoneRepository(tx).listAll())).length > 0;
      if (hasErased) await store.scrub();
      isScrubbed = true;
    },
  };
}

/** Erases users. */
export type Erasure = ReturnType<typeof createErasure>;

import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import { isSameDigest, sessionDigest } from "../core/session-digest.ts";
import { bearerId } from "../crypto/random.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import type { Answer, AnyProver, Prepared } from "../factors/factor.ts";
import { prove } from "../protection/proof.ts";
import type { Settings, SettingsOf } from "../tenants/settings.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import type { Hub } from "../watch/hub.ts";
import { noteAbandoned } from "./abandoned.ts";
import { demandsNow } from "./actions.ts";
import { type ChallengeKey, type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { Offer, TypeName } from "./challenges.table.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { findOffers } from "./offers.ts";
import { provenIn } from "./outcomes.ts";
import { ended, notAllowed } from "./refusals.ts";
import { findStanding, hasEnded, type Standing, standingOf } from "./standing.ts";
import type { Terms } from "./terms.ts";

/** What challenges need of the process. */
export interface ChallengeOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly hub: Hub;
}

/** A factor to be prepared. */
export interface Choice {
  readonly type: TypeName | undefined;
  /** Empty takes the primary, else the last used. */
  readonly factorId: string;
}

/** A challenge and what its requester needs for the factor that was prepared. */
export interface Shown {
  readonly standing: Standing;
  readonly preparation?: Prepared["preparation"];
}

/** How many of one user may be open at once; each ends by itself. */
const MAX_OPEN = 20;
/** How long one that ran out can still be read. */
const KEPT_MS = 60 * 60_000;

/** Whether a challenge is the caller's: a backend's that it created, a user's of the session of their token. */
function isCallers({ caller }: Call, { createdBy, sessionDigest: digest }: ChallengeRow): boolean {
  if (caller.principal === Principal.SERVICE) return createdBy === caller.subject;
  return isSameDigest(sessionDigest(caller.sessionId), digest);
}

/** Generic challenges: pending, proven by any factor's proof, redeemed once. */
export function createChallenges({ settingsOf, hub, ...registry }: ChallengeOptions) {
  const proverOf = (type: TypeName | undefined): AnyProver | undefined =>
    registry.provers.find((prover) => prover.type === type);

  const askedOf = (call: Call, row: Omit<ChallengeRow, "state">) => ({
    challengeId: row.challengeId,
    purpose: row.purpose,
    session: row.sessionDigest?.toString("base64url") ?? "",
    audience: row.audience,
    actionDigest: row.actionDigest,
    renderedAction: row.renderedAction,
    userVerification: row.strength === "DEVICE_BOUND",
    hideUnenrolled: call.caller.principal === Principal.SERVICE,
  });

  /** The caller's challenge; throws NOT_FOUND, also for one of somebody else. */
  const findOwn = async (tx: Tx, call: Call, key: ChallengeKey, now = call.now): Promise<Standing> => {
    const standing = await findStanding(tx, key, now);
    if (!standing || !isCallers(call, standing.row)) throw new Refusal("NOT_FOUND");
    return standing;
  };

  const limitOpen = async (tx: Tx, owner: Owner, now: Date) => {
    const challenges = challengeRepository(tx);
    await noteAbandoned(tx, await challenges.deleteExpired(owner, new Date(now.getTime() - KEPT_MS)));
    const written = await challenges.listOpen(owner, now);
    if (written.length < MAX_OPEN) return undefined;
    const open: ChallengeRow[] = [];
    for (const row of written) if (!hasEnded((await standingOf(tx, row, now)).state)) open.push(row);
    if (open.length < MAX_OPEN) return undefined;
    const first = Math.min(...open.map(({ expireTime }) => expireTime.getTime()));
    return new Refusal("RATE_LIMITED", { retryAfterMs: first - now.getTime() });
  };

  /** Prepares a factor: what is done outside of units now, the rest by the function that is answered. */
  const prepare = async (
    call: Call,
    owner: Owner,
    row: ChallengeRow,
    { type, factorId }: Choice,
    settings: Settings,
  ) => {
    if (type === undefined) return undefined;
    const kinds = eligible(registry, demandsNow(row, settings), settings);
    if (!kinds.some((factor) => factor.type === type)) return notAllowed(kinds);
    const prover = proverOf(type);
    const begun = await prover?.prepare?.(call, owner, { ...askedOf(call, row), factorId });
    if (begun instanceof Refusal) return begun;
    return async (tx: Tx, offers: readonly Offer[]): Promise<Prepared | Refusal> => {
      // Before a challenge that cannot be proved nothing is prepared, and nobody learns that from an error.
      if (offers.length === 0 && begun && prover?.hidesAbsence) return begun(tx);
      if (offers.length === 0) return { factorId: "", preparation: { case: undefined } };
      const offered = offers.filter((offer) => offer.type === type && [offer.factorId, ""].includes(factorId));
      if (offered.length === 0) return notAllowed(offers);
      return begun ? begun(tx) : { factorId, preparation: { case: undefined } };
    };
  };

  /** Proves one of the caller's challenges; `then` goes on in the unit that does. */
  const verify = async <T extends object>(
    call: Call,
    key: ChallengeKey,
    answer: Answer,
    then: (tx: Tx, proven: Standing) => Promise<T>,
  ): Promise<T | Refusal> => {
    const { tenantId, userId } = key;
    const owner = { tenantId, userId };
    const { row, state } = await call.unit((tx) => findOwn(tx, call, key));
    if (state !== "PENDING") return ended(state);
    const settings = await settingsOf(tenantId);
    const kinds = eligible(registry, demandsNow(row, settings), settings);
    const prover = registry.provers.find(({ answers }) => answers === answer.case);
    if (!prover || !kinds.some(({ type }) => type === prover.type)) return notAllowed(kinds);
    const proof = await prover.proofOf(call, owner, answer.value as never, askedOf(call, row));
    if (proof instanceof Refusal) return proof;
    return prove(call, owner, {
      ...proof,
      challengeId: key.challengeId,
      spend: async (tx, match) => {
        const epoch = await userRepository(tx).serialise(owner, call.now);
        const current = await findOwn(tx, call, key);
        if (current.state !== "PENDING") return ended(current.state);
        const spent = await proof.spend(tx, match);
        if (!spent || spent instanceof Refusal) return spent;
        const proven = await provenIn(tx, call, current.row, { ...spent, type: prover.type, epoch });
        return then(tx, proven);
      },
    });
  };

  return {
    registry,
    proverOf,
    findOwn,
    verify,

    /** Creates a challenge, and prepares a factor for it where one is chosen. */
    async create(call: Call, owner: Owner, terms: Terms, choice: Choice): Promise<Shown | Refusal> {
      const settings = await settingsOf(owner.tenantId);
      const { lifetimeMs, ...columns } = terms;
      const row: ChallengeRow = {
        ...owner,
        ...columns,
        challengeId: bearerId(),
        state: "pending",
        offers: [],
        preparedType: "",
        preparedFactorId: "",
        proofs: null,
        provenType: "",
        provenFactorId: "",
        facts: null,
        mfaEpoch: 0,
        createTime: call.now,
        proveTime: null,
        expireTime: new Date(call.now.getTime() + lifetimeMs),
        updateTime: call.now,
      };
      const begun = await prepare(call, owner, row, choice, settings);
      if (begun instanceof Refusal) return begun;
      return call.unit(async (tx) => {
        const found = await findOffers(registry, tx, call, owner, { row, settings });
        if (found instanceof Refusal) return found;
        const limited = await limitOpen(tx, owner, call.now);
        if (limited) return limited;
        const prepared = await begun?.(tx, found.offers);
        if (prepared instanceof Refusal) return prepared;
        const created: ChallengeRow = {
          ...row,
          ...found,
          preparedType: choice.type ?? "",
          preparedFactorId: prepared?.factorId ?? "",
        };
        await challengeRepository(tx).insert(created);
        await recordEvent(tx, call, {
          ...{ owner, type: "CHALLENGE_CREATED", factorType: choice.type ?? "UNSPECIFIED" },
          challengeId: created.challengeId,
        });
        const standing: Standing = { row: created, state: "PENDING" };
        return { standing, ...(prepared && { preparation: prepared.preparation }) };
      });
    },

    /** Prepares again, or another factor. What it takes of waiting is the factor's own. */
    async resend(call: Call, key: ChallengeKey, asked: Choice): Promise<Shown | Refusal> {
      const { tenantId, userId } = key;
      const owner = { tenantId, userId };
      const { row, state } = await call.unit((tx) => findOwn(tx, call, key));
      if (state !== "PENDING") return ended(state);
      const last = { type: row.preparedType || undefined, factorId: row.preparedFactorId };
      const choice = asked.type === undefined ? last : asked;
      const begun = await prepare(call, owner, row, choice, await settingsOf(tenantId));
      if (begun instanceof Refusal) return begun;
      return call.unit(async (tx) => {
        const current = await findOwn(tx, call, key);
        if (current.state !== "PENDING") return ended(current.state);
        const prepared = await begun?.(tx, row.offers);
        if (prepared instanceof Refusal) return prepared;
        if (!prepared || choice.type === undefined) return { standing: current };
        const noted = { preparedType: choice.type, preparedFactorId: prepared.factorId };
        const again = await challengeRepository(tx).prepare(key, noted, call.now);
        // Another call was quicker, this very moment: proved it, or took it back.
        if (!again) throw ended((await findOwn(tx, call, key)).state);
        return { standing: { row: again, state: "PENDING" }, preparation: prepared.preparation };
      });
    },

    /** Takes a challenge back; one that has ended stays as it is. */
    async cancel(call: Call, key: ChallengeKey): Promise<Standing> {
      return call.unit(async (tx) => {
        const standing = await findOwn(tx, call, key);
        if (hasEnded(standing.state)) return standing;
        // In the order in which answers write them.
        for (const prover of registry.provers) await prover.cancelled?.(tx, key, key.challengeId, call.now);
        await challengeRepository(tx).cancel(key, call.now);
        tx.announce(topicOf(key));
        // Not what this call wanted, but what became of it: another may have been quicker.
        const row = await challengeRepository(tx).find(key);
        return row ? standingOf(tx, row, call.now) : standing;
      });
    },

    /** Follows a challenge: as it stands, then at each change, until it ends. No query is made in between. */
    async *watch(call: Call, key: ChallengeKey): AsyncGenerator<Standing> {
      const watching = hub.watch(topicOf(key), call.signal);
      try {
        let last = "";
        while (!call.signal.aborted) {
          // Let go of before the wait: thousands wait at once, each for minutes.
          let standing: Standing | undefined = await call.unit((tx) => findOwn(tx, call, key, call.clock()));
          const isOver = hasEnded(standing.state);
          watching.until(standing.row.expireTime);
          const { preparedType, proofs, updateTime } = standing.row;
          // A time alone would not tell two changes of one moment apart.
          const now = [standing.state, preparedType, proofs?.length, updateTime.getTime()].join(" ");
          if (now !== last) yield standing;
          standing = undefined;
          last = now;
          if (isOver) return;
          await watching.next();
        }
      } finally {
        watching.close();
      }
    },
  };
}

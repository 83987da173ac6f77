import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { isSameDigest, sessionDigest } from "../core/session-digest.ts";
import { bearerId } from "../crypto/random.ts";
import type { Owner, Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import type { Answer, AnyProver, PreparedFactor } from "../factors/factor.ts";
import { prove } from "../protection/proof.ts";
import type { Notifier } from "../streams/notifier.ts";
import type { EffectiveSettings, SettingsOf } from "../tenant-settings/settings.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { noteAbandoned } from "./abandoned.ts";
import { demandsNow } from "./actions.ts";
import { type ChallengeKey, type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { Offer, TypeName } from "./challenges.table.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { findOffers } from "./offers.ts";
import { provenIn } from "./outcomes.ts";
import { ended, notAllowed } from "./refusals.ts";
import { type CurrentChallenge, currentStateOf, findCurrentChallenge, hasChallengeEnded } from "./state.ts";
import type { TermColumns } from "./terms.ts";

/** Dependencies of challenges. */
export interface ChallengeOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly notifier: Notifier;
}

/** A factor to be prepared. */
export interface Choice {
  readonly type: TypeName | undefined;
  /** Empty for the preferred factor, else the last used. */
  readonly factorId: string;
}

/** A challenge, and what the requester needs for the prepared factor. */
export interface Shown {
  readonly standing: CurrentChallenge;
  readonly preparation?: PreparedFactor["preparation"];
}

/** The open challenges of one user at most; each expires. */
const MAX_OPEN = 20;
/** How long an expired challenge can still be read. */
const KEPT_MS = 60 * 60_000;

/**
 * Whether a challenge is the caller's: the backend that created it, or the user in the session of their token. A
 * challenge that a backend created without a session belongs to no user, and that of a hosted prompt to the browser that
 * opened it alone.
 */
function isCallers({ caller }: Call, { createdBy, sessionDigest: digest, promptId }: ChallengeRow): boolean {
  if (promptId !== "" || caller.promptId !== undefined) return caller.promptId === promptId;
  if (caller.principal === Principal.SERVICE) return createdBy === caller.subject;
  return (createdBy === "" || digest !== null) && isSameDigest(sessionDigest(caller.sessionId), digest);
}

/** Generic challenges: pending, proven by any factor's proof, redeemed once. */
export function createChallenges({ settingsOf, notifier, ...registry }: ChallengeOptions) {
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
    hideUnenrolled: call.caller.principal !== Principal.USER,
  });

  /** Returns the caller's challenge; throws NOT_FOUND, also for another caller's. */
  const findOwn = async (tx: Tx, call: Call, key: ChallengeKey, now = call.now): Promise<CurrentChallenge> => {
    const standing = await findCurrentChallenge(tx, key, now);
    if (!standing || !isCallers(call, standing.row)) throw new Refusal("NOT_FOUND");
    return standing;
  };

  const limitOpen = async (tx: Tx, owner: Owner, now: Date) => {
    const challenges = challengeRepository(tx);
    await noteAbandoned(tx, await challenges.deleteExpired(owner, new Date(now.getTime() - KEPT_MS)));
    const written = await challenges.listOpen(owner, now);
    if (written.length < MAX_OPEN) return undefined;
    const open: ChallengeRow[] = [];
    for (const row of written) if (!hasChallengeEnded((await currentStateOf(tx, row, now)).state)) open.push(row);
    if (open.length < MAX_OPEN) return undefined;
    const first = Math.min(...open.map(({ expireTime }) => expireTime.getTime()));
    return new Refusal("RATE_LIMITED", { retryAfterMs: first - now.getTime() });
  };

  /** Prepares a factor: the part outside of units now, the rest by the returned function. */
  const prepare = async (
    call: Call,
    owner: Owner,
    row: ChallengeRow,
    { type, factorId }: Choice,
    settings: EffectiveSettings,
  ) => {
    if (type === undefined) return undefined;
    const kinds = eligible(registry, demandsNow(row, settings), settings);
    if (!kinds.some((factor) => factor.type === type)) return notAllowed(kinds);
    const prover = proverOf(type);
    const begun = await prover?.prepare?.(call, owner, { ...askedOf(call, row), factorId });
    if (begun instanceof Refusal) return begun;
    return async (tx: Tx, offers: readonly Offer[]): Promise<PreparedFactor | Refusal> => {
      // Nothing is prepared for a challenge that cannot be proved, without an error that would tell.
      if (offers.length === 0 && begun && prover?.hidesAbsence) return begun(tx);
      if (offers.length === 0) return { factorId: "", preparation: { case: undefined } };
      const offered = offers.filter((offer) => offer.type === type && [offer.factorId, ""].includes(factorId));
      if (offered.length === 0) return notAllowed(offers);
      return begun ? begun(tx) : { factorId, preparation: { case: undefined } };
    };
  };

  /** Proves one of the caller's challenges; `then` runs in the same unit. */
  const verify = async <T extends object>(
    call: Call,
    key: ChallengeKey,
    answer: Answer,
    then: (tx: Tx, proven: CurrentChallenge) => Promise<T>,
  ): Promise<T | Refusal> => {
    const { tenantId, userId } = key;
    const owner = { tenantId, userId };
    const { row, state } = await call.read((tx) => findOwn(tx, call, key));
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

    /** Creates a challenge, and prepares a factor for it where one is chosen; `also` runs in the same unit. */
    async create(
      call: Call,
      owner: Owner,
      terms: TermColumns,
      choice: Choice,
      also?: (tx: Tx, row: ChallengeRow) => Promise<void>,
    ): Promise<Shown | Refusal> {
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
        await also?.(tx, created);
        await recordEvent(tx, call, {
          ...{ owner, type: "CHALLENGE_CREATED", factorType: choice.type ?? "UNSPECIFIED" },
          challengeId: created.challengeId,
        });
        const standing: CurrentChallenge = { row: created, state: "PENDING" };
        return { standing, ...(prepared && { preparation: prepared.preparation }) };
      });
    },

    /** Prepares the factor again, or another one. The factor enforces its own waiting time. */
    async resend(call: Call, key: ChallengeKey, asked: Choice): Promise<Shown | Refusal> {
      const { tenantId, userId } = key;
      const owner = { tenantId, userId };
      const { row, state } = await call.read((tx) => findOwn(tx, call, key));
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
        // A concurrent call has proved or cancelled it.
        if (!again) throw ended((await findOwn(tx, call, key)).state);
        return { standing: { row: again, state: "PENDING" }, preparation: prepared.preparation };
      });
    },

    /** Cancels a challenge; an ended one stays as it is. */
    async cancel(call: Call, key: ChallengeKey): Promise<CurrentChallenge> {
      return call.unit(async (tx) => {
        const standing = await findOwn(tx, call, key);
        if (hasChallengeEnded(standing.state)) return standing;
        // In the order in which proofs write them.
        for (const prover of registry.provers) await prover.cancelled?.(tx, key, key.challengeId, call.now);
        await challengeRepository(tx).cancel(key, call.now);
        tx.announce(topicOf(key));
        // The actual state, since a concurrent call may have won.
        const row = await challengeRepository(tx).find(key);
        return row ? currentStateOf(tx, row, call.now) : standing;
      });
    },

    /** Streams a challenge: its present state, then each change, until it ends. There is no query in between. */
    async *watch(call: Call, key: ChallengeKey): AsyncGenerator<CurrentChallenge> {
      const watching = notifier.watch(topicOf(key), call.signal);
      try {
        let last = "";
        while (!call.signal.aborted) {
          // Released before the wait, since thousands of streams wait at once, each for minutes.
          let standing: CurrentChallenge | undefined = await call.unit((tx) => findOwn(tx, call, key, call.clock()));
          const isOver = hasChallengeEnded(standing.state);
          watching.until(standing.row.expireTime);
          const { preparedType, proofs, updateTime } = standing.row;
          // A time alone would not distinguish two changes of one moment.
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

import type { AssertionStatement, Assertions, Issued } from "../assertions/assertions.ts";
import { isUsedUp } from "../assertions/methods.ts";
import { type ActionContent, actionDigest } from "../client/action-digest.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { isSameDigest, sessionDigest } from "../core/session-digest.ts";
import type { Owner, Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { factorOf } from "../factors/index.ts";
import { isUsable } from "../factors/strength.ts";
import type { Histories } from "../risk/history.ts";
import type { EffectiveSettings, SettingsOf } from "../tenant-settings/settings.ts";
import type { Trusted, TrustedDevices, Trusting } from "../trusted-devices/trusted-devices.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { demandsNow } from "./actions.ts";
import { type ChallengeKey, type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { ProofFacts, TypeName } from "./challenges.table.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { goThrough } from "./from-decision.ts";
import { factsOf } from "./proof-strength.ts";
import { ended, notAllowed } from "./refusals.ts";
import { currentStateOf, findCurrentChallenge } from "./state.ts";

/** The statements of a redeeming request, which must match those at creation. */
export interface Redeeming {
  readonly sessionId: string;
  readonly nonce: string;
  readonly action: ActionContent | undefined;
  /** Undefined without one in the request. */
  readonly purpose: ChallengeRow["purpose"] | undefined;
}

/** The result of a redemption. */
export interface Redeemed {
  readonly row: ChallengeRow & { readonly provenType: TypeName };
  readonly issued: Issued;
  readonly mfaEpoch: number;
}

/** A redemption with the client that is trusted along with it, if that was asked for and is allowed. */
export interface RedeemedWithTrust {
  readonly redeemed: Redeemed;
  readonly settings: EffectiveSettings;
  readonly trusted: Trusted | undefined;
}

/** Dependencies of redeeming. */
export interface RedemptionOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly assertions: Assertions;
  readonly trustedDevices: TrustedDevices;
  readonly histories: Histories;
}

const wasAskedFor = (row: ChallengeRow, { sessionId, nonce, action, purpose }: Redeeming): boolean =>
  (purpose === undefined || row.purpose === purpose) &&
  isSameDigest(row.sessionDigest, sessionDigest(sessionId)) &&
  row.nonce === nonce &&
  row.actionType === (action?.type ?? "") &&
  isSameDigest(row.actionDigest, action ? actionDigest(action) : null);

/** Returns every proof of a challenge, the strongest (`type`) first. */
const methodsOf = (
  { proofs, facts }: ChallengeRow,
  type: TypeName,
  { webauthn }: EffectiveSettings,
): AssertionStatement["methods"] => {
  const others = (proofs ?? []).filter((proof) => proof.type !== type);
  return [{ type, facts }, ...others].map((proof) => ({
    type: proof.type,
    ...factsOf(proof.facts ?? {}),
    // A passkey counts as both factors while the tenant's setting says so.
    alone: (proof.facts?.alone ?? false) && webauthn.passkeyAlone,
  }));
};

/** Whether the tenant's settings of today still accept a proof: they may have come to ask for more since. */
const isStillAccepted = (
  { type, facts }: { readonly type: TypeName; readonly facts?: ProofFacts | null },
  settings: EffectiveSettings,
): boolean => factorOf(type).stillAccepts?.(facts ?? {}, settings) ?? true;

const statementOf = (row: ChallengeRow): Omit<AssertionStatement, "methods" | "mfaEpoch" | "policyVersion"> => ({
  owner: { tenantId: row.tenantId, userId: row.userId },
  signedAction: row.facts?.signedAction ?? false,
  audience: row.audience,
  sessionDigest: row.sessionDigest,
  nonce: row.nonce,
  action: row.actionDigest ? { type: row.actionType, digest: row.actionDigest } : undefined,
  challengeId: row.challengeId,
  purpose: row.purpose,
  proveTime: row.proveTime ?? row.updateTime,
});

/** Proven to redeemed, once; checks again everything that could have changed since the proof. */
export function createRedemption({
  settingsOf,
  assertions,
  trustedDevices,
  histories,
  ...registry
}: RedemptionOptions) {
  /** Whether the proving factors still exist and are still eligible. */
  const requireFactors = async (
    tx: Tx,
    call: Call,
    row: ChallengeRow,
    settings: EffectiveSettings,
  ): Promise<TypeName> => {
    const { tenantId, userId, provenType, provenFactorId } = row;
    const demands = demandsNow(row, settings);
    const kinds = eligible(registry, demands, settings);
    if (provenType === "") throw notAllowed(kinds);
    if (demands.requiresBinding && row.actionDigest !== null && !row.facts?.signedAction) throw notAllowed(kinds);
    const proofs = row.proofs ?? [{ type: provenType, factorId: provenFactorId, facts: row.facts }];
    for (const proof of proofs) {
      const factor = kinds.find((kind) => kind.type === proof.type);
      if (!factor) throw notAllowed(kinds);
      if (factorOf(proof.type).consumed) continue;
      const held = await factor.list(tx, { tenantId, userId }, call.now);
      const own = held.find(({ factorId, state }) => factorId === proof.factorId && state === "ACTIVE");
      if (!own) throw new Refusal("CHALLENGE_EXPIRED");
      // Admitted at the proof, but not by the present settings.
      const isAdmitted = isUsable({ ...own, factor }, settings) && isStillAccepted(proof, settings);
      if (!isAdmitted) throw notAllowed(kinds.filter((kind) => kind !== factor));
    }
    return provenType;
  };

  type Note = Awaited<ReturnType<Assertions["ready"]>>;

  /** Uses up a proven challenge and stores its assertion, in a unit. Throws refusals, so that nothing is used up. */
  const redeemIn = async (
    tx: Tx,
    call: Call,
    key: ChallengeKey,
    { note, settings }: { note: Note; settings: EffectiveSettings },
  ): Promise<Redeemed> => {
    const owner: Owner = { tenantId: key.tenantId, userId: key.userId };
    const epoch = await userRepository(tx).serialise(owner, call.now);
    const standing = await findCurrentChallenge(tx, key, call.now);
    if (standing?.state !== "PROVEN") throw ended(standing?.state ?? "EXPIRED");
    const type = await requireFactors(tx, call, standing.row, settings);
    const row = await challengeRepository(tx).redeem(key, epoch, call.now);
    if (!row) throw ended("EXPIRED");
    const types = row.proofs?.map((proof) => proof.type) ?? [type];
    for (const { redeemed } of registry.provers.filter((prover) => types.includes(prover.type))) {
      await redeemed?.(tx, owner, key.challengeId, call.now);
    }
    const policyVersion = await goThrough(tx, call, row, histories);
    const proof = { factorType: type, factorId: row.provenFactorId, challengeId: key.challengeId };
    await recordEvent(tx, call, { owner, type: "CHALLENGE_REDEEMED", ...proof });
    tx.announce(topicOf(owner));
    const stated = { methods: methodsOf(row, type, settings), mfaEpoch: epoch, policyVersion };
    const issued = await note(tx, { ...statementOf(row), ...stated }, call.now);
    return { row: { ...row, provenType: type }, issued, mfaEpoch: epoch };
  };

  /** What redeeming prepares outside of units. */
  const ready = async (tenantId: string) => ({
    note: await assertions.ready(),
    settings: await settingsOf(tenantId),
  });
  type Ready = Awaited<ReturnType<typeof ready>>;

  /** Redeems a challenge that was found, in its unit, and may trust the client along with it. Throws refusals. */
  const redeemFound = async (
    tx: Tx,
    call: Call,
    row: ChallengeRow,
    { trust, ready: { note, settings }, ...asked }: Redeeming & { trust: Trusting | undefined; ready: Ready },
  ): Promise<RedeemedWithTrust> => {
    if (!wasAskedFor(row, asked)) throw new Refusal("ASSERTION_REJECTED");
    // Before the user's row is locked: unknown users have none, and inserting one takes longer, which would tell.
    const { state } = await currentStateOf(tx, row, call.now);
    if (state !== "PROVEN") throw ended(state);
    const redeemed = await redeemIn(tx, call, row, { note, settings });
    // Only an aal2 proof by an existing factor earns trust. Where policy forbids it or the limit is reached, the log-in goes on without trust.
    const { acr, amr } = redeemed.issued.claims;
    const isWorthIt = trust && acr === "aal2" && !isUsedUp(amr);
    const owner = { tenantId: row.tenantId, userId: row.userId };
    const trusted = isWorthIt ? await trustedDevices.trustIn(tx, call, owner, trust, settings) : undefined;
    return { redeemed, settings, trusted: trusted instanceof Refusal ? undefined : trusted };
  };

  return {
    redeemIn,
    ready,

    /** Redeems the challenge of a hosted prompt, in the unit that used up its code. Throws refusals. */
    async redeemOfPrompt(
      tx: Tx,
      call: Call,
      { promptId, ...key }: ChallengeKey & { readonly promptId: string },
      asked: Redeeming & { readonly trust: Trusting | undefined; readonly ready: Ready },
    ): Promise<RedeemedWithTrust> {
      const row = await challengeRepository(tx).find(key);
      if (row?.promptId !== promptId) throw new Refusal("CHALLENGE_EXPIRED");
      return redeemFound(tx, call, row, asked);
    },

    /**
     * For the backend that created the challenge, or the audience of its assertion. May trust the client along with it.
     * The challenge of a hosted prompt is redeemed by its code only.
     */
    async redeem(
      call: Call,
      key: ChallengeKey,
      asked: Redeeming & { readonly trust: Trusting | undefined },
    ): Promise<RedeemedWithTrust> {
      const prepared = await ready(key.tenantId);
      return call.unit(async (tx) => {
        const row = await challengeRepository(tx).find(key);
        const isFor = row?.promptId === "" && [row.createdBy, row.audience].includes(call.caller.subject);
        if (!isFor) throw new Refusal("NOT_FOUND");
        return redeemFound(tx, call, row, { ...asked, ready: prepared });
      });
    },
  };
}

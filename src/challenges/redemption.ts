import type { Assertions, Issued, Statement } from "../assertions/assertions.ts";
import { isUsedUp } from "../assertions/methods.ts";
import { type ActionContent, actionDigest } from "../client/action-digest.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import { isSameDigest, sessionDigest } from "../core/session-digest.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { isConsumed } from "../factors/strength.ts";
import type { Histories } from "../risk/history.ts";
import type { Settings, SettingsOf } from "../tenants/settings.ts";
import type { Trusted, TrustedDevices, Trusting } from "../trusted-devices/trusted-devices.ts";
import { topicOf } from "../users/user-topic.ts";
import { userRepository } from "../users/users.repository.ts";
import { demandsNow } from "./actions.ts";
import { type ChallengeKey, type ChallengeRow, challengeRepository } from "./challenges.repository.ts";
import type { TypeName } from "./challenges.table.ts";
import { eligible, type Registry } from "./eligibility.ts";
import { goThrough } from "./following.ts";
import { ended, notAllowed } from "./refusals.ts";
import { findStanding } from "./standing.ts";
import { factsOf } from "./worth.ts";

/** What the redeeming request says: it must be what the challenge was created for. */
export interface Redeeming {
  readonly sessionId: string;
  readonly nonce: string;
  readonly action: ActionContent | undefined;
}

/** What a redeemed challenge was worth. */
export interface Redeemed {
  readonly row: ChallengeRow & { readonly provenType: TypeName };
  readonly issued: Issued;
  readonly mfaEpoch: number;
}

/** What redeeming needs of the process. */
export interface RedemptionOptions extends Registry {
  readonly settingsOf: SettingsOf;
  readonly assertions: Assertions;
  readonly trustedDevices: TrustedDevices;
  readonly histories: Histories;
}

const wasAskedFor = (row: ChallengeRow, { sessionId, nonce, action }: Redeeming): boolean =>
  isSameDigest(row.sessionDigest, sessionDigest(sessionId)) &&
  row.nonce === nonce &&
  row.actionType === (action?.type ?? "") &&
  isSameDigest(row.actionDigest, action ? actionDigest(action) : null);

/** Every proof of a challenge, that of `type`, the strongest, first. */
const methodsOf = ({ proofs, facts }: ChallengeRow, type: TypeName, { webauthn }: Settings): Statement["methods"] => {
  const others = (proofs ?? []).filter((proof) => proof.type !== type);
  return [{ type, facts }, ...others].map((proof) => ({
    type: proof.type,
    ...factsOf(proof.facts ?? {}),
    // A passkey stands for both factors as long as the tenant says so.
    alone: (proof.facts?.alone ?? false) && webauthn.passkeyAlone,
  }));
};

const statementOf = (row: ChallengeRow): Omit<Statement, "methods" | "mfaEpoch" | "policyVersion"> => ({
  owner: { tenantId: row.tenantId, userId: row.userId },
  signedAction: row.facts?.signedAction ?? false,
  audience: row.audience,
  sessionDigest: row.sessionDigest,
  nonce: row.nonce,
  action: row.actionDigest ? { type: row.actionType, digest: row.actionDigest } : undefined,
  challengeId: row.challengeId,
  proveTime: row.proveTime ?? row.updateTime,
});

/** Proven to redeemed, once, with everything looked at again that could have changed since the proof. */
export function createRedemption({
  settingsOf,
  assertions,
  trustedDevices,
  histories,
  ...registry
}: RedemptionOptions) {
  /** Whether the factors that proved it are still the user's and still will do. */
  const requireFactors = async (tx: Tx, call: Call, row: ChallengeRow, settings: Settings): Promise<TypeName> => {
    const { tenantId, userId, provenType, provenFactorId } = row;
    const demands = demandsNow(row, settings);
    const kinds = eligible(registry, demands, settings);
    if (provenType === "") throw notAllowed(kinds);
    if (demands.requiresBinding && row.actionDigest !== null && !row.facts?.signedAction) throw notAllowed(kinds);
    for (const proof of row.proofs ?? [{ type: provenType, factorId: provenFactorId }]) {
      const factor = kinds.find((kind) => kind.type === proof.type);
      if (!factor) throw notAllowed(kinds);
      if (isConsumed(proof.type)) continue;
      const held = await factor.list(tx, { tenantId, userId }, call.now);
      const isActive = held.some(({ factorId, state }) => factorId === proof.factorId && state === "ACTIVE");
      if (!isActive) throw new Refusal("CHALLENGE_EXPIRED");
    }
    return provenType;
  };

  type Note = Awaited<ReturnType<Assertions["ready"]>>;

  /** In a unit: uses a proven challenge up and notes its assertion. Throws its refusals, so that nothing is used up. */
  const redeemIn = async (
    tx: Tx,
    call: Call,
    key: ChallengeKey,
    { note, settings }: { note: Note; settings: Settings },
  ): Promise<Redeemed> => {
    const owner: Owner = { tenantId: key.tenantId, userId: key.userId };
    const epoch = await userRepository(tx).serialise(owner, call.now);
    const standing = await findStanding(tx, key, call.now);
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

  return {
    redeemIn,

    /** What redeeming needs from outside of units. */
    async ready(tenantId: string) {
      return { note: await assertions.ready(), settings: await settingsOf(tenantId) };
    },

    /** For the backend that created the challenge, or that its assertion is for. May trust the client along with it. */
    async redeem(
      call: Call,
      key: ChallengeKey,
      { trust, ...asked }: Redeeming & { readonly trust: Trusting | undefined },
    ): Promise<{ redeemed: Redeemed; settings: Settings; trusted: Trusted | undefined }> {
      const ready = await this.ready(key.tenantId);
      return call.unit(async (tx) => {
        const row = await challengeRepository(tx).find(key);
        const isFor = row && [row.createdBy, row.audience].includes(call.caller.subject);
        if (!isFor) throw new Refusal("NOT_FOUND");
        if (!wasAskedFor(row, asked)) throw new Refusal("ASSERTION_REJECTED");
        const { settings } = ready;
        const redeemed = await redeemIn(tx, call, key, ready);
        // Only what proved aal2 and is still there earns trust. Where policy forbids it or the cap is reached, the log-in goes on without.
        const { acr, amr } = redeemed.issued.claims;
        const isWorthIt = trust && acr === "aal2" && !isUsedUp(amr);
        const owner = { tenantId: key.tenantId, userId: key.userId };
        const trusted = isWorthIt ? await trustedDevices.trustIn(tx, call, owner, trust, settings) : undefined;
        return { redeemed, settings, trusted: trusted instanceof Refusal ? undefined : trusted };
      });
    },
  };
}

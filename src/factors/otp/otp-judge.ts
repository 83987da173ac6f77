import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { wasLockedSince } from "../../protection/attempts.ts";
import type { ProofFailure } from "../../protection/proof.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import type { OtpChannel } from "./channels.ts";
import type { OtpPurpose } from "./otp.table.ts";
import { otpAddressRepository } from "./otp-addresses.repository.ts";
import { type OtpChallengeRow, otpChallengeRepository } from "./otp-challenges.repository.ts";
import type { createDispatch } from "./otp-dispatch.ts";

/** Whose codes they are, and of which session: a code is good in its own only. */
export interface Holder {
  readonly owner: Owner;
  /** What stands for the session, as the table keeps it. */
  readonly sessionId: string;
}

/** A code as somebody typed it in. */
export interface Typed {
  readonly channel: OtpChannel;
  readonly challengeId: string;
  readonly code: string;
}

/** The challenge that a code is typed for, or that it is one for something else. */
export interface Loaded {
  readonly challenge: OtpChallengeRow | undefined;
  readonly isForeign: boolean;
}

/** What judges and spends codes that were sent. */
export function createOtpJudge(
  keyring: Pick<Keyring, "digest" | "matches">,
  dispatch: Pick<ReturnType<typeof createDispatch>, "partsOf" | "decoy">,
) {
  /** What decides about a typed code, outside of any unit. Takes as long for a challenge that does not exist. */
  const isRight = (challenge: OtpChallengeRow | undefined, { owner, sessionId }: Holder, typed: Typed): boolean => {
    const purpose = challenge?.purpose ?? "log_in";
    const parts = dispatch.partsOf({ owner, sessionId, challengeId: typed.challengeId, purpose, code: typed.code });
    const digest = challenge?.codeDigest ?? keyring.digest(...dispatch.decoy);
    return keyring.matches(digest, ...parts) && challenge !== undefined;
  };

  return {
    counted: ({ factorType }: OtpChannel) => ({ factorType, counter: "typed-code" }) as const,

    /** The challenge that is typed for, if it is of this channel and purpose. */
    async load(tx: Tx, { owner }: Holder, typed: Typed, purposes: readonly OtpPurpose[]): Promise<Loaded> {
      const found = await otpChallengeRepository(tx).find({ ...owner, challengeId: typed.challengeId });
      const isTyped = found?.channel === typed.channel.name && purposes.includes(found.purpose);
      return { challenge: isTyped ? found : undefined, isForeign: found !== undefined && !isTyped };
    },

    judge: async ({ challenge }: Loaded, holder: Holder, typed: Typed) =>
      isRight(challenge, holder, typed) ? challenge : undefined,

    /** What is known of a code that was refused: of a right one, what its challenge died of. */
    async failureOf(
      tx: Tx,
      { isForeign }: Loaded,
      code: OtpChallengeRow | undefined,
      now: Date,
    ): Promise<ProofFailure | undefined> {
      if (!code) return isForeign ? "WRONG_CHALLENGE" : undefined;
      if (code.spendTime) return "REPLAYED";
      if (code.expireTime <= now) return "EXPIRED";
      const { tenantId, userId, channel, factorId, purpose } = code;
      const owner = { tenantId, userId };
      if (await wasLockedSince(tx, owner, code.codeTime)) return "LOCKED";
      if (purpose === "enroll") return undefined;
      const active = await otpAddressRepository(tx).listActive({ ...owner, channel });
      return active.some((address) => address.factorId === factorId) ? undefined : "DISABLED_FACTOR";
    },

    /** Why a right code is not taken: the tenant sends to its number or address no more. */
    async refusalOf(
      tx: Tx,
      { tenantId, userId, factorId }: OtpChallengeRow,
      channel: OtpChannel,
      settings: EffectiveSettings,
    ): Promise<Refusal | undefined> {
      const address = await otpAddressRepository(tx).find({ tenantId, userId, factorId });
      const policy = address && channel.refusedBy(address, settings);
      return policy ? new Refusal("DESTINATION_REFUSED", { metadata: { policy } }) : undefined;
    },

    /** Spends a code that was judged, unless it was replaced, spent or locked out since. */
    async spend(tx: Tx, call: Call, owner: Owner, { challengeId, codeDigest, codeTime }: OtpChallengeRow) {
      if (await wasLockedSince(tx, owner, codeTime)) return false;
      return (await otpChallengeRepository(tx).spend({ ...owner, challengeId, codeDigest }, call.now)) !== undefined;
    },
  };
}

import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { bearerId } from "../../crypto/random.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { outboxRepository } from "../../outbox/outbox.repository.ts";
import { enqueue, type SealedContent, sealContent } from "../../outbox/outbox.ts";
import type { EffectiveSettings, SettingsOf } from "../../tenant-settings/settings.ts";
import type { CodesForEnrollment, FactorSet } from "../factor.ts";
import type { ChannelName, OtpChannel } from "./channels.ts";
import type { OtpPurpose } from "./otp.table.ts";
import type { OtpAddressRow } from "./otp-addresses.repository.ts";
import { otpAddressRepository } from "./otp-addresses.repository.ts";
import { type OtpChallengeRow, otpChallengeRepository } from "./otp-challenges.repository.ts";
import { newCode } from "./otp-code.ts";
import { createSendLimits } from "./send-limits.ts";

/** Dependencies of codes by text message and e-mail. */
export interface OtpOptions {
  readonly keyring: Keyring;
  /** Of the tenant: which ways are on, and where it sends to. */
  readonly settingsOf: SettingsOf;
  /** The ways that anybody carries messages by. */
  readonly carried: ReadonlySet<ChannelName>;
  /** The kinds of factor that a tenant lets its users enroll, for those who may not have this one. */
  readonly allowed: (settings: EffectiveSettings) => readonly string[];
  /** Refuses to take the last factor away. */
  readonly guardLast: FactorSet["guardLast"];
  /** Backup codes, where the tenant has them made with a factor. */
  readonly codes: CodesForEnrollment;
}

/** A code that is ready to be sent. */
export interface PreparedCode {
  readonly code: string;
  readonly sealed: SealedContent;
  readonly locale: string;
  readonly settings: EffectiveSettings;
}

/** What a code is bound to. */
interface Bound {
  readonly owner: Owner;
  readonly sessionId: string;
  readonly challengeId: string;
  readonly purpose: OtpPurpose;
  readonly code: string;
}

/** What a challenge begins with. */
interface Beginning {
  readonly channel: OtpChannel;
  readonly purpose: OtpPurpose;
  readonly address: OtpAddressRow;
  readonly prepared: PreparedCode;
}

type Session = { readonly owner: Owner; readonly sessionId: string };

const PURPOSE = "otp-code/v1";

/** Puts codes on their way. */
export function createDispatch({ keyring }: OtpOptions) {
  const limits = createSendLimits(keyring);

  const partsOf = ({ owner: { tenantId, userId }, sessionId, challengeId, purpose, code }: Bound) =>
    [PURPOSE, tenantId, userId, challengeId, purpose, sessionId, code] as const;

  /** The next code: its challenge's state for as long as it is the newest. */
  const freshFor = (
    call: Call,
    session: Session,
    {
      challenge,
      prepared,
      channel,
    }: { challenge: Pick<OtpChallengeRow, "challengeId" | "purpose">; prepared: PreparedCode; channel: OtpChannel },
  ) => ({
    codeDigest: keyring.digest(...partsOf({ ...session, ...challenge, code: prepared.code })),
    messageId: prepared.sealed.messageId,
    codeTime: call.now,
    resendAfterTime: new Date(call.now.getTime() + channel.resendMs),
    expireTime: new Date(call.now.getTime() + channel.lifetimeMs),
  });

  const mail = (
    tx: Tx,
    call: Call,
    {
      owner,
      channel,
      factorId,
      prepared,
    }: { owner: Owner; channel: OtpChannel; factorId: string; prepared: PreparedCode },
  ) =>
    enqueue(tx, call.now, {
      owner,
      channel: channel.name,
      kind: "code",
      urgent: true,
      // The address itself is looked up when it is sent to: the newest state of it decides.
      data: { factorId, locale: prepared.locale },
      sealed: prepared.sealed,
      expireTime: new Date(call.now.getTime() + channel.lifetimeMs),
    });

  const withdraw = (tx: Tx, call: Call, { tenantId, messageId }: { tenantId: string; messageId: string }) =>
    outboxRepository(tx).withdraw({ tenantId, messageId }, call.now);

  /** To where the tenant sends, not too soon after the last code, nor beyond a budget. */
  const admit = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    {
      channel,
      purpose,
      address,
      settings,
      open,
    }: {
      channel: OtpChannel;
      purpose: OtpPurpose;
      address: OtpAddressRow;
      settings: EffectiveSettings;
      open: readonly OtpChallengeRow[];
    },
  ) => {
    // Enrolled when the tenant still sent there.
    const policy = channel.refusedBy(address, settings);
    if (policy) return new Refusal("DESTINATION_REFUSED", { metadata: { policy } });
    const waits = open.map(({ resendAfterTime }) => resendAfterTime.getTime() - call.now.getTime());
    // A longer one was written under a clock that has been set back since.
    const waitMs = Math.max(0, ...waits.filter((ms) => ms <= channel.resendMs));
    if (waitMs > 0) return new Refusal("RATE_LIMITED", { retryAfterMs: waitMs });
    return limits.draw(tx, call, owner, { sending: { channel, purpose, address }, settings });
  };

  const write = async (
    tx: Tx,
    call: Call,
    session: Session,
    { channel, purpose, address, prepared, challengeId }: Beginning & { readonly challengeId: string },
  ): Promise<OtpChallengeRow> => {
    const { factorId } = address;
    const challenge: OtpChallengeRow = {
      ...session.owner,
      ...{ challengeId, channel: channel.name, factorId, purpose, sessionId: session.sessionId },
      ...freshFor(call, session, { challenge: { challengeId, purpose }, prepared, channel }),
      createTime: call.now,
      spendTime: null,
    };
    await otpChallengeRepository(tx).insert(challenge);
    await mail(tx, call, { owner: session.owner, channel, factorId, prepared });
    return challenge;
  };

  return {
    limits,
    partsOf,
    /** What a code is compared with where there is no challenge. */
    decoy: [PURPOSE, "", "", "", "log_in", "", ""] as const,

    /** Draws a code and seals it for its message, outside of any unit. */
    async prepare(
      owner: Owner,
      { channel, locale, settings }: { channel: OtpChannel; locale: string; settings: EffectiveSettings },
    ): Promise<PreparedCode> {
      const code = newCode(channel.digits);
      return { code, sealed: await sealContent(keyring, owner, { code }), locale, settings };
    },

    /** A challenge with its first code, in a unit that has serialised the user. Ends the session's older ones like it. */
    async begin(
      tx: Tx,
      call: Call,
      session: Session,
      { channel, purpose, address, prepared }: Beginning,
    ): Promise<OtpChallengeRow | Refusal> {
      const { owner, sessionId } = session;
      const challenges = otpChallengeRepository(tx);
      const open = await challenges.listOpen({ ...owner, channel: channel.name }, call.now);
      const refusal = await admit(tx, call, owner, { channel, purpose, address, settings: prepared.settings, open });
      if (refusal) return refusal;
      for (const older of open.filter((one) => one.purpose === purpose && one.sessionId === sessionId)) {
        await withdraw(tx, call, older);
        await challenges.delete({ ...owner, challengeId: older.challengeId });
      }
      return write(tx, call, session, { channel, purpose, address, prepared, challengeId: bearerId() });
    },

    /** As `begin`, under the id of another's challenge; what was sent for that before is dead, and nothing else. */
    async adopt(
      tx: Tx,
      call: Call,
      session: Session,
      { challengeId, ...beginning }: Beginning & { readonly challengeId: string },
    ): Promise<OtpChallengeRow | Refusal> {
      const { owner } = session;
      const { channel, purpose, address, prepared } = beginning;
      const challenges = otpChallengeRepository(tx);
      const open = await challenges.listOpen({ ...owner, channel: channel.name }, call.now);
      const refusal = await admit(tx, call, owner, { channel, purpose, address, settings: prepared.settings, open });
      if (refusal) return refusal;
      const older = await challenges.find({ ...owner, challengeId });
      if (older) await withdraw(tx, call, older);
      await challenges.delete({ ...owner, challengeId });
      return write(tx, call, session, { ...beginning, challengeId });
    },

    /** Sends another code for a challenge; the older one is dead from here on. Failures stay counted. */
    async again(
      tx: Tx,
      call: Call,
      session: Session,
      { channel, challengeId, prepared }: { channel: OtpChannel; challengeId: string; prepared: PreparedCode },
    ) {
      const { owner, sessionId } = session;
      const challenges = otpChallengeRepository(tx);
      const known = await challenges.find({ ...owner, challengeId });
      if (known?.channel !== channel.name || known.sessionId !== sessionId) return new Refusal("NOT_FOUND");
      const address = await otpAddressRepository(tx).find({ ...owner, factorId: known.factorId });
      const wanted = known.purpose === "enroll" ? "pending" : "active";
      const forgotten = address?.expireTime && address.expireTime <= call.now;
      if (known.spendTime || known.expireTime <= call.now || address?.state !== wanted || forgotten) {
        return new Refusal("CHALLENGE_EXPIRED");
      }
      const { purpose } = known;
      const refusal = await admit(tx, call, owner, {
        channel,
        purpose,
        address,
        settings: prepared.settings,
        open: [known],
      });
      if (refusal) return refusal;
      await withdraw(tx, call, known);
      const fresh = freshFor(call, session, { challenge: known, prepared, channel });
      const challenge = await challenges.renew({ ...known, ...fresh }, call.now);
      if (!challenge) throw new Refusal("CHALLENGE_EXPIRED");
      await mail(tx, call, { owner, channel, factorId: known.factorId, prepared });
      return { address, challenge };
    },
  };
}

import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { clientName } from "../core/client-name.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import { cutText } from "../core/text.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Position } from "../db/page.ts";
import type { Owner, Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import type { EffectiveSettings } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { cappedTrust, longestTrustMs, trustedSince } from "./trust-terms.ts";
import { nextTrustToken, readTrustToken, trustDigests, trustTokenText } from "./trust-token.ts";
import { type TrustedDeviceRow, trustedDeviceRepository } from "./trusted-devices.repository.ts";

/** What is to be trusted. */
export interface Trusting {
  /** Empty takes one made from the user agent. */
  readonly displayName: string;
  /** Empty for all. */
  readonly application: string;
  /** Undefined takes the tenant's. */
  readonly lifetimeMs: number | undefined;
  /** The client's present secret, which is replaced; empty for none. */
  readonly trustToken: string;
}

/** A device that is trusted now, and its secret. */
export interface Trusted {
  readonly row: TrustedDeviceRow;
  readonly trustToken: string;
}

/** What a presented secret is worth; a device that is trusted no more looks like none. */
export interface Trust {
  readonly row: TrustedDeviceRow | undefined;
  /** The secret's successor; empty where there is none. */
  readonly trustToken: string;
}

/** What a client shows, and the tenant's settings: what they forbid counts for trust of before too. */
interface Presented {
  readonly trustToken: string;
  /** The application that asks. */
  readonly application: string;
  readonly settings: EffectiveSettings;
}

/** Whether a device is trusted at `now` under the user's present epoch; the same in SQL where pages are listed. */
const stands = (
  { mfaEpoch, createTime, expireTime }: Pick<TrustedDeviceRow, "mfaEpoch" | "createTime" | "expireTime">,
  { epoch, now, since }: { readonly epoch: number; readonly now: Date; readonly since: Date },
): boolean => mfaEpoch === epoch && expireTime > now && createTime > since;

const GRACE_MS = 10_000;
const NOBODY: Trust = { row: undefined, trustToken: "" };

/**
 * Clients that a user trusts after a second factor: where the policy of a log-in's risk admits it they stand in for it,
 * and never raise the level. Each has a secret that every use replaces. One that was replaced is good for ten seconds
 * more, for requests that crossed; presented later, somebody has a copy, and the trust ends.
 */
export function createTrustedDevices(keyring: Keyring, locate: (ip: string) => string = () => "") {
  const digests = trustDigests(keyring);

  const findByToken = async (tx: Tx, owner: Owner, text: string) => {
    const token = readTrustToken(text);
    if (!token) return undefined;
    for (const digest of digests.allSeries(owner, token)) {
      const row = await trustedDeviceRepository(tx).findBySeries(owner, digest);
      if (row) return { row, token };
    }
    return undefined;
  };

  /** The device that a secret names, while an application trusts it; that the secret is its own is still to be proved. */
  const findStanding = async (tx: Tx, call: Call, owner: Owner, { trustToken, application, settings }: Presented) => {
    const found = await findByToken(tx, owner, trustToken);
    if (!found || !stands(found.row, await standingOf(tx, owner, settings, call.now))) return undefined;
    return ["", application].includes(found.row.application) ? found : undefined;
  };

  /** What trust has to meet to stand. */
  const standingOf = async (tx: Tx, owner: Owner, settings: EffectiveSettings, now: Date) => ({
    epoch: await userRepository(tx).epoch(owner),
    now,
    since: trustedSince(settings, now),
  });

  const noteEnd = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    { action, targetId, reason = "" }: { action: string; targetId: string; reason?: string },
  ) => {
    await recordAudit(tx, call, { owner, action, targetId, reason });
    await recordEvent(tx, call, { owner, type: "DEVICE_TRUST_REVOKED", factorId: targetId });
  };

  return {
    /** Trusts the caller's client, in a unit that has serialised the user and knows that a factor was just proved. */
    async trustIn(
      tx: Tx,
      call: Call,
      owner: Owner,
      trusting: Trusting,
      settings: EffectiveSettings,
    ): Promise<Trusted | Refusal> {
      const { enabled, maxDevices } = settings.trustedDevices;
      if (!enabled) return new Refusal("POLICY_FORBIDS", { metadata: { policy: "trusted_devices.enabled" } });
      const devices = trustedDeviceRepository(tx);
      const standing = await standingOf(tx, owner, settings, call.now);
      const { epoch: mfaEpoch } = standing;
      const older = await findByToken(tx, owner, trusting.trustToken);
      // What is to be replaced leaves its place, and stays where there is none all the same.
      const place = older && stands(older.row, standing) ? 1 : 0;
      if ((await devices.countStanding({ ...owner, ...standing })) - place >= maxDevices) {
        return new Refusal("LIMIT_REACHED", { metadata: { limit: String(maxDevices) } });
      }
      if (older) await devices.delete({ ...owner, trustedDeviceId: older.row.trustedDeviceId });
      const longest = longestTrustMs(settings);
      const token = nextTrustToken();
      const { userAgent, ip } = call.client;
      const row: TrustedDeviceRow = {
        ...owner,
        trustedDeviceId: newId(),
        seriesDigest: digests.series(owner, token),
        counter: 1,
        secretDigest: digests.secret(owner, token),
        previousDigest: null,
        rotateTime: call.now,
        displayName: trusting.displayName || clientName(userAgent) || "Trusted device",
        userAgent: cutText(userAgent, 128),
        ip,
        location: locate(ip),
        application: trusting.application,
        mfaEpoch,
        createTime: call.now,
        lastUseTime: call.now,
        expireTime: new Date(call.now.getTime() + Math.min(longest, trusting.lifetimeMs ?? longest)),
      };
      await devices.insert(row);
      await recordAudit(tx, call, { owner, action: "trusted_device.trusted", targetId: row.trustedDeviceId });
      await recordEvent(tx, call, { owner, type: "DEVICE_TRUSTED", factorId: row.trustedDeviceId });
      return { row, trustToken: trustTokenText(token) };
    },

    /** What a secret is worth, and its successor, in a write. Unknown, expired, foreign and ended ones answer alike. */
    async checkIn(tx: Tx, call: Call, owner: Owner, presented: Presented): Promise<Trust> {
      const found = await findStanding(tx, call, owner, presented);
      if (!found) return NOBODY;
      const { row, token } = found;
      const { trustedDeviceId } = row;
      const asTrusted = (device: TrustedDeviceRow) => cappedTrust(device, presented.settings);
      const devices = trustedDeviceRepository(tx);
      if (digests.isSecret(row.secretDigest, owner, token)) {
        const next = nextTrustToken(token.series);
        const rotated = await devices.rotate({
          ...{ ...owner, trustedDeviceId, counter: row.counter, now: call.now },
          secretDigest: digests.secret(owner, next),
          previousDigest: row.secretDigest,
        });
        if (rotated) return { row: asTrusted(rotated), trustToken: trustTokenText(next) };
        // Another request was quicker, this very moment: it used the same secret, or it ended the trust.
        const current = await devices.findBySeries(owner, row.seriesDigest);
        return current ? { row: asTrusted(current), trustToken: "" } : NOBODY;
      }
      const age = call.now.getTime() - row.rotateTime.getTime();
      if (digests.isSecret(row.previousDigest, owner, token) && age <= GRACE_MS) {
        return { row: asTrusted(row), trustToken: "" };
      }
      // The series is right and the secret is none that can still be about: there are two copies of it.
      await devices.delete({ ...owner, trustedDeviceId });
      await recordEvent(tx, call, { owner, type: "DEVICE_TRUST_STOLEN", factorId: trustedDeviceId });
      return NOBODY;
    },

    /** Whether a secret would be worth anything, without rotating it or ending a trust. */
    async isTrusted(tx: Tx, call: Call, owner: Owner, presented: Presented): Promise<boolean> {
      const found = await findStanding(tx, call, owner, presented);
      return found !== undefined && digests.isSecret(found.row.secretDigest, owner, found.token);
    },

    /** A page of the owner's devices, and the one whose secret the call came with; nothing is rotated. */
    async list(
      tx: Tx,
      call: Call,
      owner: Owner,
      {
        trustToken,
        settings,
        ...page
      }: { trustToken: string; settings: EffectiveSettings; position: Position; size: number },
    ) {
      const standing = await standingOf(tx, owner, settings, call.now);
      const listed = await trustedDeviceRepository(tx).list({ ...owner, ...standing }, page);
      const rows = listed.rows.map((row) => cappedTrust(row, settings));
      const found = await findByToken(tx, owner, trustToken);
      const isOwn = found && digests.isSecret(found.row.secretDigest, owner, found.token);
      return { ...listed, rows, currentId: isOwn ? found.row.trustedDeviceId : undefined };
    },

    async find(
      tx: Tx,
      call: Call,
      owner: Owner,
      { trustedDeviceId, settings }: { trustedDeviceId: string; settings: EffectiveSettings },
    ): Promise<TrustedDeviceRow | undefined> {
      const standing = await standingOf(tx, owner, settings, call.now);
      const row = await trustedDeviceRepository(tx).find({ ...owner, trustedDeviceId }, standing);
      return row && cappedTrust(row, settings);
    },

    /** Ends the trust in one device, with the reason that an administrator gives; false where there is none. */
    async revoke(call: Call, owner: Owner, trustedDeviceId: string, reason = ""): Promise<boolean> {
      return call.unit(async (tx) => {
        const deleted = await trustedDeviceRepository(tx).delete({ ...owner, trustedDeviceId });
        if (!deleted) return false;
        await noteEnd(tx, call, owner, { action: "trusted_device.revoked", targetId: trustedDeviceId, reason });
        return true;
      });
    },

    /** Ends all trust in a unit; says how many devices had some, also where the tenant has switched trust off since. */
    async revokeAllIn(tx: Tx, call: Call, owner: Owner): Promise<number> {
      const count = await this.deleteAllIn(tx, call, owner);
      await noteEnd(tx, call, owner, { action: "trusted_device.all_revoked", targetId: owner.userId });
      return count;
    },

    /** The same for a unit that records more than this. */
    async deleteAllIn(tx: Tx, call: Call, owner: Owner): Promise<number> {
      const epoch = await userRepository(tx).epoch(owner);
      const deleted = await trustedDeviceRepository(tx).deleteAll(owner);
      return deleted.filter((device) => stands(device, { epoch, now: call.now, since: new Date(0) })).length;
    },

    cleanUp: (call: Call, owner: Owner): Promise<number> =>
      call.unit((tx) => trustedDeviceRepository(tx).deleteExpired(owner, call.now)),
  };
}

/** A user's trusted devices. */
export type TrustedDevices = ReturnType<typeof createTrustedDevices>;

import { durationMs } from "@bufbuild/protobuf/wkt";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import type { Owner } from "../core/caller.ts";
import { newId } from "../core/id.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Position } from "../db/page.ts";
import type { Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import type { Settings } from "../tenants/settings.ts";
import { userRepository } from "../users/users.repository.ts";
import { clientName } from "./client-name.ts";
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

/** What a client shows. */
interface Presented {
  readonly trustToken: string;
  /** The application that asks. */
  readonly application: string;
}

/** Whether a device is trusted at `now` under the user's present epoch; the same in SQL where pages are listed. */
const stands = (
  { mfaEpoch, expireTime }: Pick<TrustedDeviceRow, "mfaEpoch" | "expireTime">,
  epoch: number,
  now: Date,
): boolean => mfaEpoch === epoch && expireTime > now;

const GRACE_MS = 10_000;
const MAX_MS = 30 * 24 * 60 * 60 * 1000;
const NOBODY: Trust = { row: undefined, trustToken: "" };

/**
 * Clients that a user trusts after a second factor: where the policy of a log-in's risk admits it they stand in for it,
 * and never raise the level. Each has a secret that every use replaces. One that was replaced is good for ten seconds
 * more, for requests that crossed; presented later, somebody has a copy, and the trust ends.
 */
export function createTrustedDevices(keyring: Keyring) {
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
  const findStanding = async (tx: Tx, call: Call, owner: Owner, { trustToken, application }: Presented) => {
    const found = await findByToken(tx, owner, trustToken);
    if (!found || !stands(found.row, await userRepository(tx).epoch(owner), call.now)) return undefined;
    return ["", application].includes(found.row.application) ? found : undefined;
  };

  const noteEnd = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    { action, targetId }: { action: string; targetId: string },
  ) => {
    await recordAudit(tx, call, { owner, action, targetId });
    await recordEvent(tx, call, { owner, type: "DEVICE_TRUST_REVOKED", factorId: targetId });
  };

  return {
    /** Trusts the caller's client, in a unit that has serialised the user and knows that a factor was just proved. */
    async trustIn(
      tx: Tx,
      call: Call,
      owner: Owner,
      trusting: Trusting,
      settings: Settings,
    ): Promise<Trusted | Refusal> {
      const { enabled, lifetime, maxDevices } = settings.trustedDevices;
      if (!enabled) return new Refusal("POLICY_FORBIDS", { metadata: { policy: "trusted_devices.enabled" } });
      const devices = trustedDeviceRepository(tx);
      const mfaEpoch = await userRepository(tx).epoch(owner);
      const older = await findByToken(tx, owner, trusting.trustToken);
      if (older) await devices.delete({ ...owner, trustedDeviceId: older.row.trustedDeviceId });
      if ((await devices.countStanding({ ...owner, epoch: mfaEpoch, now: call.now })) >= maxDevices) {
        return new Refusal("LIMIT_REACHED", { metadata: { limit: String(maxDevices) } });
      }
      const longest = Math.min(MAX_MS, lifetime ? durationMs(lifetime) : MAX_MS);
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
        userAgent: userAgent.slice(0, 128),
        ip,
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
      const devices = trustedDeviceRepository(tx);
      if (digests.isSecret(row.secretDigest, owner, token)) {
        const next = nextTrustToken(token.series);
        const rotated = await devices.rotate({
          ...{ ...owner, trustedDeviceId, counter: row.counter, now: call.now },
          secretDigest: digests.secret(owner, next),
          previousDigest: row.secretDigest,
        });
        if (rotated) return { row: rotated, trustToken: trustTokenText(next) };
        // Another request was quicker, this very moment: it used the same secret, or it ended the trust.
        const current = await devices.findBySeries(owner, row.seriesDigest);
        return current ? { row: current, trustToken: "" } : NOBODY;
      }
      const age = call.now.getTime() - row.rotateTime.getTime();
      if (digests.isSecret(row.previousDigest, owner, token) && age <= GRACE_MS) return { row, trustToken: "" };
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
      { trustToken, ...page }: { trustToken: string; position: Position; size: number },
    ) {
      const epoch = await userRepository(tx).epoch(owner);
      const listed = await trustedDeviceRepository(tx).list({ ...owner, epoch, now: call.now }, page);
      const found = await findByToken(tx, owner, trustToken);
      const isOwn = found && digests.isSecret(found.row.secretDigest, owner, found.token);
      return { ...listed, currentId: isOwn ? found.row.trustedDeviceId : undefined };
    },

    async find(tx: Tx, call: Call, owner: Owner, trustedDeviceId: string): Promise<TrustedDeviceRow | undefined> {
      const epoch = await userRepository(tx).epoch(owner);
      return trustedDeviceRepository(tx).find({ ...owner, trustedDeviceId }, { epoch, now: call.now });
    },

    async revoke(call: Call, owner: Owner, trustedDeviceId: string): Promise<boolean> {
      return call.unit(async (tx) => {
        const deleted = await trustedDeviceRepository(tx).delete({ ...owner, trustedDeviceId });
        if (deleted) await noteEnd(tx, call, owner, { action: "trusted_device.revoked", targetId: trustedDeviceId });
        return deleted !== undefined;
      });
    },

    /** Ends all trust in a unit; says how many devices were trusted. */
    async revokeAllIn(tx: Tx, call: Call, owner: Owner): Promise<number> {
      const epoch = await userRepository(tx).epoch(owner);
      const deleted = await trustedDeviceRepository(tx).deleteAll(owner);
      await noteEnd(tx, call, owner, { action: "trusted_device.all_revoked", targetId: owner.userId });
      return deleted.filter((device) => stands(device, epoch, call.now)).length;
    },

    cleanUp: (call: Call, owner: Owner): Promise<number> =>
      call.unit((tx) => trustedDeviceRepository(tx).deleteExpired(owner, call.now)),
  };
}

/** A user's trusted devices. */
export type TrustedDevices = ReturnType<typeof createTrustedDevices>;

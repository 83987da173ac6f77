import qrcode from "qrcode";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { FinishPushDeviceEnrollmentRequest } from "../../../gen/mfa/v1/push_pb.js";
import { recordAudit } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { bearerId } from "../../crypto/random.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { admitEnrollment, enroll } from "../../protection/enrollment.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import { isSigned, type KeyAlgorithm, keyParts, readKey } from "./device-key.ts";
import type { createAddresses } from "./push-address.ts";
import { type PushDeviceRow, pushDeviceRepository } from "./push-devices.repository.ts";
import { sessionOf } from "./push-session.ts";
import { pairingParts } from "./signed-parts.ts";

/** Dependencies of pairing. */
export interface PairingOptions {
  readonly keyring: Keyring;
  readonly settingsOf: SettingsOf;
  readonly addresses: ReturnType<typeof createAddresses>;
  /** Where phones find this service, for the QR code: "mfa.example:443"; empty leaves it to the app. */
  readonly address: string;
  /** Whether the user has a second factor, as the unit sees it. */
  readonly hasFactor: (tx: Tx, owner: Owner) => Promise<boolean>;
}

const PENDING_MS = 10 * 60_000;
/** Rows a user may have, revoked ones included. */
const MAX_ROWS = 50;
const PURPOSE = "push-pairing/v1";

const limit = (most: number) => new Refusal("LIMIT_REACHED", { metadata: { limit: String(most) } });
const notAllowed = () => new Refusal("FACTOR_NOT_ALLOWED", { metadata: { allowed: "" } });

/** How a phone comes into use: a code on a page, and a phone that brings it and a key of its own. */
export function createPairing({ keyring, settingsOf, addresses, address, hasFactor }: PairingOptions) {
  const uriOf = (token: string, issuer: string) => {
    const query = new URLSearchParams({ token, issuer, ...(address && { address }) });
    return `mfapush://pair?${query}`;
  };

  const room = async (tx: Tx, owner: Owner, most: number, now: Date) => {
    const rows = (await pushDeviceRepository(tx).listAll(owner, now)).filter(({ state }) => state !== "pending");
    if (rows.length >= MAX_ROWS && (await hasFactor(tx, owner))) return limit(MAX_ROWS);
    return rows.filter(({ state }) => state === "active").length >= most ? limit(most) : undefined;
  };

  /** Who has no factor can delete nothing: the oldest phones that were revoked are forgotten for a new one. */
  const makeRoom = async (tx: Tx, owner: Owner, now: Date) => {
    const devices = pushDeviceRepository(tx);
    const rows = (await devices.listAll(owner, now)).filter(({ state }) => state !== "pending");
    const revoked = rows.filter(({ state }) => state === "revoked");
    for (const { deviceId } of revoked.slice(0, Math.max(0, rows.length + 1 - MAX_ROWS))) {
      await devices.delete({ ...owner, deviceId });
    }
  };

  return {
    /** Stores a pending device in the place of an older one, and shows its pairing token this once. */
    async start(call: Call, owner: Owner, displayName: string) {
      const { push, totp } = await settingsOf(owner.tenantId);
      if (!push.enabled) return notAllowed();
      const token = bearerId();
      const { principal, acr, besideFactor = false } = call.caller;
      const row: PushDeviceRow = {
        ...owner,
        deviceId: newId(),
        displayName,
        state: "pending",
        channel: "poll",
        channelGone: false,
        sealedAddress: null,
        addressVersion: 0,
        keyAlgorithm: "",
        publicKey: null,
        keyMac: null,
        platform: "",
        pairingDigest: keyring.digest(PURPOSE, token),
        sessionDigest: sessionOf(call.caller),
        first: principal === Principal.TICKET ? !besideFactor : acr !== "aal2",
        version: 1,
        createTime: call.now,
        updateTime: call.now,
        lastUseTime: null,
        expireTime: new Date(call.now.getTime() + PENDING_MS),
      };
      const refused = await call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        await admitEnrollment(tx, call, owner);
        const full = await room(tx, owner, push.maxDevices, call.now);
        if (full) return full;
        await pushDeviceRepository(tx).deletePending(owner);
        await pushDeviceRepository(tx).insert(row);
        await recordAudit(tx, call, { owner, action: "push.enrollment_started", targetId: row.deviceId });
        return undefined;
      });
      if (refused) return refused;
      const pairingUri = uriOf(token, totp.issuer);
      const [qrPng, qrSvg] = await Promise.all([
        qrcode.toBuffer(pairingUri, { type: "png", errorCorrectionLevel: "M" }),
        qrcode.toString(pairingUri, { type: "svg", errorCorrectionLevel: "M" }),
      ]);
      return { device: row, pairingToken: token, pairingUri, qrPng, qrSvg };
    },

    /** The pending device that a pairing token is for. */
    async findPending(tx: Tx, token: string, now: Date): Promise<PushDeviceRow | undefined> {
      for (const digest of keyring.digests(PURPOSE, token)) {
        const row = await pushDeviceRepository(tx).findPending(digest, now);
        if (row) return row;
      }
      return undefined;
    },

    /** Pairs the phone that brings the token, spending it. */
    async finish(call: Call, owner: Owner, asked: FinishPushDeviceEnrollmentRequest & { algorithm: KeyAlgorithm }) {
      const { pairingToken, algorithm } = asked;
      const deviceId = call.caller.deviceId ?? "";
      const { push } = await settingsOf(owner.tenantId);
      if (!push.enabled) return notAllowed();
      const pending = await call.unit((tx) => this.findPending(tx, pairingToken, call.now));
      // The credential was for a device; what the request brings must be that one's.
      if (pending?.deviceId !== deviceId || !pending.pairingDigest) return new Refusal("CHALLENGE_EXPIRED");
      const key = readKey(asked.publicKey, algorithm);
      const parts = pairingParts(pairingToken, asked.publicKey);
      if (!key || !isSigned(key, parts, asked.signature)) return new Refusal("SIGNATURE_REJECTED");
      const sealed = await addresses.seal(owner, deviceId, asked.address);
      if (sealed instanceof Refusal) return sealed;
      const { pairingDigest } = pending;
      return call.unit(async (tx) => {
        const devices = pushDeviceRepository(tx);
        const device = await enroll(tx, call, owner, {
          factorType: "PUSH",
          action: "push.enrolled",
          activate: async () => {
            // Begun because there was no factor: then it must not be added beside one that came in between.
            if (pending.first && (await hasFactor(tx, owner))) throw new Refusal("CHALLENGE_EXPIRED");
            const full = await room(tx, owner, push.maxDevices, call.now);
            if (full) throw full;
            await makeRoom(tx, owner, call.now);
            return devices.pair({
              ...{ ...pending, ...sealed, spent: pairingDigest, keyAlgorithm: algorithm },
              publicKey: Buffer.from(asked.publicKey),
              keyMac: keyring.mac(...keyParts(owner, deviceId, asked.publicKey)),
              displayName: pending.displayName || asked.displayName || "Phone",
              platform: asked.platform,
              now: call.now,
            });
          },
          idOf: (paired) => paired.deviceId,
        });
        return device ?? new Refusal("CHALLENGE_EXPIRED");
      });
    },
  };
}

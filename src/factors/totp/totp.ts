import { recordAudit } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import type { Owner } from "../../core/caller.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Cell, Keyring } from "../../crypto/keyring.ts";
import { randomSecret } from "../../crypto/random.ts";
import { enrol } from "../../protection/enrolment.ts";
import { prove } from "../../protection/proof.ts";
import type { SettingsOf } from "../../tenants/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import { type CodeParameters, matchStep } from "./totp-code.ts";
import { accountNameOf, provision } from "./totp-provisioning.ts";

/** What TOTP needs of the process. */
export interface TotpOptions {
  readonly keyring: Keyring;
  /** Of the tenant: the name that authenticator apps show for the service. */
  readonly settingsOf: SettingsOf;
}

/** What a user asks of a new device. */
export interface NewDevice {
  readonly displayName: string;
  /** Empty takes the user's id. */
  readonly accountName: string;
  readonly parameters: CodeParameters;
}

/** A device and the step its code stood for. */
interface Match {
  readonly deviceId: string;
  readonly step: number;
}

/** RFC 4226 R6 recommends 160 bits. */
const SECRET_BYTES = 20;
const PENDING_MS = 10 * 60 * 1000;
const MAX_DEVICES = 5;

/** Judged in place of the devices of a user who has none, so that the answer takes as long. */
const decoy = {
  secret: randomSecret(SECRET_BYTES),
  parameters: { algorithm: "sha1", digits: 6, periodSeconds: 30 },
} as const;

const cellOf = ({ tenantId, userId }: Owner, deviceId: string): Cell => ({
  tenantId,
  userId,
  row: deviceId,
  column: "totp_devices.sealed_secret",
});

/** Enrolment and verification of authenticator apps. */
export function createTotp({ keyring, settingsOf }: TotpOptions) {
  /** The first device that the code belongs to, oldest first, and the step it stands for. */
  const judge = async (devices: readonly TotpDeviceRow[], code: string, now: Date): Promise<Match | undefined> => {
    if (devices.length === 0) matchStep(decoy.secret, decoy.parameters, { code, now, lastStep: 0 });
    for (const device of devices) {
      const secret = await keyring.open(device.sealedSecret, cellOf(device, device.deviceId));
      const step = matchStep(secret, device, { code, now, lastStep: device.lastStep });
      secret.fill(0);
      if (step !== undefined) return { deviceId: device.deviceId, step };
    }
    return undefined;
  };

  const typed = { factorType: "TOTP", counter: "typed-code" } as const;

  return {
    /** Stores a new secret, pending, in place of an older pending one, and shows it this once. */
    async start(call: Call, owner: Owner, { displayName, accountName, parameters }: NewDevice) {
      const { issuer } = (await settingsOf(owner.tenantId)).totp;
      const deviceId = newId();
      const secret = randomSecret(SECRET_BYTES);
      const sealedSecret = await keyring.seal(secret, cellOf(owner, deviceId));
      const device: TotpDeviceRow = {
        ...owner,
        ...parameters,
        deviceId,
        displayName,
        sealedSecret,
        state: "pending",
        lastStep: 0,
        driftSteps: 0,
        replacesDeviceId: "",
        version: 1,
        createTime: call.now,
        updateTime: call.now,
        lastUseTime: null,
        expireTime: new Date(call.now.getTime() + PENDING_MS),
      };
      const refusal = await call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        await call.confirmAccess(tx);
        const devices = totpRepository(tx);
        if ((await devices.countUsable(owner)) >= MAX_DEVICES) {
          return new Refusal("LIMIT_REACHED", { metadata: { limit: String(MAX_DEVICES) } });
        }
        await devices.deletePending(owner);
        await recordAudit(tx, call, { owner, action: "totp.enrollment_started", targetId: deviceId });
        await devices.insert(device);
        return undefined;
      });
      if (refusal) return refusal;
      const label = { issuer, accountName: accountName || accountNameOf(owner.userId) };
      const provisioning = await provision(secret, parameters, label);
      secret.fill(0);
      return { device, provisioning };
    },

    /** Makes the pending device active if the code proves it. */
    async finish(call: Call, owner: Owner, { deviceId, code }: { deviceId: string; code: string }) {
      return prove(call, owner, {
        ...typed,
        load: async (tx) => {
          const pending = await totpRepository(tx).findPending(owner, call.now);
          const named = deviceId === "" || pending?.deviceId === deviceId;
          return pending && named ? [pending] : new Refusal("ENROLLMENT_EXPIRED");
        },
        judge: (devices) => judge(devices, code, call.now),
        spend: (tx, match) =>
          enrol(tx, call, owner, {
            factorType: "TOTP",
            action: "totp.enrolled",
            activate: () => totpRepository(tx).activate({ ...owner, ...match }, call.now),
            idOf: (device) => device.deviceId,
          }),
      });
    },

    /** Spends a code of any active device. `hideUnenrolled`: who has no device is refused like a wrong code. */
    async verify(call: Call, owner: Owner, { code, hideUnenrolled }: { code: string; hideUnenrolled: boolean }) {
      return prove(call, owner, {
        ...typed,
        load: async (tx) => {
          const devices = await totpRepository(tx).listActive(owner);
          return devices.length > 0 || hideUnenrolled ? devices : new Refusal("NOT_ENROLLED");
        },
        judge: (devices) => judge(devices, code, call.now),
        spend: async (tx, match) => {
          const spent = await totpRepository(tx).advance({ ...owner, ...match }, call.now);
          return spent ? { deviceId: match.deviceId } : undefined;
        },
      });
    },
  };
}

import { recordAudit, recordChange } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import { randomSecret } from "../../crypto/random.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { admitEnrollment, enroll } from "../../protection/enrollment.ts";
import { prove } from "../../protection/proof.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import type { CodesForEnrollment, FactorSet } from "../factor.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import { assumableBy } from "./totp-apps.ts";
import type { CodeParameters, Match } from "./totp-code.ts";
import { cellOf, type Judge, SECRET_BYTES } from "./totp-judge.ts";
import { accountNameOf, provision } from "./totp-provisioning.ts";

/** What a user asks of a new device. */
export interface NewDevice {
  /** Empty takes the name of the device that it replaces, or a default. */
  readonly displayName: string;
  /** Empty takes the user's id. */
  readonly accountName: string;
  readonly parameters: CodeParameters;
  /** The device whose place it is to take. */
  readonly replaces?: string;
}

/** The code that proves a new device. */
export interface FirstCode {
  /** Empty takes the pending one. */
  readonly deviceId: string;
  readonly code: string;
  /** Takes over what the app really does, where it ignores the parameters. */
  readonly acceptAppParameters: boolean;
  /** Whether to make backup codes too, for a user who has none. */
  readonly generateBackupCodes: boolean;
}

const PENDING_MS = 10 * 60 * 1000;
/** Rows a user may have, revoked ones included: those are kept for their sake, and not without end. */
const MAX_ROWS = 50;

/** What ends with the enrollment of one more device: disabled ones, and revoked ones that are kept no longer. */
interface GivingWay {
  readonly giving: readonly TotpDeviceRow[];
  readonly forgotten: readonly TotpDeviceRow[];
}

type Proving = { match: Match; parameters: CodeParameters; device: TotpDeviceRow; asEnrolled: boolean };
type Drawn = Awaited<ReturnType<CodesForEnrollment["draw"]>>;

const limit = (most: number) => new Refusal("LIMIT_REACHED", { metadata: { limit: String(most) } });

/** How an authenticator app comes into use: a new one, or one that takes an old one's place. */
export function createTotpEnrollment({
  keyring,
  judge,
  settingsOf,
  codes,
  factorSet,
}: {
  keyring: Keyring;
  judge: Judge;
  settingsOf: SettingsOf;
  codes: CodesForEnrollment;
  factorSet: Pick<FactorSet, "hasFactor">;
}) {
  /**
   * What gives way to one more device, or that there is no room. Who has no active factor can neither enable nor delete
   * what is disabled or revoked: the oldest of it gives way.
   */
  const room = async (tx: Tx, owner: Owner, now: Date, most: number) => {
    const rows = (await totpRepository(tx).listAll(owner, now)).filter(({ state }) => state !== "pending");
    const usable = rows.filter(({ state }) => state !== "revoked");
    const disabled = usable.filter(({ state }) => state === "disabled");
    const mayGiveWay = !(await factorSet.hasFactor(tx, owner));
    const over = Math.max(0, usable.length + 1 - most);
    if (over > (mayGiveWay ? disabled.length : 0)) return limit(most);
    if (rows.length >= MAX_ROWS && !mayGiveWay) return limit(MAX_ROWS);
    const giving = disabled.slice(0, over);
    // What is revoked now is kept after it.
    const revoked = rows.filter(({ state }) => state === "revoked");
    return { giving, forgotten: revoked.slice(0, Math.max(0, rows.length + 1 - MAX_ROWS)) };
  };

  /** Ends what gives way to a device that has come into use. */
  const giveWay = async (tx: Tx, call: Call, owner: Owner, { giving, forgotten }: GivingWay) => {
    const devices = totpRepository(tx);
    for (const { deviceId } of forgotten) await devices.delete({ ...owner, deviceId }, call.now);
    for (const { deviceId } of giving) {
      await devices.revoke({ ...owner, deviceId }, call.now);
      const change = { owner, factorType: "TOTP", targetId: deviceId } as const;
      await recordChange(tx, call, { ...change, type: "FACTOR_REMOVED", action: "totp.gave_way" });
    }
  };

  /** What the device is to replace, or that there is room for one more. */
  const place = async (tx: Tx, owner: Owner, { replaces }: NewDevice, now: Date, most: number) => {
    const rows = await totpRepository(tx).listAll(owner, now);
    if (replaces !== undefined) {
      if (rows.length >= MAX_ROWS) return limit(MAX_ROWS);
      const old = rows.find(({ deviceId }) => deviceId === replaces);
      if (!old) return new Refusal("NOT_FOUND");
      return old.state === "active" || old.state === "disabled" ? old : new Refusal("WRONG_STATE");
    }
    const found = await room(tx, owner, now, most);
    return found instanceof Refusal ? found : undefined;
  };

  /** What the code matches under the parameters of the enrollment or, failing that, under those of an app that lies. */
  const proving = async (device: TotpDeviceRow, code: string, now: Date): Promise<Proving | undefined> => {
    for (const parameters of [device, ...assumableBy(device)]) {
      const match = await judge.matchOf(device, { code, now, strict: false, parameters });
      if (match) return { match, parameters, device, asEnrolled: parameters === device };
    }
    return undefined;
  };

  /** Ends the device that the new one replaces, if it is still there; where it was the first choice, the new one is. */
  const retire = async (
    tx: Tx,
    call: Call,
    owner: Owner,
    { deviceId, successor }: { deviceId: string; successor: string },
  ) => {
    const old = deviceId && (await totpRepository(tx).revoke({ ...owner, deviceId }, call.now));
    if (!old) return "";
    const users = userRepository(tx);
    if ((await users.find(owner))?.primaryFactorId === deviceId) await users.choose(owner, successor);
    const change = { owner, factorType: "TOTP", targetId: deviceId } as const;
    await recordChange(tx, call, { ...change, type: "FACTOR_REMOVED", action: "totp.replaced" });
    return deviceId;
  };

  return {
    /** Stores a new secret, pending, in place of an older pending one, and shows it this once. */
    async start(call: Call, owner: Owner, asked: NewDevice) {
      const { issuer, maxDevices } = (await settingsOf(owner.tenantId)).totp;
      const deviceId = newId();
      const secret = randomSecret(SECRET_BYTES);
      const sealedSecret = await keyring.seal(secret, cellOf(owner, deviceId));
      const device = await call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        await admitEnrollment(tx, call, owner);
        const old = await place(tx, owner, asked, call.now, maxDevices);
        if (old instanceof Refusal) return old;
        const row: TotpDeviceRow = {
          ...owner,
          ...asked.parameters,
          deviceId,
          displayName: asked.displayName || old?.displayName || "Authenticator app",
          sealedSecret,
          state: "pending",
          lastStep: 0,
          driftSteps: 0,
          driftHint: 0,
          replacesDeviceId: old?.deviceId ?? "",
          version: 1,
          createTime: call.now,
          updateTime: call.now,
          lastUseTime: null,
          expireTime: new Date(call.now.getTime() + PENDING_MS),
        };
        await totpRepository(tx).deletePending(owner);
        await recordAudit(tx, call, { owner, action: "totp.enrollment_started", targetId: deviceId });
        await totpRepository(tx).insert(row);
        return row;
      });
      if (device instanceof Refusal) return device;
      const label = { issuer, accountName: asked.accountName || accountNameOf(owner.userId) };
      const provisioning = await provision(secret, asked.parameters, label);
      secret.fill(0);
      return { device, provisioning };
    },

    /** Makes the pending device active if the code proves it, and ends the one that it replaces, in one unit. */
    async finish(call: Call, owner: Owner, first: FirstCode) {
      const { deviceId, code, acceptAppParameters } = first;
      const { maxDevices } = (await settingsOf(owner.tenantId)).totp;
      return prove(call, owner, {
        factorType: "TOTP",
        counter: "typed-code",
        load: async (tx) => {
          const pending = await totpRepository(tx).findPending(owner, call.now);
          const named = deviceId === "" || pending?.deviceId === deviceId;
          return pending && named ? pending : new Refusal("ENROLLMENT_EXPIRED");
        },
        judge: async (device) => {
          const proven = await proving(device, code, call.now);
          // Only for a code that is right: they take long to make.
          const enrolls = proven && (proven.asEnrolled || acceptAppParameters);
          const issue = enrolls ? await codes.draw(call, owner, first.generateBackupCodes) : undefined;
          return proven && { ...proven, issue };
        },
        spend: async (tx, { match, parameters, device: pending, asEnrolled, issue }: Proving & { issue: Drawn }) => {
          const { algorithm, digits, periodSeconds } = parameters;
          if (!asEnrolled && !acceptAppParameters) {
            const metadata = { algorithm, digits: String(digits), period: String(periodSeconds) };
            return new Refusal("APP_PARAMETERS_DIFFER", { metadata });
          }
          // There was room when it began; the tenant may allow fewer since. Nothing else can have taken the place.
          await userRepository(tx).serialise(owner, call.now);
          const adds = pending.replacesDeviceId === "";
          const givingWay = adds ? await room(tx, owner, call.now, maxDevices) : undefined;
          if (givingWay instanceof Refusal) return givingWay;
          const device = await enroll(tx, call, owner, {
            factorType: "TOTP",
            action: "totp.enrolled",
            activate: () =>
              totpRepository(tx).activate({ ...owner, ...match, algorithm, digits, periodSeconds }, call.now),
            idOf: (enrolled) => enrolled.deviceId,
          });
          if (!device) return undefined;
          if (givingWay) await giveWay(tx, call, owner, givingWay);
          const replacedDeviceId = await retire(tx, call, owner, {
            deviceId: pending.replacesDeviceId,
            successor: device.deviceId,
          });
          return { device, replacedDeviceId, codes: await issue?.(tx, call) };
        },
      });
    },
  };
}

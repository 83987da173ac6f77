import { durationMs } from "@bufbuild/protobuf/wkt";
import { TotpAlgorithm } from "../../../gen/mfa/v1/totp_pb.js";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { SettingsOf } from "../../tenants/settings.ts";
import type { ImportKind } from "../factor.ts";
import { type TotpDeviceRow, totpRepository } from "./totp.repository.ts";
import { cellOf } from "./totp-judge.ts";

/** Longer than an enrolment waits: nobody is told that a code is awaited. */
const PENDING_MS = 30 * 24 * 3600 * 1000;

const algorithms = {
  [TotpAlgorithm.UNSPECIFIED]: "sha1",
  [TotpAlgorithm.SHA1]: "sha1",
  [TotpAlgorithm.SHA256]: "sha256",
  [TotpAlgorithm.SHA512]: "sha512",
} as const;

/** Authenticator apps of other systems: with the last step that was spent there, so that it is spent here too. */
export const totpImport = ({ keyring, settingsOf }: { keyring: Keyring; settingsOf: SettingsOf }): ImportKind => ({
  takes: "totp",
  type: "TOTP",
  async prepare(call, owner, kind, { displayName, unverified, replace, brought }) {
    if (kind.case !== "totp") return "no authenticator app";
    const { secret, algorithm, digits, period, lastStep } = kind.value;
    const { maxDevices } = (await settingsOf(owner.tenantId)).totp;
    const skipped = (factorId: string) => async () =>
      ({ status: "SKIPPED", factorId, active: true, counts: true }) as const;
    const own = brought.filter(({ userId }) => userId === owner.userId);
    const twin = own.find((one) => Buffer.from(one.secret).equals(secret));
    if (twin) return skipped(twin.factorId);
    const known = await call.read((tx) => totpRepository(tx).listActive(owner));
    for (const device of known) {
      const held = await keyring.open(device.sealedSecret, cellOf(owner, device.deviceId));
      const isEqual = held.equals(secret);
      held.fill(0);
      if (isEqual) return skipped(device.deviceId);
    }
    const deviceId = newId();
    brought.push({ userId: owner.userId, factorId: deviceId, secret });
    const row: TotpDeviceRow = {
      ...owner,
      deviceId,
      displayName: displayName || "Authenticator app",
      state: unverified ? "pending" : "active",
      algorithm: algorithms[algorithm],
      digits: digits === 8 ? 8 : 6,
      periodSeconds: period ? durationMs(period) / 1000 : 30,
      sealedSecret: await keyring.seal(secret, cellOf(owner, deviceId)),
      lastStep: Number(lastStep),
      driftSteps: 0,
      driftHint: 0,
      replacesDeviceId: "",
      version: 1,
      createTime: call.now,
      updateTime: call.now,
      lastUseTime: null,
      expireTime: unverified ? new Date(call.now.getTime() + PENDING_MS) : null,
    };
    const older = new Set(known.map((device) => device.deviceId));
    return async (tx) => {
      const devices = totpRepository(tx);
      const active = await devices.listActive(owner);
      // Nobody has compared their secrets with this one.
      const isNew = (one: TotpDeviceRow) =>
        !older.has(one.deviceId) && !brought.some((b) => b.factorId === one.deviceId);
      if (active.some(isNew)) throw new Refusal("CONFLICT");
      // Of one call none takes the place of another, and nothing takes one before it is proven.
      const gone = replace && !unverified ? active.filter((device) => older.has(device.deviceId)) : [];
      if ((await devices.countUsable(owner)) - gone.length >= maxDevices) return "as many apps as allowed are enrolled";
      for (const old of gone) await devices.revoke({ ...owner, deviceId: old.deviceId }, call.now);
      if (unverified) await devices.deletePending(owner);
      await devices.insert(row);
      const status = gone.length > 0 ? "REPLACED" : "IMPORTED";
      return { status, factorId: deviceId, active: !unverified, counts: true };
    };
  },
});

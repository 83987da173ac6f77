import { createHash } from "node:crypto";
import type { ServiceUnderTest } from "../worlds/service.ts";
import { adminOf } from "./administrators.ts";
import { enrollApp } from "./authenticator-app.ts";

/** Lets users of the tenant trust their clients. */
export async function allowTrust(service: ServiceUnderTest, settings: object = {}) {
  const admin = { audience: "mfa-admin", subject: "root", acr: "aal2" } as const;
  const token = await service.mint({ ...admin, scope: "mfa.read mfa.settings.write" });
  const { settings: present } = await service.admin.getTenantSettings({}, token);
  const version = present?.version ?? 0n;
  await service.admin.updateTenantSettings({ trustedDevices: { enabled: true, ...settings }, version }, token);
}

/** Trusts a client and takes that back in every way, and stores and deletes a backup. */
export async function trustAndSync(service: ServiceUnderTest, user: string): Promise<void> {
  await allowTrust(service);
  await enrollApp(service, user);
  const token = await service.user(user, "aal2");
  const { device } = await service.mfa.trustDevice({}, token);
  const { device: other } = await service.mfa.trustDevice({}, token);
  const revoking = { userId: user, trustedDeviceId: other?.trustedDeviceId ?? "", reason: "lost" };
  await service.admin.revokeUserTrustedDevice(revoking, await adminOf(service));
  await service.mfa.revokeTrustedDevice({ trustedDeviceId: device?.trustedDeviceId ?? "" }, token);
  await service.mfa.revokeAllTrustedDevices({}, token);
  const scope = await service.backend("mfa.factors.write");
  await service.internal.revokeUserTrust({ userId: user, reason: "password changed" }, scope);
  const blob = Buffer.from("sealed");
  const synced = await service.mfa.syncDevice({ blob, checksum: createHash("sha256").update(blob).digest() }, token);
  await service.mfa.deleteSyncedDevice({ syncedDeviceId: synced.device?.syncedDeviceId ?? "" }, token);
}

import { WebAuthnTransport } from "../../../gen/mfa/v1/webauthn_pb.js";
import { newId } from "../../core/id.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { SettingsOf } from "../../tenants/settings.ts";
import type { ImportKind } from "../factor.ts";
import { algorithmOf } from "./cose-key.ts";
import { macOf } from "./row-mac.ts";
import { type CredentialRow, webauthnRepository } from "./webauthn.repository.ts";

/** The algorithm of a key; undefined for one that is none, or none that is offered. */
function readAlgorithm(publicKey: Uint8Array): number | undefined {
  try {
    return algorithmOf(publicKey);
  } catch {
    return undefined;
  }
}

/**
 * Passkeys and security keys of the same relying party. That they verified their user nobody has seen here, so that is
 * not believed of them; nor is any attestation.
 */
export const webauthnImport = ({ keyring, settingsOf }: { keyring: Keyring; settingsOf: SettingsOf }): ImportKind => ({
  takes: "webauthn",
  type: "WEBAUTHN",
  async prepare(call, owner, kind, { displayName, unverified, replace }) {
    if (kind.case !== "webauthn") return "no credential";
    if (unverified) return "only authenticator apps can wait to be proven: have the user register it";
    const given = kind.value;
    const { webauthn } = await settingsOf(owner.tenantId);
    if (!webauthn.rpIds.includes(given.rpId)) return "the tenant has no such relying party";
    const algorithm = readAlgorithm(given.publicKey);
    if (algorithm === undefined) return "the key is none that is offered";
    const bare: Omit<CredentialRow, "rowMac"> = {
      ...owner,
      credentialId: newId(),
      webauthnId: Buffer.from(given.webauthnId),
      rpId: given.rpId,
      publicKey: Buffer.from(given.publicKey),
      algorithm,
      counter: Number(given.signCount),
      userVerified: false,
      backupEligible: given.backupEligible,
      backedUp: given.backupEligible && given.backedUp,
      transports: given.transports.map((one) => (WebAuthnTransport[one] ?? "").toLowerCase().replaceAll("_", "-")),
      attachment: "",
      discoverable: given.discoverable,
      aaguid: given.aaguid || "00000000-0000-0000-0000-000000000000",
      attested: false,
      attestationFormat: "none",
      cloneWarning: false,
      displayName: displayName || "Passkey",
      version: 1,
      createTime: call.now,
      updateTime: call.now,
      lastUseTime: null,
    };
    const row: CredentialRow = { ...bare, rowMac: macOf(keyring, bare) };
    const userHandle = Buffer.from(given.webauthnUserId, "base64url");
    const before = new Set(
      (await call.read((tx) => webauthnRepository(tx).listAll(owner))).map((one) => one.credentialId),
    );
    return async (tx) => {
      const credentials = webauthnRepository(tx);
      const held = await credentials.listAll(owner);
      const equal = held.find(({ webauthnId }) => webauthnId.equals(row.webauthnId));
      if (equal) return { status: "SKIPPED", factorId: equal.credentialId, active: true, counts: true };
      // The handle is inside of discoverable passkeys: a user has one.
      const user = await credentials.findUser(owner);
      if (user && !user.userHandle.equals(userHandle)) return "the user has another handle here";
      // Of one call none takes the place of another.
      const older = replace ? held.filter(({ credentialId }) => before.has(credentialId)) : [];
      if (held.length - older.length >= webauthn.maxCredentials) return "as many as allowed are registered already";
      if (!(await credentials.insert(row))) return "it is registered with somebody already";
      if (!user) await credentials.claimUser({ ...owner, userHandle, userName: owner.userId, createTime: call.now });
      for (const { credentialId } of older) await credentials.delete({ ...owner, credentialId });
      const status = older.length > 0 ? "REPLACED" : "IMPORTED";
      return { status, factorId: row.credentialId, active: true, counts: true };
    };
  },
});

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import { WebAuthnAttachment, WebAuthnTransport } from "../../../gen/mfa/v1/webauthn_pb.js";
import { ownerOf } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PageTokens } from "../../crypto/page-token.ts";
import { prove } from "../../protection/proof.ts";
import type { Handlers } from "../../rpc/service.ts";
import { modelName } from "./authenticator-models.ts";
import { sessionDigestOf } from "./registration.ts";
import type { CredentialRow } from "./webauthn.repository.ts";
import type { WebAuthn } from "./webauthn.ts";

const transports: Readonly<Record<string, WebAuthnTransport>> = {
  usb: WebAuthnTransport.USB,
  nfc: WebAuthnTransport.NFC,
  ble: WebAuthnTransport.BLE,
  "smart-card": WebAuthnTransport.SMART_CARD,
  hybrid: WebAuthnTransport.HYBRID,
  internal: WebAuthnTransport.INTERNAL,
};

const attachments: Readonly<Record<string, WebAuthnAttachment>> = {
  platform: WebAuthnAttachment.PLATFORM,
  "cross-platform": WebAuthnAttachment.CROSS_PLATFORM,
};

const toProto = (row: CredentialRow, primary: string | undefined) => ({
  credentialId: row.credentialId,
  webauthnId: row.webauthnId,
  displayName: row.displayName,
  rpId: row.rpId,
  aaguid: row.aaguid,
  authenticatorName: modelName(row.aaguid),
  attachment: attachments[row.attachment] ?? WebAuthnAttachment.UNSPECIFIED,
  transports: row.transports.map((transport) => transports[transport] ?? WebAuthnTransport.UNSPECIFIED),
  discoverable: row.discoverable,
  userVerified: row.userVerified,
  backupEligible: row.backupEligible,
  backedUp: row.backedUp,
  attested: row.attested,
  cloneWarning: row.cloneWarning,
  primary: row.credentialId === primary,
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
  version: BigInt(row.version),
});

/** What users do with passkeys and security keys. */
export function createWebAuthnHandlers(webauthn: WebAuthn, pageTokens: PageTokens) {
  const { registration, authentication, credentials } = webauthn;

  const user = {
    startWebAuthnRegistration: async (request, call) => {
      const started = await registration.start(call, ownerOf(call.caller), request);
      if (started instanceof Refusal) return started;
      const { ceremony, options } = started;
      return { ceremonyId: ceremony.ceremonyId, options, expireTime: timestampFromDate(ceremony.expireTime) };
    },

    finishWebAuthnRegistration: async (request, call) => {
      const finished = await registration.finish(call, ownerOf(call.caller), request);
      if (finished instanceof Refusal) return finished;
      const { row, primary, codes } = finished;
      const shown = { backupCodes: [...(codes?.codes ?? [])], backupCodeSetId: codes?.setId ?? "" };
      return { credential: toProto(row, primary), ...shown };
    },

    startWebAuthnAuthentication: async (request, call) => {
      if (request.challengeId || request.action) return new Refusal("NOT_BUILT");
      const terms = { ...request, sessionDigest: sessionDigestOf(call) };
      const started = await authentication.start(call, ownerOf(call.caller), { ...terms, actionDigest: undefined });
      if (started instanceof Refusal) return started;
      const { ceremony, options } = started;
      return { ceremonyId: ceremony.ceremonyId, options, expireTime: timestampFromDate(ceremony.expireTime) };
    },

    finishWebAuthnAuthentication: async ({ ceremonyId, response }, call) => {
      const owner = ownerOf(call.caller);
      const answer = { ceremonyId, response, sessionDigest: sessionDigestOf(call), challengeId: "" };
      const proven = await prove(call, owner, await authentication.proofOf(call, owner, answer));
      if (proven instanceof Refusal) return proven;
      const { credentialId, userVerified } = proven;
      return { credentialId, userVerified, verifyTime: timestampFromDate(call.now) };
    },

    listWebAuthnCredentials: async (request, call) => {
      const page = { position: pageTokens.read(call, request.pageToken), size: request.pageSize || 50 };
      const { rows, primary, signals, next } = await credentials.list(call, ownerOf(call.caller), page);
      return {
        credentials: rows.map((row) => toProto(row, primary)),
        signals,
        nextPageToken: pageTokens.write(call, next),
      };
    },

    getWebAuthnCredential: async ({ credentialId }, call) => {
      const found = await credentials.find(call, ownerOf(call.caller), credentialId);
      return found instanceof Refusal ? found : { credential: toProto(found.row, found.primary) };
    },

    updateWebAuthnCredential: async ({ credentialId, displayName, version }, call) => {
      if (displayName === undefined) return new Refusal("EMPTY_UPDATE");
      const changed = await credentials.rename(call, ownerOf(call.caller), credentialId, { displayName, version });
      if (changed instanceof Refusal) return changed;
      const { row, primary, signals } = changed;
      return { credential: toProto(row, primary), ...(signals && { signals }) };
    },

    deleteWebAuthnCredential: async ({ credentialId, confirmLastFactor }, call) => {
      const deleted = await credentials.delete(call, ownerOf(call.caller), credentialId, confirmLastFactor);
      if (deleted instanceof Refusal) return deleted;
      return deleted.signals ? { signals: deleted.signals } : {};
    },
  } satisfies Handlers<typeof MfaService>;

  return { user };
}

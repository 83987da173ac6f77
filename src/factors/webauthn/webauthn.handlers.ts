import { create, type JsonObject } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { Action } from "../../../gen/mfa/v1/action_pb.js";
import type { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import {
  ResendChallengeRequestSchema,
  ResendChallengeResponseSchema,
  VerifyChallengeRequestSchema,
} from "../../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { MfaService } from "../../../gen/mfa/v1/mfa_service_pb.js";
import {
  type StartWebAuthnAuthenticationRequest as Start,
  WebAuthnAttachment,
  WebAuthnTransport,
} from "../../../gen/mfa/v1/webauthn_pb.js";
import type { Call } from "../../core/call.ts";
import { ownerOf } from "../../core/caller.ts";
import type { Handlers } from "../../core/handlers.ts";
import { Refusal } from "../../core/refusal.ts";
import type { PageTokens } from "../../crypto/page-token.ts";
import { prove } from "../../protection/proof.ts";
import { modelName } from "./authenticator-models.ts";
import { CEREMONY_MS } from "./ceremony-options.ts";
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
  backupEligibilityChanged: row.eligibilityChanged ?? false,
  primary: row.credentialId === primary,
  createTime: timestampFromDate(row.createTime),
  updateTime: timestampFromDate(row.updateTime),
  ...(row.lastUseTime && { lastUseTime: timestampFromDate(row.lastUseTime) }),
  version: BigInt(row.version),
});

/** What these handlers need beside the domain. */
export interface WebAuthnHandlerOptions {
  readonly webauthn: WebAuthn;
  readonly pageTokens: PageTokens;
  /** How a challenge is prepared and answered: a proof may be for one. */
  readonly challenges: Pick<Required<Handlers<typeof MfaService>>, "resendChallenge" | "verifyChallenge">;
  /** An action's digest and its text, or why the caller may not name it. */
  readonly describeAction: (call: Call, action: Action) => Promise<{ digest: Buffer; rendered: string } | Refusal>;
}

/** What users do with passkeys and security keys. */
export function createWebAuthnHandlers(options: WebAuthnHandlerOptions) {
  const { webauthn, pageTokens, challenges, describeAction } = options;
  const { registration, authentication, credentials } = webauthn;

  /** A ceremony for a pending challenge, whose id it shares: the challenge says who, for what and how. */
  const startForChallenge = async ({ challengeId, rpId, userVerification }: Start, call: Call) => {
    const request = create(ResendChallengeRequestSchema, { challengeId, factorType: FactorType.WEBAUTHN });
    const again = await challenges.resendChallenge(request, call);
    if (again instanceof Refusal) return again;
    const { preparation, challenge } = create(ResendChallengeResponseSchema, again);
    let options = preparation?.kind.case === "webauthnOptions" ? preparation.kind.value : {};
    if (rpId || userVerification) {
      const wishes = { rpId: rpId || String(options.rpId), userVerification };
      const begun = await authentication.beginAgain(call, ownerOf(call.caller), challengeId, wishes);
      if (begun instanceof Refusal) return begun;
      options = begun.options;
    }
    const expireTime = timestampFromMs(call.now.getTime() + CEREMONY_MS);
    return { ceremonyId: challengeId, options, renderedAction: challenge?.renderedAction ?? "", expireTime };
  };
  const finishForChallenge = async (challengeId: string, response: JsonObject, call: Call) => {
    const proof = { kind: { case: "webauthn", value: response } } as const;
    const proven = await challenges.verifyChallenge(create(VerifyChallengeRequestSchema, { challengeId, proof }), call);
    if (proven instanceof Refusal) return proven;
    const used = await credentials.findUsed(call, ownerOf(call.caller), response);
    const { challenge } = proven;
    return { ...used, ...(challenge && { challenge }), verifyTime: timestampFromDate(call.now) };
  };

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
      if (request.challengeId) return startForChallenge(request, call);
      const action = request.action && (await describeAction(call, request.action));
      if (action instanceof Refusal) return action;
      const terms = { ...request, sessionDigest: sessionDigestOf(call), actionDigest: action?.digest };
      const begun = await authentication.begin(call, ownerOf(call.caller), terms);
      if (begun instanceof Refusal) return begun;
      const { ceremony, options } = await call.unit(begun);
      const { ceremonyId, expireTime } = ceremony;
      const renderedAction = action?.rendered ?? "";
      return { ceremonyId, options, renderedAction, expireTime: timestampFromDate(expireTime) };
    },

    finishWebAuthnAuthentication: async ({ ceremonyId, response = {} }, call) => {
      const owner = ownerOf(call.caller);
      if (await authentication.isForChallenge(call, owner, ceremonyId)) {
        return finishForChallenge(ceremonyId, response, call);
      }
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

  const admin = {
    acceptUserWebAuthnCredential: async ({ userId, credentialId, reason }, call) => {
      const owner = { tenantId: call.caller.tenantId, userId };
      const accepted = await credentials.acceptAnew(call, owner, { credentialId, reason });
      return accepted instanceof Refusal ? accepted : { credential: toProto(accepted.row, accepted.primary) };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { user, admin };
}

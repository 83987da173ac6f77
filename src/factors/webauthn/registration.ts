import type { WebAuthnAttachment, WebAuthnRequirement } from "../../../gen/mfa/v1/webauthn_pb.js";
import { recordAudit } from "../../audit/changes.ts";
import type { Call } from "../../core/call.ts";
import { newId } from "../../core/id.ts";
import { Refusal } from "../../core/refusal.ts";
import { sessionDigest } from "../../core/session-digest.ts";
import { bearerId, randomSecret } from "../../crypto/random.ts";
import type { Owner } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { admitEnrollment, enroll } from "../../protection/enrollment.ts";
import { userRepository } from "../../users/users.repository.ts";
import { admit } from "./admission.ts";
import { defaultName } from "./authenticator-models.ts";
import { type CeremonyRow, ceremonyRepository } from "./ceremonies.repository.ts";
import { CEREMONY_MS, creationOptions, defaultUserName } from "./ceremony-options.ts";
import { type CeremonyTerms, stricter, termsFor } from "./relying-party.ts";
import { macOf } from "./row-mac.ts";
import { digestOf, type Registered, verifyRegistration } from "./verification.ts";
import { type CredentialRow, webauthnRepository } from "./webauthn.repository.ts";
import type { WebAuthnOptions } from "./webauthn-options.ts";

/** What a user asks of a new credential. */
export interface NewCredential {
  /** Empty takes the model's name. */
  readonly displayName: string;
  /** Empty takes the user's id. */
  readonly userName: string;
  readonly rpId: string;
  readonly attachment: WebAuthnAttachment;
  readonly discoverable: WebAuthnRequirement;
  readonly hints: readonly string[];
}

const USER_HANDLE_BYTES = 64;
const CHALLENGE_BYTES = 32;

/** The session that a ceremony belongs to, by digest, as challenges have it; empty without one. */
export const sessionDigestOf = ({ caller }: Call): Buffer => sessionDigest(caller.sessionId) ?? Buffer.alloc(0);

const limitReached = (limit: number) => new Refusal("LIMIT_REACHED", { metadata: { limit: String(limit) } });

/** Registration of passkeys and security keys. */
export function createRegistration({ keyring, settingsOf, metadata, factors, codes }: WebAuthnOptions) {
  const rowOf = (
    call: Call,
    ceremony: CeremonyRow,
    registered: Registered,
    told: { name: string; attested: boolean },
  ) => {
    const { certificates: _, discoverable = ceremony.discoverable === "required", ...proven } = registered;
    const { tenantId, userId, rpId } = ceremony;
    const row: Omit<CredentialRow, "rowMac"> = {
      ...proven,
      tenantId,
      userId,
      rpId,
      credentialId: newId(),
      discoverable,
      attested: told.attested,
      backupKnown: true,
      eligibilityChanged: false,
      cloneWarning: false,
      displayName: told.name || ceremony.displayName || defaultName(registered),
      version: 1,
      createTime: call.now,
      updateTime: call.now,
      lastUseTime: null,
    };
    return { ...row, rowMac: macOf(keyring, row) };
  };

  const activate = async (call: Call, row: CredentialRow, { maxCredentials }: CeremonyTerms, asked: Asked) => {
    const owner = { tenantId: row.tenantId, userId: row.userId };
    const issue = await codes.draw(call, owner, asked.generateBackupCodes);
    return call.unit(async (tx) => {
      const credentials = webauthnRepository(tx);
      const enrolled = await enroll(tx, call, owner, {
        factorType: "WEBAUTHN",
        action: "webauthn.enrolled",
        activate: async () => {
          // Thrown: nothing of a registration too many is to hold.
          if ((await credentials.listAll(owner)).length >= maxCredentials) throw limitReached(maxCredentials);
          return credentials.insert(row);
        },
        idOf: ({ credentialId }) => credentialId,
      });
      if (!enrolled) return new Refusal("DUPLICATE");
      await credentials.nameUser(owner, asked.userName);
      const shown = await issue?.(tx, call);
      return { row: enrolled, primary: await factors.primaryOf(tx, owner, call.now), codes: shown };
    });
  };

  return {
    /** Begins a ceremony, and tells the browser which authenticators the user has already. */
    async start(call: Call, owner: Owner, wanted: NewCredential) {
      const terms = termsFor(await settingsOf(owner.tenantId), wanted);
      if (terms instanceof Refusal) return terms;
      // Without metadata no model can be proven: better said before the user has touched their key.
      if (terms.attested && !metadata) {
        return new Refusal("POLICY_FORBIDS", { metadata: { policy: "webauthn.attestation" } });
      }
      const challenge = randomSecret(CHALLENGE_BYTES).toString("base64url");
      const userName = wanted.userName || defaultUserName(owner.userId);
      const ceremony: CeremonyRow = {
        ...owner,
        ceremonyId: bearerId(),
        purpose: "register",
        challengeDigest: digestOf(challenge),
        sessionDigest: sessionDigestOf(call),
        challengeId: "",
        actionDigest: null,
        rpId: terms.rpId,
        userVerification: terms.userVerification,
        discoverable: terms.discoverable,
        attachment: terms.attachment,
        displayName: wanted.displayName,
        userName,
        createTime: call.now,
        expireTime: new Date(call.now.getTime() + CEREMONY_MS),
        spendTime: null,
      };
      const newUser = { ...owner, userHandle: randomSecret(USER_HANDLE_BYTES), userName, createTime: call.now };
      return call.unit(async (tx) => {
        await userRepository(tx).serialise(owner, call.now);
        await admitEnrollment(tx, call, owner);
        const [credentials, ceremonies] = [webauthnRepository(tx), ceremonyRepository(tx)];
        const held = await credentials.listAll(owner);
        // One whose flags changed is refused at log-ins: its authenticator may be registered anew.
        const exclude = held.filter(({ eligibilityChanged }) => !eligibilityChanged);
        if (held.length >= terms.maxCredentials) return limitReached(terms.maxCredentials);
        const { userHandle } = await credentials.claimUser(newUser);
        await ceremonies.add(ceremony, call.now);
        const act = { owner, action: "webauthn.registration_started", targetId: "" };
        await recordAudit(tx, call, act);
        const options = creationOptions(terms, { userHandle, userName }, { challenge, exclude, hints: wanted.hints });
        return { ceremony, options };
      });
    },

    /**
     * Spends the ceremony, judges, then stores the credential. A registration is no guess at anybody's secret, so a
     * failed one counts towards no lock.
     */
    async finish(call: Call, owner: Owner, finished: FinishedRegistration) {
      const { ceremonyId, response, displayName, generateBackupCodes } = finished;
      const settings = await settingsOf(owner.tenantId);
      const taking = { ...owner, purpose: "register", sessionDigest: sessionDigestOf(call), challengeId: "" } as const;
      const ceremony = await call.unit((tx) => ceremonyRepository(tx).take({ ...taking, now: call.now }, ceremonyId));
      if (!ceremony) return new Refusal("CHALLENGE_EXPIRED");

      // The terms of now, which may be stricter than those it began with.
      const terms = termsFor(settings, { rpId: ceremony.rpId });
      if (terms instanceof Refusal) return terms;
      const userVerification = stricter(ceremony.userVerification, terms.userVerification);
      const registered = await verifyRegistration(response, { ...ceremony, origins: terms.origins, userVerification });
      if (!registered) {
        const failure = { type: "PROOF_FAILED", factorType: "WEBAUTHN", failureReason: "SIGNATURE" } as const;
        await call.unit((tx) => recordEvent(tx, call, { owner, ...failure }));
        return new Refusal("SIGNATURE_REJECTED");
      }
      const demanded = {
        attachment: terms.attachment || ceremony.attachment,
        discoverable: stricter(ceremony.discoverable, terms.discoverable),
      };
      const admission = admit(registered, terms, demanded, metadata, call.now);
      if ("refusedBy" in admission) {
        return new Refusal("AUTHENTICATOR_NOT_ALLOWED", { metadata: { policy: admission.refusedBy } });
      }
      const row = rowOf(call, ceremony, registered, { name: displayName, attested: admission.attested });
      return activate(call, row, terms, { userName: ceremony.userName, generateBackupCodes });
    },
  };
}

/** What a browser brings back of a registration. */
export interface FinishedRegistration {
  readonly ceremonyId: string;
  /** RegistrationResponseJSON, unread. */
  readonly response?: unknown;
  /** Empty takes what the start said. */
  readonly displayName: string;
  /** Whether to make backup codes too, for a user who has none. */
  readonly generateBackupCodes: boolean;
}

interface Asked extends Pick<FinishedRegistration, "generateBackupCodes"> {
  readonly userName: string;
}

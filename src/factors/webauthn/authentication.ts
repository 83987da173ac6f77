import { createHash } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { WebAuthnRequirement } from "../../../gen/mfa/v1/webauthn_pb.js";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import { bearerId, randomSecret } from "../../crypto/random.ts";
import type { Owner, Tx } from "../../db/store.ts";
import { recordEvent } from "../../events/events.ts";
import { wasLockedSince } from "../../protection/attempts.ts";
import type { Proof } from "../../protection/proof.ts";
import type { EffectiveSettings } from "../../tenant-settings/settings.ts";
import { userRepository } from "../../users/users.repository.ts";
import { type CeremonyRow, ceremonyRepository } from "./ceremonies.repository.ts";
import { CEREMONY_MS, requestOptions } from "./ceremony-options.ts";
import { decoyCredentials, decoyKnown } from "./decoys.ts";
import { changedRefusal, copiedRefusal, noteOdd } from "./odd-credentials.ts";
import { stricter, termsFor, type Wishes } from "./relying-party.ts";
import { readAuthentication } from "./responses.ts";
import { macOf, requireIntact } from "./row-mac.ts";
import { refusedBy } from "./standing-terms.ts";
import { challengeDigestIn, digestOf, type Signed, verifyAuthentication } from "./verification.ts";
import { type CredentialRow, webauthnRepository } from "./webauthn.repository.ts";
import type { WebAuthnOptions } from "./webauthn-options.ts";

/** What a proof is to be good for. */
export interface ProofTerms {
  /** Empty takes the tenant's first; of a challenge, the first where the user has what is asked for. */
  readonly rpId: string;
  /** Cannot ask for less than the tenant does. */
  readonly userVerification?: WebAuthnRequirement;
  /** SHA-256 of the session that asks, and that alone may answer. */
  readonly sessionDigest: Buffer;
  /** The pending challenge that it proves; empty for a proof of its own. */
  readonly challengeId: string;
  /** SHA-256 of the action that the signature is to bind; absent without one. */
  readonly actionDigest?: Buffer | undefined;
  /** The only credential to ask for; empty asks for any. */
  readonly credentialId?: string;
}

/** A ceremony that waits for its answer. */
export interface PendingCeremony {
  readonly ceremony: CeremonyRow;
  readonly options: JsonObject;
}

/** An answer as it came. */
export interface CeremonyAnswer {
  /** Empty finds the ceremony by the challenge inside the answer. */
  readonly ceremonyId: string;
  readonly sessionDigest: Buffer;
  readonly challengeId: string;
  /** What is being approved: a signature that binds another action is none. Absent takes any. */
  readonly actionDigest?: Buffer | null;
  /** AuthenticationResponseJSON, unread. */
  readonly response?: unknown;
}

/** What a good proof says. */
export interface VerifiedCeremony {
  readonly credentialId: string;
  /** Whether the user was verified, by a credential that could verify them from the beginning. */
  readonly userVerified: boolean;
  /** Whether the authenticator says so of this proof. */
  readonly saysVerified: boolean;
  /** Whether the key cannot be synced to another device. */
  readonly deviceBound: boolean;
  /** Whether it stands for both factors: the user was verified, and the tenant takes that for a factor of its own. */
  readonly alone: boolean;
  /** The digest of the action inside the signature; absent without one. */
  readonly actionDigest: Buffer | undefined;
}

interface Loaded {
  readonly ceremony: CeremonyRow;
  readonly credentials: readonly CredentialRow[];
  readonly userHandle: Buffer;
}

interface Match {
  readonly credential: CredentialRow;
  readonly signed: Signed;
  readonly actionDigest: Buffer | undefined;
}

const CHALLENGE_BYTES = 32;

/** A challenge; with an action one that is good for nothing else: SHA-256("mfa-act/v1" ‖ nonce ‖ digest). */
function makeChallenge(actionDigest: Buffer | undefined): string {
  const nonce = randomSecret(CHALLENGE_BYTES);
  if (!actionDigest) return nonce.toString("base64url");
  return createHash("sha256").update("mfa-act/v1").update(nonce).update(actionDigest).digest("base64url");
}

/** Proofs by passkey or security key. */
export function createPasskeyAuthentication({ keyring, settingsOf }: Pick<WebAuthnOptions, "keyring" | "settingsOf">) {
  async function judge({ ceremony, credentials, userHandle }: Loaded, response: unknown, settings: EffectiveSettings) {
    const terms = termsFor(settings, { rpId: ceremony.rpId });
    if (terms instanceof Refusal) return undefined;
    const named = Buffer.from(readAuthentication(response)?.rawId ?? "", "base64url");
    const credential = credentials.find((row) => row.rpId === ceremony.rpId && row.webauthnId.equals(named));
    if (credential) requireIntact(keyring, credential);
    const expected = {
      ...ceremony,
      origins: terms.origins,
      userVerification: stricter(ceremony.userVerification, terms.userVerification),
    };
    const signed = await verifyAuthentication(
      response,
      expected,
      credential ? { ...credential, userHandle } : decoyKnown,
    );
    if (!credential || !signed) return undefined;
    return { credential, signed, actionDigest: ceremony.actionDigest ?? undefined };
  }

  async function spend(
    tx: Tx,
    call: Call,
    owner: Owner,
    { credential, signed, actionDigest }: Match,
    settings: EffectiveSettings,
  ) {
    const { credentialId } = credential;
    const { backupEligible } = signed;
    // Registered when the tenant still admitted it. The signature is right: that is no failed attempt.
    const policy = refusedBy({ ...credential, backupEligible }, settings);
    if (policy) return new Refusal("AUTHENTICATOR_NOT_ALLOWED", { metadata: { policy } });
    const alone = settings.webauthn.passkeyAlone;
    const key = { ...owner, credentialId };
    const factor = { owner, factorType: "WEBAUTHN", factorId: credentialId } as const;
    const credentials = webauthnRepository(tx);
    const isKnown = credential.backupKnown !== false;
    if (isKnown && backupEligible !== credential.backupEligible) return changedRefusal(credential);
    if (!(await credentials.advance(key, { ...signed, now: call.now }))) {
      return (await credentials.find(key)) && copiedRefusal(credential);
    }
    const learnt = { ...credential, backupEligible, backupKnown: true };
    const row = { ...key, backupEligible, rowMac: macOf(keyring, learnt) };
    // Another assertion was first: this one is judged by what that one said, at the next try.
    if (!isKnown && !(await credentials.learn(row))) throw new Refusal("CONFLICT");
    if (signed.backedUp !== credential.backedUp) await recordEvent(tx, call, { ...factor, type: "FACTOR_UPDATED" });
    // A key without a PIN, once found, takes the finder's: only who could verify from the beginning counts as verifying.
    const userVerified = signed.userVerified && credential.userVerified;
    return {
      ...{ credentialId, userVerified, saysVerified: signed.userVerified, deviceBound: !backupEligible },
      ...{ alone: userVerified && alone, actionDigest },
    };
  }

  const beginning = {
    /**
     * Begins a ceremony, what is left of it in the unit of its caller. Users without credentials get options of the same
     * shape, which nobody can answer. Of one challenge only the last ceremony stands.
     */
    async begin(
      call: Call,
      owner: Owner,
      wanted: ProofTerms,
    ): Promise<((tx: Tx) => Promise<PendingCeremony>) | Refusal> {
      const settings = await settingsOf(owner.tenantId);
      const terms = termsFor(settings, wanted);
      if (terms instanceof Refusal) return terms;
      const challenge = makeChallenge(wanted.actionDigest);
      const begun: CeremonyRow = {
        ...owner,
        ceremonyId: wanted.challengeId || bearerId(),
        purpose: "authenticate",
        challengeDigest: digestOf(challenge),
        sessionDigest: wanted.sessionDigest,
        challengeId: wanted.challengeId,
        actionDigest: wanted.actionDigest ?? null,
        rpId: terms.rpId,
        userVerification: terms.userVerification,
        discoverable: "discouraged",
        attachment: "",
        displayName: "",
        userName: "",
        createTime: call.now,
        expireTime: new Date(call.now.getTime() + CEREMONY_MS),
        spendTime: null,
      };
      const isWanted = (row: CredentialRow) =>
        (!wanted.credentialId || row.credentialId === wanted.credentialId) && refusedBy(row, settings) === undefined;
      // A challenge says what its user holds anyway, and may be for somebody whose passkeys are elsewhere.
      const isAnywhere = wanted.challengeId !== "" && wanted.rpId === "";
      return async (tx) => {
        const ceremonies = ceremonyRepository(tx);
        // A challenge's unit has done what it needs, and may be about a user who is not known.
        if (wanted.challengeId) await ceremonies.delete(owner, begun.ceremonyId);
        else await userRepository(tx).serialise(owner, call.now);
        const held = (await webauthnRepository(tx).listAll(owner)).filter(isWanted);
        const where = settings.webauthn.rpIds.find((id) => held.some((row) => row.rpId === id));
        const rpId = (isAnywhere && where) || terms.rpId;
        const ceremony = { ...begun, rpId };
        await ceremonies.add(ceremony, call.now);
        const there = held.filter((row) => row.rpId === rpId);
        const named = there.length > 0 ? there : decoyCredentials(keyring, owner, rpId);
        return { ceremony, options: requestOptions(ceremony, challenge, named) };
      };
    },
  };

  return {
    ...beginning,

    /** Ends the ceremony of a challenge that was taken back, so that it takes the place of no other. */
    async end(tx: Tx, owner: Owner, challengeId: string): Promise<void> {
      await ceremonyRepository(tx).delete(owner, challengeId);
    },

    /** Begins the ceremony of a challenge once more, as its page wishes; what the challenge demands stays. */
    async beginAgain(
      call: Call,
      owner: Owner,
      challengeId: string,
      wishes: Required<Pick<Wishes, "rpId" | "userVerification">>,
    ) {
      const ceremony = await call.unit((tx) => ceremonyRepository(tx).find(owner, challengeId));
      if (!ceremony) return new Refusal("CHALLENGE_EXPIRED");
      const { REQUIRED } = WebAuthnRequirement;
      const begun = await beginning.begin(call, owner, {
        ...{ challengeId, rpId: wishes.rpId, sessionDigest: ceremony.sessionDigest },
        actionDigest: ceremony.actionDigest ?? undefined,
        userVerification: ceremony.userVerification === "required" ? REQUIRED : wishes.userVerification,
      });
      return begun instanceof Refusal ? begun : call.unit(begun);
    },

    /** Whether a ceremony is for a pending challenge, whose id it shares: then the challenge is answered. */
    isForChallenge: (call: Call, owner: Owner, ceremonyId: string): Promise<boolean> =>
      call.unit(async (tx) => (await ceremonyRepository(tx).find(owner, ceremonyId))?.challengeId === ceremonyId),

    /**
     * The proof that an answer is. Loading it spends the ceremony, whatever comes of it: a second use of an answer finds
     * none. It counts towards a lock of WebAuthn's own.
     */
    async proofOf(call: Call, owner: Owner, answer: CeremonyAnswer): Promise<Proof<Loaded, Match, VerifiedCeremony>> {
      const settings = await settingsOf(owner.tenantId);
      const { sessionDigest, challengeId, response, actionDigest } = answer;
      const taking = { ...owner, purpose: "authenticate", sessionDigest, challengeId, now: call.now } as const;
      const challengeDigest = challengeDigestIn(response);
      /** Whether its signature would bind another action. */
      const isForOther = ({ ceremony: { actionDigest: signed } }: Loaded): boolean =>
        signed !== null && actionDigest !== undefined && !(actionDigest !== null && signed.equals(actionDigest));
      return {
        factorType: "WEBAUTHN",
        counter: "webauthn",
        rejection: { reason: "SIGNATURE_REJECTED", unmatched: "SIGNATURE", unspent: "CLONE" },
        load: async (tx) => {
          const ceremonies = ceremonyRepository(tx);
          const byChallenge = () => challengeDigest && ceremonies.takeByChallenge(taking, challengeDigest);
          const ceremony = await (answer.ceremonyId ? ceremonies.take(taking, answer.ceremonyId) : byChallenge());
          if (!ceremony || (await wasLockedSince(tx, owner, ceremony.createTime, "webauthn"))) {
            return new Refusal("CHALLENGE_EXPIRED");
          }
          // The relying party is the tenant's no more: what was begun there ends there.
          const terms = termsFor(settings, { rpId: ceremony.rpId });
          if (terms instanceof Refusal) return terms;
          const credentials = webauthnRepository(tx);
          const user = await credentials.findUser(owner);
          const userHandle = user?.userHandle ?? Buffer.alloc(0);
          return { ceremony, credentials: await credentials.listAll(owner), userHandle };
        },
        judge: async (loaded) => (isForOther(loaded) ? undefined : judge(loaded, response, settings)),
        failureOf: async (_, loaded) => (isForOther(loaded) ? "WRONG_CHALLENGE" : undefined),
        spend: (tx, match) => spend(tx, call, owner, match, settings),
        noteRefused: (tx, { credential }, { reason }) => noteOdd(tx, call, credential, { reason, challengeId }),
      };
    },
  };
}

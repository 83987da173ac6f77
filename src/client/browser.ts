import type { JsonObject } from "@bufbuild/protobuf";
import { type CallOptions, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { startAuthentication, startRegistration } from "@simplewebauthn/browser";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type {
  FinishWebAuthnAuthenticationResponse,
  FinishWebAuthnRegistrationResponse,
  WebAuthnCredential,
  WebAuthnRequirement,
} from "../../gen/mfa/v1/webauthn_pb.js";
import type { WebAuthnSignals } from "../../gen/mfa/v1/webauthn_signals_pb.js";

/** What a page may ask of a new passkey. */
export interface NewPasskey {
  /** What to call it; by default its model's name. */
  readonly displayName?: string;
  /** The account name that the authenticator shows; by default the user's id. */
  readonly userName?: string;
  /** One of the tenant's relying parties; by default the first. */
  readonly rpId?: string;
  readonly discoverable?: WebAuthnRequirement;
  readonly hints?: ("security-key" | "client-device" | "hybrid")[];
  readonly generateBackupCodes?: boolean;
}

/** What a page may ask of a proof. */
export interface PasskeyProof {
  readonly rpId?: string;
  readonly userVerification?: WebAuthnRequirement;
  /** Offers passkeys where the user fills in their name (`autocomplete="username webauthn"`), without a dialog. */
  readonly autofill?: boolean;
  /** The pending challenge to prove. */
  readonly challengeId?: string;
}

/** Passkeys of the user whose token it is. */
export interface Passkeys {
  register(wishes?: NewPasskey): Promise<FinishWebAuthnRegistrationResponse>;
  authenticate(wishes?: PasskeyProof): Promise<FinishWebAuthnAuthenticationResponse>;
  list(): Promise<WebAuthnCredential[]>;
  rename(credential: WebAuthnCredential, displayName: string): Promise<WebAuthnCredential>;
  remove(credential: WebAuthnCredential, confirmLastFactor?: boolean): Promise<void>;
}

/** What the Signal API of newer browsers takes (WebAuthn §5.1.10). */
interface Signalling {
  signalAllAcceptedCredentials?(known: {
    rpId: string;
    userId: string;
    allAcceptedCredentialIds: string[];
  }): Promise<void>;
  signalCurrentUserDetails?(user: { rpId: string; userId: string; name: string; displayName: string }): Promise<void>;
}

/** What the library answers, as JSON: it leaves fields that are not there undefined, which no Struct can hold. */
const asJson = (response: object): JsonObject => JSON.parse(JSON.stringify(response));

/** Tells password managers what is still accepted; browsers that cannot pass it on do without. */
async function signal(signals: WebAuthnSignals | undefined): Promise<void> {
  const browser = (globalThis as { PublicKeyCredential?: Signalling }).PublicKeyCredential;
  if (!signals || !browser) return;
  const { rpId, webauthnUserId: userId, acceptedCredentialIds, userName, userDisplayName } = signals;
  const known = browser.signalAllAcceptedCredentials?.({
    rpId,
    userId,
    allAcceptedCredentialIds: acceptedCredentialIds,
  });
  const user = browser.signalCurrentUserDetails?.({ rpId, userId, name: userName, displayName: userDisplayName });
  await Promise.allSettled([known, user]);
}

/**
 * Runs ceremonies from a page: `createPasskeys(createConnectTransport({ baseUrl }), () => token)`, then `register()` and
 * `authenticate()`. Works over Connect and over gRPC-Web.
 */
export function createPasskeys(transport: Transport, token: () => string | Promise<string>): Passkeys {
  const mfa = createClient(MfaService, transport);
  const authorized = async (): Promise<CallOptions> => ({ headers: { authorization: `Bearer ${await token()}` } });

  return {
    async register({ generateBackupCodes = false, ...wishes } = {}) {
      const { ceremonyId, options } = await mfa.startWebAuthnRegistration(wishes, await authorized());
      const response = await startRegistration({ optionsJSON: options as never });
      const finished = { ceremonyId, response: asJson(response), generateBackupCodes };
      return mfa.finishWebAuthnRegistration(finished, await authorized());
    },

    async authenticate({ autofill = false, ...wishes } = {}) {
      const { ceremonyId, options } = await mfa.startWebAuthnAuthentication(wishes, await authorized());
      const response = await startAuthentication({ optionsJSON: options as never, useBrowserAutofill: autofill });
      return mfa.finishWebAuthnAuthentication({ ceremonyId, response: asJson(response) }, await authorized());
    },

    async list() {
      const found: WebAuthnCredential[] = [];
      let pageToken = "";
      do {
        const page = await mfa.listWebAuthnCredentials({ pageToken }, await authorized());
        found.push(...page.credentials);
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
      return found;
    },

    async rename({ credentialId, version, ...credential }, displayName) {
      const change = { credentialId, displayName, version };
      const { credential: renamed, signals } = await mfa.updateWebAuthnCredential(change, await authorized());
      await signal(signals);
      return renamed ?? { ...credential, credentialId, version, displayName };
    },

    async remove({ credentialId }, confirmLastFactor = false) {
      const { signals } = await mfa.deleteWebAuthnCredential({ credentialId, confirmLastFactor }, await authorized());
      await signal(signals);
    },
  };
}

/** Why the service, or the person at the authenticator, said no: a reason of the contract, or the browser's error name. */
export function reasonOf(thrown: unknown): string {
  if (thrown instanceof ConnectError) {
    return thrown.findDetails(ErrorInfoSchema)[0]?.reason || Code[thrown.code];
  }
  return thrown instanceof Error ? thrown.name : "Unknown";
}

import type { DescMethod } from "@bufbuild/protobuf";
import type { Caller } from "../../core/caller.ts";
import type { Authenticate } from "./authentication.ts";
import { CredentialRejected } from "./tokens/rejected.ts";

/** A verified credential. */
export interface Credential {
  readonly caller: Caller;
  /**
   * Run after authorization: checks that the credential is still valid, and spends one-time credentials. Throws the
   * refusal.
   */
  readonly confirm?: () => Promise<void>;
}

/** The RPC that a credential is presented for, and the client's address. */
export interface Showing {
  readonly method: DescMethod;
  readonly now: Date;
  /** The client's address, as far as the listener knows it. */
  readonly ip: string;
  /** Called before the store is queried for a credential that may be made up; throws RATE_LIMITED. */
  readonly beforeLook: () => void;
}

/** Verifies a credential of one scheme; returns undefined when it is invalid. */
export type VerifyCredential = (credential: string, showing: Showing) => Promise<Credential | undefined>;

/** Why a credential of this service's own is not accepted, in the operator's words; never the credential. */
export interface NotAccepted {
  readonly rejected: string;
}

/** A credential of this service's own. */
export interface OwnCredential extends Omit<Credential, "confirm"> {
  /** Run after authorization; returns why the credential is not accepted after all. */
  readonly confirm?: () => Promise<NotAccepted | undefined>;
}

/** Verifies a credential of this service's own. */
export type VerifyOwn = (credential: string, showing: Omit<Showing, "method">) => Promise<OwnCredential | NotAccepted>;

/** Turns an `authorization` header into a caller, or throws INVALID_CREDENTIAL, always alike. */
export type VerifyHeader = (authorization: string | null, showing: Showing) => Promise<Credential>;

/** RFC 9110 §11.4: the scheme in any case, spaces, one credential of the characters of a token68. */
const HEADER = /^(bearer|ticket|device|prompt) +([\w.~+/=-]+)$/i;

/** The scheme of an `authorization` header in lower case, and the credential; undefined for any other header. */
export function readAuthorization(authorization: string | null) {
  const [, scheme, credential] = HEADER.exec(authorization ?? "") ?? [];
  return scheme === undefined || credential === undefined ? undefined : { scheme: scheme.toLowerCase(), credential };
}

/** A bearer credential of this service's own, beside the access tokens of issuers. */
export interface OwnBearer {
  /** Its name in the log and the metric. */
  readonly check: "service-key" | "user-token";
  /** Whether a credential is of this kind. */
  readonly isClaimed: (credential: string) => boolean;
  readonly verify: VerifyOwn;
}

/** Why credentials are refused whose own check says no more. */
const NOT_ACCEPTED = {
  ticket: "a ticket that has expired, was used up, or was never issued",
  device: "a device's signature that is not of this call and moment, or not by a phone that is paired",
  prompt: "a cookie of no hosted prompt that is open, or of another browser or page",
} as const;

/** How each kind of credential is verified. */
export interface Verifiers {
  /** Access tokens of issuers (`Bearer`). */
  readonly authenticate: Authenticate;
  /** Service keys and user tokens (`Bearer`). */
  readonly own: readonly OwnBearer[];
  /** Tickets (`Ticket`). */
  readonly ticket: VerifyCredential;
  /** Signatures of devices (`Device`). */
  readonly device: VerifyCredential;
  /** Cookies of the browsers that opened hosted prompts (`Prompt`). */
  readonly prompt: VerifyCredential;
}

/** Verifies every kind of credential in an `authorization` header. */
export function createVerifyHeader({ authenticate, own, ...schemes }: Verifiers): VerifyHeader {
  const verifyOwn = async ({ check, verify }: OwnBearer, credential: string, showing: Showing): Promise<Credential> => {
    const refused = ({ rejected }: NotAccepted) => new CredentialRejected({ check, text: rejected });
    const found = await verify(credential, showing);
    if ("rejected" in found) throw refused(found);
    const { caller, confirm } = found;
    if (!confirm) return { caller };
    const confirmed = async () => {
      const fault = await confirm();
      if (fault) throw refused(fault);
    };
    return { caller, confirm: confirmed };
  };

  return async (authorization, showing) => {
    const shown = readAuthorization(authorization);
    // A malformed header is refused here, with the reason in the log.
    if (!shown) return { caller: await authenticate(authorization, showing.now) };
    const { scheme, credential } = shown;
    if (scheme === "bearer") {
      const kind = own.find(({ isClaimed }) => isClaimed(credential));
      if (kind) return verifyOwn(kind, credential, showing);
      return { caller: await authenticate(`Bearer ${credential}`, showing.now) };
    }
    const check = scheme as keyof typeof schemes; // the pattern of the header has the others
    const verified = await schemes[check](credential, showing);
    if (!verified) throw new CredentialRejected({ check, text: NOT_ACCEPTED[check] });
    return verified;
  };
}

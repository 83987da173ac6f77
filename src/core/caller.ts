import type { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Owner } from "../db/store.ts";

/** The caller as the verified credential states it. Never built from anything else. */
export interface Caller {
  readonly principal: Principal;
  /** The tenant of the credential; every key in the store starts with it. */
  readonly tenantId: string;
  /** The exact `sub`: a user's id, an administrator's, or a backend's name. */
  readonly subject: string;
  /** The authentication context class; a credential that does not say is aal1 (ASVS 6.8.4). */
  readonly acr: "aal1" | "aal2";
  /** When the subject authenticated; absent means never fresh. */
  readonly authTime: Date | undefined;
  /**
   * When the credential was issued, or the earliest time it can have been; absent for credentials of one connection.
   */
  readonly issueTime?: Date;
  readonly scopes: ReadonlySet<string>;
  /** The session of the credential (`sid`), as its issuer names it; empty where it does not say. */
  readonly sessionId: string;
  /** Of a ticket: whether it is valid although its user has a factor. */
  readonly besideFactor?: boolean;
  /** Of a browser that opened a hosted prompt: the prompt's id. `subject` is the user, as with a ticket. */
  readonly promptId?: string;
  /** Of a push device: its id. `subject` is the user, as with a ticket. */
  readonly deviceId?: string;
}

/** Returns the owner for calls about oneself: never taken from a request. */
export const ownerOf = ({ tenantId, subject }: Caller): Owner => ({ tenantId, userId: subject });

import type { Principal } from "../../gen/mfa/v1/options_pb.js";

/** Who makes a call, as its verified credential says. Never built from anything else. */
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
  /** When the credential was issued, or the earliest it can have been; absent where it is none that lasts. */
  readonly issueTime?: Date;
  readonly scopes: ReadonlySet<string>;
  /** The session of the credential (`sid`), as its issuer names it; empty where it does not say. */
  readonly sessionId: string;
  /** Of a push device: which of the user's. `subject` is the user, as it is of a ticket. */
  readonly deviceId?: string;
}

/** Whose factor data a row is: the first columns of every such table's key. */
export type Owner = {
  readonly tenantId: string;
  readonly userId: string;
};

/** The owner of the data that a caller acts on for themselves: never taken from a request. */
export const ownerOf = ({ tenantId, subject }: Caller): Owner => ({ tenantId, userId: subject });

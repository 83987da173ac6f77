import type { DescMethod } from "@bufbuild/protobuf";
import type { Caller } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Authenticate } from "./authentication.ts";

/** A credential that was found to be genuine. */
export interface Credential {
  readonly caller: Caller;
  /**
   * Run once the caller is known to be allowed the RPC: looks whether the credential is still good, and spends what is
   * good once. Throws the refusal.
   */
  readonly confirm?: () => Promise<void>;
}

/** What a credential is shown for. */
export interface Showing {
  readonly method: DescMethod;
  readonly now: Date;
}

/** Verifies a credential of one scheme; undefined when it is not genuine. */
export type VerifyCredential = (credential: string, showing: Showing) => Promise<Credential | undefined>;

/** Turns an `authorization` header into a caller, or throws INVALID_CREDENTIAL, always alike. */
export type VerifyHeader = (authorization: string | null, showing: Showing) => Promise<Credential>;

const HEADER = /^(Ticket|Device) ([\w.-]{1,4096})$/;

/** The credentials there are: access tokens (`Bearer`), tickets (`Ticket`) and signatures of devices (`Device`). */
export function createVerifyHeader(
  authenticate: Authenticate,
  ticket: VerifyCredential,
  device: VerifyCredential,
): VerifyHeader {
  return async (authorization, showing) => {
    const [, scheme, credential = ""] = HEADER.exec(authorization ?? "") ?? [];
    if (scheme === undefined) return { caller: await authenticate(authorization, showing.now) };
    const verified = await (scheme === "Ticket" ? ticket : device)(credential, showing);
    if (!verified) throw new Refusal("INVALID_CREDENTIAL");
    return verified;
  };
}

import { createHash } from "node:crypto";
import { createLocalJWKSet, decodeProtectedHeader, errors, type JWTPayload, jwtVerify } from "jose";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { KeySet } from "../assertions/assertion-keys.ts";
import { kindsOf } from "../assertions/methods.ts";
import { type Caller, ownerOf } from "../core/caller.ts";
import { Refusal } from "../core/refusal.ts";
import type { Keyring } from "../crypto/keyring.ts";
import type { Store, Tx } from "../db/store.ts";
import { readingAbout } from "../erasure/tombstones/tombstones.ts";
import { factorOf } from "../factors/index.ts";
import { wasLockedSince } from "../protection/attempts.ts";
import type { VerifyOwn } from "../rpc/access/credentials.ts";
import { userRepository } from "../users/users.repository.ts";
import { AUDIENCE, MAX_LIFETIME_MS, TYPE, type UserTokenClaims, type UserTokenOptions } from "./user-tokens.ts";

/** Dependencies of `createUserTokenAuthentication`. */
export interface UserTokenAuthenticationOptions extends Pick<UserTokenOptions, "issuer" | "settingsOf"> {
  readonly store: Pick<Store, "read">;
  readonly keyring: Keyring;
  /** The keys that user tokens are signed with. */
  readonly keySet: () => Promise<KeySet>;
}

/** A token whose signature was verified: what it says for as long as it lasts. */
interface Verified {
  readonly caller: Caller & { readonly authTime: Date };
  readonly epoch: number;
  readonly amr: readonly string[];
  readonly issuedMs: number;
  readonly expiresMs: number;
}

const MAX_CACHED = 10_000;
const ALGORITHMS = ["EdDSA", "ES256"];

/** Whether a credential claims to be a user token. A header that says so is verified as nothing else. */
export function looksLikeUserToken(credential: string): boolean {
  try {
    return decodeProtectedHeader(credential).typ === TYPE;
  } catch {
    return false;
  }
}

function read(payload: JWTPayload): Verified | undefined {
  const claims = payload as unknown as UserTokenClaims; // of our own signing: as `issue` writes them
  const { iat, exp, auth_time: authTime, amr = [], epo } = claims;
  if (exp - iat > MAX_LIFETIME_MS / 1000) return undefined;
  const caller = {
    principal: Principal.USER,
    tenantId: claims.tid,
    subject: claims.sub,
    acr: claims.acr,
    authTime: new Date(authTime * 1000),
    issueTime: new Date(iat * 1000),
    scopes: new Set<string>(),
    sessionId: claims.sid ?? "",
  };
  return { caller, epoch: epo, amr, issuedMs: iat * 1000, expiresMs: exp * 1000 };
}

/**
 * User tokens as credentials: by their own type, audience and issuer, with the keys that this service signs with, on a
 * way of their own that no other token takes. The signature is verified once a token; that the user was not erased, and
 * that nothing has ended the token since, is read anew for each call.
 */
export function createUserTokenAuthentication(options: UserTokenAuthenticationOptions): VerifyOwn {
  const { store, keyring, keySet, issuer, settingsOf } = options;
  const verified = new Map<string, Verified>();

  async function verify(token: string, now: Date): Promise<Verified | undefined> {
    const { keys } = await keySet();
    const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: keys.map((key) => ({ kty: "", ...key })) }), {
      ...{ algorithms: ALGORITHMS, issuer, audience: AUDIENCE, typ: TYPE, currentDate: now },
      requiredClaims: ["sub", "tid", "acr", "auth_time", "iat", "exp", "jti", "epo"],
    });
    return read(payload);
  }

  async function verifyOnce(token: string, now: Date): Promise<Verified | undefined> {
    const name = createHash("sha256").update(token).digest("base64");
    const known = verified.get(name);
    if (known) return now.getTime() < known.expiresMs ? known : undefined;
    const found = await verify(token, now).catch((error: unknown) => {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
      throw error;
    });
    const [oldest] = verified.keys();
    if (oldest !== undefined && verified.size >= MAX_CACHED) verified.delete(oldest);
    if (found) verified.set(name, found);
    return found;
  }

  /** What has ended a token since it was issued, if anything. */
  async function endOf({ caller, epoch, amr }: Verified, now: Date): Promise<string | undefined> {
    const owner = ownerOf(caller);
    const reader = readingAbout(store, keyring, owner, { begun: now, authTime: caller.authTime });
    const look = async (tx: Tx) => {
      if (((await userRepository(tx).find(owner))?.tokensEpoch ?? 0) > epoch)
        return "a factor or the trust of its user was taken away since";
      const isLocked = caller.acr === "aal2" && (await wasLockedSince(tx, owner, caller.authTime));
      return isLocked ? "its user was locked since" : undefined;
    };
    const ended = await reader.read(look).catch((thrown: unknown) => {
      if (thrown instanceof Refusal && thrown.reason === "INVALID_CREDENTIAL") return "its user was erased since";
      throw thrown;
    });
    if (ended !== undefined || amr.length === 0) return ended;
    const settings = await settingsOf(owner.tenantId);
    const isStillOn = kindsOf(amr).every((type) => factorOf(type).isOn(settings));
    return isStillOn ? undefined : "the kind of factor that it rests on is off in its tenant";
  }

  return async (token, { now }) => {
    const found = await verifyOnce(token, now);
    if (!found) return { rejected: "a user token that has expired, or that this service did not sign so" };
    const confirm = async () => {
      const ended = await endOf(found, now);
      return ended === undefined ? undefined : { rejected: `a user token that has ended: ${ended}` };
    };
    return { caller: found.caller, confirm };
  };
}

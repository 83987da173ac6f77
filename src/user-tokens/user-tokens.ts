import type { AssertionKeys } from "../assertions/assertion-keys.ts";
import type { Assertions } from "../assertions/assertions.ts";
import { isUsedUp, kindsOf } from "../assertions/methods.ts";
import { recordAudit } from "../audit/changes.ts";
import type { AssertionPayload as Stated } from "../client/assertion.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { bearerId } from "../crypto/random.ts";
import type { Owner } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { factorOf } from "../factors/index.ts";
import type { SettingsOf } from "../tenant-settings/settings.ts";
import { userRepository } from "../users/users.repository.ts";

/** Dependencies of user tokens. */
export interface UserTokenOptions {
  readonly assertions: Assertions;
  readonly keys: Pick<AssertionKeys, "signer">;
  /** This service, as `iss`. */
  readonly issuer: string;
  readonly settingsOf: SettingsOf;
}

/** What a user token states. */
export interface UserTokenClaims {
  readonly iss: string;
  readonly aud: string;
  readonly sub: string;
  readonly tid: string;
  /** The session, as the backend names it. */
  readonly sid?: string;
  readonly acr: "aal1" | "aal2";
  /** How the user proved what makes it aal2. */
  readonly amr?: readonly string[];
  readonly auth_time: number;
  readonly iat: number;
  readonly exp: number;
  readonly jti: string;
  /** The backend that it was issued to. */
  readonly azp: string;
  /** The user's epoch when it was issued. */
  readonly epo: number;
}

/** What a backend asks for. */
export interface Asked {
  readonly owner: Owner;
  readonly sessionId: string;
  readonly firstFactorTime: Date;
  /** Empty for none. */
  readonly assertion: string;
  readonly lifetimeMs: number;
}

/** `typ` of a user token, which no other token has (RFC 8725 §3.11). */
export const TYPE = "mfa-user+jwt";
/** `aud` of a user token: MfaService of this service. */
export const AUDIENCE = "mfa-user";
/** The longest that one is good. */
export const MAX_LIFETIME_MS = 15 * 60_000;
const SKEW_MS = 30_000;

const seconds = (time: Date) => Math.floor(time.getTime() / 1000);
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Issues the tokens of users whom a backend without an identity provider has logged in. */
export function createUserTokens({ assertions, keys, issuer, settingsOf }: UserTokenOptions) {
  /** What an assertion says that the user proved; throws ASSERTION_REJECTED. */
  async function readProof(call: Call, { owner, sessionId, assertion }: Asked): Promise<Stated | undefined> {
    if (assertion === "") return undefined;
    const stated = await assertions.read(assertion, call.caller.subject, { ...owner, sessionId, acr: "aal1" });
    const settings = await settingsOf(owner.tenantId);
    if (!kindsOf(stated.amr).every((type) => factorOf(type).isOn(settings))) throw new Refusal("ASSERTION_REJECTED");
    return stated;
  }

  /** The level that a token has by what was proved. A code that is used up counts for one RPC at a time. */
  const levelBy = (proof: Stated | undefined) =>
    proof?.acr === "aal2" && !isUsedUp(proof.amr)
      ? { acr: "aal2" as const, amr: proof.amr, auth_time: proof.auth_time }
      : undefined;

  return {
    /** Issues a token and consumes the assertion that it rests on. Returns or throws the refusal. */
    async issue(call: Call, asked: Asked) {
      const { owner, sessionId, firstFactorTime, lifetimeMs } = asked;
      const { now, caller } = call;
      if (firstFactorTime.getTime() > now.getTime() + SKEW_MS) {
        return new Refusal("INVALID_FIELD", { metadata: { field: "first_factor_time" } });
      }
      const proof = await readProof(call, asked);
      const { keyId: kid, algorithm: alg, sign } = await keys.signer();
      const firstFactor = new Date(Math.min(firstFactorTime.getTime(), now.getTime()));
      const level = levelBy(proof) ?? { acr: "aal1" as const, auth_time: seconds(firstFactor) };
      const iat = seconds(now);
      const expireTime = new Date((iat + lifetimeMs / 1000) * 1000);
      return call.unit(async (tx) => {
        if (proof) {
          await userRepository(tx).serialise(owner, now);
          const standing = await assertions.standingOf(tx, owner, proof, now);
          if (standing === "consumed") await assertions.noteReplay(tx, call, owner, proof);
          if (standing !== "open") return new Refusal("ASSERTION_REJECTED");
          await assertions.consume(tx, owner, proof, now);
        }
        const claims: UserTokenClaims = {
          ...{ iss: issuer, aud: AUDIENCE, sub: owner.userId, tid: owner.tenantId },
          ...(sessionId !== "" && { sid: sessionId }),
          ...level,
          ...{ iat, exp: seconds(expireTime), jti: bearerId(), azp: caller.subject },
          epo: await userRepository(tx).epoch(owner),
        };
        const after = { acr: claims.acr, expireTime: expireTime.toISOString() };
        await recordEvent(tx, call, { owner, type: "USER_TOKEN_ISSUED" });
        await recordAudit(tx, call, { owner, action: "user_token.issued", targetId: claims.jti, after });
        const input = `${encode({ alg, typ: TYPE, kid })}.${encode(claims)}`;
        return { token: `${input}.${sign(input).toString("base64url")}`, acr: claims.acr, expireTime };
      });
    },
  };
}

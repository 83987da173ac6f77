import type { JWTVerifyGetKey } from "jose";
import { Principal } from "../../../../gen/mfa/v1/options_pb.js";
import { type TokenRules, tokenRules } from "./token-rules.ts";

/** An issuer whose tokens are accepted: fixed by configuration, never by the token. */
export interface Issuer {
  /** The exact `iss`. */
  readonly issuer: string;
  /** Its keys. Fails with IssuerUnavailable when they cannot be had. */
  readonly keys: JWTVerifyGetKey;
  /** What its tokens look like; RFC 9068 unless given. */
  readonly rules?: TokenRules | undefined;
  /** The audiences it may issue for; all of ours unless narrowed, so that a log-in server cannot mint backends. */
  readonly audiences?: readonly string[] | undefined;
  /** The tenant of all its tokens. */
  readonly tenantId?: string | undefined;
  /** Whether it speaks for the installation: scopes that reach beyond a tenant count in its tokens alone. */
  readonly operator?: boolean | undefined;
}

/** An issuer with its rules, as the checks ask it. */
export interface RuledIssuer extends Omit<Issuer, "audiences"> {
  readonly rules: TokenRules;
  /** The principals that it may issue for; undefined for all. */
  readonly principals: ReadonlySet<Principal> | undefined;
}

const principalsOf: ReadonlyMap<string, Principal> = new Map([
  ["mfa", Principal.USER],
  ["mfa-admin", Principal.ADMIN],
  ["mfa-internal", Principal.SERVICE],
]);

const rfc9068 = tokenRules();

/** Completes an issuer. */
export function ruled({ audiences, rules = rfc9068, ...issuer }: Issuer): RuledIssuer {
  const principals = audiences?.flatMap((audience) => principalsOf.get(audience) ?? []);
  return { ...issuer, rules, principals: principals && new Set(principals) };
}

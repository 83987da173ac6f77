import { SKEW_MS } from "../authorization.ts";
import { audiencesOf, hasWanted, kindName, textAt, valueAt } from "./claims.ts";
import {
  OF_ID_TOKEN,
  ofAlgorithm,
  ofAudience,
  ofExpiry,
  ofIdTokenClaim,
  ofRefreshToken,
  ofSubject,
  quoted,
} from "./hints.ts";
import type { RuledIssuer } from "./issuer.ts";
import type { ParsedToken } from "./parsed-token.ts";
import { type Check, excerpt, type Failure } from "./rejected.ts";
import type { Names } from "./token-rules.ts";
import { TOKEN_TYPES } from "./token-settings.ts";

/** What a check looks at. */
export interface Checked extends ParsedToken {
  readonly issuer: RuledIssuer;
  readonly now: Date;
}

/** Says what is wrong, or nothing. Pure, so that a refused call and the explanation of one are the same code. */
type Judge = (checked: Checked) => Omit<Failure, "check"> | undefined;

const algorithm: Judge = ({ header: { alg }, claims, issuer: { rules } }) =>
  rules.algorithms.some((one) => one === alg)
    ? undefined
    : {
        text: `algorithm ${excerpt(alg)} not allowed for this issuer`,
        setting: ofRefreshToken(claims) ?? ofAlgorithm(alg, rules.algorithms),
      };

/** The media type without what may be left out (RFC 7515 §4.1.9), in one case. */
function typeOf(typ: unknown): string {
  if (typ === undefined) return "absent";
  const name = String(typ)
    .toLowerCase()
    .replace(/^application\//, "");
  return name === "jwt" ? "JWT" : name === "absent" ? "" : name;
}

const SOMETHING_ELSE = "a token of this type is no access token; the client has to send the access token";

const typ: Judge = ({ header, issuer: { rules } }) => {
  const type = typeOf(header.typ);
  if (typeof (header.typ ?? "") === "string" && rules.typ.some((one) => one === type)) return undefined;
  const is = header.typ === undefined ? "no typ" : `typ ${excerpt(header.typ)}`;
  const known = TOKEN_TYPES.find((one) => one === type);
  return {
    text: `${is}, expected ${rules.typ.map((one) => (one === "absent" ? "none" : one)).join(" or ")}`,
    setting: known ? `"typ": [${quoted([...rules.typ, known])}]` : `none: ${SOMETHING_ELSE}`,
  };
};

const crit: Judge = ({ header }) =>
  header.crit === undefined ? undefined : { text: "a critical header (crit): none is understood" };

const seconds = (now: Date) => now.getTime() / 1000;
const SKEW_S = SKEW_MS / 1000;

/** A number of seconds since 1970; undefined for anything else, numbers without end among them. */
const timeAt = (claims: ParsedToken["claims"], name: string): number | undefined => {
  const value = valueAt(claims, [name]);
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
};

/** A span for people: the largest unit that fits. */
function span(s: number): string {
  const [size, unit] = s >= 172_800 ? [86_400, "d"] : s >= 7200 ? [3600, "h"] : s >= 120 ? [60, "min"] : [1, "s"];
  return `${Math.round(s / size)} ${unit}`;
}

const expiry: Judge = ({ claims, now }) => {
  const exp = timeAt(claims, "exp");
  if (exp === undefined) return { text: "no time of expiry (exp)" };
  const past = seconds(now) - exp;
  return past >= SKEW_S ? { text: `expired ${span(past)} ago`, setting: ofExpiry(past, now) } : undefined;
};

const start: Judge = ({ claims, now }) => {
  for (const name of ["nbf", "iat"]) {
    if (claims[name] !== undefined && timeAt(claims, name) === undefined) return { text: `${name} is no number` };
  }
  const ahead = (timeAt(claims, "nbf") ?? 0) - seconds(now);
  return ahead > SKEW_S
    ? { text: `not yet valid: is this machine's clock right? It begins in ${span(ahead)}` }
    : undefined;
};

const lifetime: Judge = ({ claims, now, issuer: { rules } }) => {
  const life = (timeAt(claims, "exp") ?? 0) - Math.min(timeAt(claims, "iat") ?? Number.POSITIVE_INFINITY, seconds(now));
  return life > rules.maxLifetimeS
    ? {
        text: `lifetime ${span(life)} over ${span(rules.maxLifetimeS)}`,
        setting: `"maxLifetime": ${Math.ceil(life)}, in seconds; better, a shorter one at the issuer`,
      }
    : undefined;
};

/** Claims that only ID tokens and other statements about a log-in have, never access tokens. */
const ID_TOKEN_CLAIMS = ["nonce", "at_hash", "c_hash", "s_hash", "events"];

const idToken: Judge = ({ claims, issuer: { rules } }) => {
  const client = audiencesOf(claims, rules)?.find((audience) => rules.clientIds.has(audience));
  if (client !== undefined)
    return { text: `an ID token: its audience ${excerpt(client)} is a client`, setting: OF_ID_TOKEN };
  if (!rules.isRelaxed) return undefined;
  const found = [...ID_TOKEN_CLAIMS, ...rules.idTokenClaims].find((name) => Object.hasOwn(claims, name));
  if (found !== undefined) return { text: `an ID token: it has ${found}`, setting: ofIdTokenClaim(found) };
  const isNamed = claims.typ === "ID" || claims.token_use === "id";
  return isNamed ? { text: "an ID token: it says so itself", setting: OF_ID_TOKEN } : undefined;
};

/** A token that only the holder of a key may use (RFC 7800) is worth nothing without the proof, which is not looked at. */
const bound: Judge = ({ claims }) => {
  if (!Object.hasOwn(claims, "cnf")) return undefined;
  const { cnf } = claims;
  const by = typeof cnf === "object" && cnf !== null ? Object.keys(cnf).join(", ") : "";
  return {
    text: `bound to a key of its client (cnf${by && `: ${excerpt(by)}`}), whose proof is not verified here`,
    setting: "none: have the issuer give this client a bearer token, without DPoP or mutual TLS",
  };
};

const nameOf = (path: Names) => path.join(".");

const requiredClaims: Judge = ({ claims, issuer: { rules } }) => {
  const lacking = rules.require.find((wanted) => !hasWanted(claims, wanted));
  if (!lacking) return undefined;
  const { path, values } = lacking;
  return {
    text: `claim ${nameOf(path)} is ${excerpt(valueAt(claims, path))}, expected ${[...values].join(" or ")}`,
    setting: ofRefreshToken(claims) ?? `"require": {"${nameOf(path)}": […]}`,
  };
};

const NUMBERS = ["none", "one", "two", "three", "four", "five"];

const audience: Judge = ({ claims, issuer: { rules, principals } }) => {
  const { audienceClaim, audience: map, severalAudiences } = rules;
  const named = audiencesOf(claims, rules);
  const label = audienceClaim === "aud" ? "audience" : `audience (${audienceClaim})`;
  if (audienceClaim !== "aud" && Object.hasOwn(claims, "aud")) {
    return { text: `audience ${excerpt(claims.aud)}: none expected, as ${audienceClaim} stands for it` };
  }
  if (named === undefined || named.length === 0) return { text: `no ${label}`, setting: '"audienceClaim"' };
  const mend = ofAudience(map.keys(), excerpt(named.find((one) => !map.has(one)) ?? named[0]));
  if (!severalAudiences && named.length > 1) {
    const count = NUMBERS[named.length] ?? String(named.length);
    const known = named.find((one) => map.has(one));
    const setting = known === undefined ? mend : `"audience": {"${known}": "${kindName(map.get(known) ?? 0)}"}`;
    return { text: `${label} ${excerpt(named)}: ${count}, one expected`, setting };
  }
  const mapped = named.filter((one) => map.has(one));
  const text = `${label} ${excerpt(named)}`;
  const [only] = mapped;
  if (only === undefined) return { text: `${text}: none of ${quoted(map.keys())}`, setting: mend };
  if (mapped.length > 1) return { text: `${text}: ${mapped.length} that stand for something, one expected` };
  return principals?.has(map.get(only) ?? 0) === false
    ? { text: `${text}: this issuer may not issue for it`, setting: '"audiences"' }
    : undefined;
};

const MAX_NAME_BYTES = 255;

/** Kept byte by byte, so it must have one form in every encoding: no lone surrogates, and no NUL for PostgreSQL's sake. */
const isName = (name: string): boolean =>
  Buffer.byteLength(name) <= MAX_NAME_BYTES && name.isWellFormed() && !name.includes("\0");

const named = (value: string | undefined, claim: string, setting: string) => {
  if (value === undefined) return { text: `no ${claim}`, setting };
  return isName(value) ? undefined : { text: `${claim} is no name: over 255 bytes, or no text in UTF-8` };
};

const subject: Judge = ({ claims, issuer: { rules } }) => {
  const { subject: path } = rules.claims;
  return named(textAt(claims, path), `subject (${nameOf(path)})`, ofSubject(claims));
};

const tenant: Judge = ({ claims, issuer: { rules, tenantId } }) => {
  if (tenantId !== undefined) return undefined;
  const path = rules.claims.tenant ?? [];
  return named(textAt(claims, path), `tenant (${nameOf(path)})`, '"tenant": "main", or "claims": {"tenant": "…"}');
};

const entry = (check: Check, judge: Judge) => ({ check, judge });

/** What is looked at before the signature: it costs nothing, and decides by which key it is verified. */
export const headerChecks = [entry("algorithm", algorithm), entry("typ", typ), entry("crit", crit)];

/** What a genuine token has to say. */
export const claimChecks = [
  ...[entry("expiry", expiry), entry("start", start), entry("lifetime", lifetime), entry("id-token", idToken)],
  ...[entry("bound", bound), entry("required-claims", requiredClaims), entry("audience", audience)],
  ...[entry("subject", subject), entry("tenant", tenant)],
];

/** The first of some checks that fails. */
export function firstFailure(checks: typeof claimChecks, checked: Checked): Failure | undefined {
  for (const { check, judge } of checks) {
    const failure = judge(checked);
    if (failure) return { check, ...failure };
  }
  return undefined;
}

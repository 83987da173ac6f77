import * as v from "valibot";
import { TOKEN_ALGORITHMS } from "../rpc/access/tokens/algorithms.ts";
import { PRESETS } from "../rpc/access/tokens/presets.ts";
import { namesOf, tokenRuleFaults } from "../rpc/access/tokens/token-rules.ts";
import { KINDS, TIME_FORMS, TOKEN_TYPES, type TokenSettings } from "../rpc/access/tokens/token-settings.ts";
import { claim, filePath, httpsUrl, name } from "./values.ts";

/** What every object of JavaScript has: no token has a claim of that name. */
const OF_OBJECTS = new Set(["__proto__", "constructor", "prototype"]);

const text = v.pipe(
  v.string(),
  v.regex(/^[^\p{C}]{1,255}$/u, "a name of 1 to 255 characters, without control characters"),
);

/** A claim: "sub", "realm_access.roles", "https://example.com/roles", or names in a list. */
const path = v.pipe(
  v.union([text, v.pipe(v.array(text), v.minLength(1), v.maxLength(8))], "the name of a claim, or a list of names"),
  v.check(
    (value) => namesOf(value).every((part) => part !== "" && !OF_OBJECTS.has(part)),
    "no path to a claim: an empty name, or one that every object has",
  ),
);

const scope = v.pipe(v.string(), v.regex(/^\S{1,255}$/, "a scope is a text without spaces"));

/**
 * An object whose names are the operator's, each of them a claim or a value of one. "__proto__" is refused by hand, as
 * valibot leaves it out without a word.
 */
const named = <Value extends v.GenericSchema>(value: Value) =>
  v.pipe(
    v.custom<object>(
      (given) => typeof given === "object" && given !== null && !Object.keys(given).some((key) => OF_OBJECTS.has(key)),
      "an object whose names are no names that every object has",
    ),
    v.record(text, value),
    v.check((entries) => Object.keys(entries).length > 0, "an empty object: leave it out"),
  );

const claims = v.strictObject({
  tenant: v.optional(path),
  subject: v.optional(path),
  session: v.optional(path),
  scopes: v.optional(v.pipe(v.array(path), v.maxLength(8))),
  scopePrefix: v.optional(text),
  roles: v.optional(named(named(v.array(scope)))),
  aal2: v.optional(named(v.pipe(v.array(text), v.minLength(1)))),
  authTime: v.optional(v.strictObject({ claim: v.optional(path), as: v.optional(v.picklist(TIME_FORMS)) })),
});

const LONGEST_S = 366 * 24 * 60 * 60;

/** How the access tokens of an issuer differ from RFC 9068; the words are explained in rpc/access/tokens. */
const tokens = {
  /** What all the rest defaults to, for a known identity provider. */
  preset: v.optional(v.picklist(PRESETS)),
  algorithms: v.optional(
    v.pipe(
      v.array(v.picklist(TOKEN_ALGORITHMS, `one of ${TOKEN_ALGORITHMS.join(", ")}; HMAC and "none" are never taken`)),
      v.minLength(1),
    ),
  ),
  typ: v.optional(
    v.union(
      [v.picklist(TOKEN_TYPES), v.pipe(v.array(v.picklist(TOKEN_TYPES)), v.minLength(1))],
      '"at+jwt", "JWT", "absent", or a list of them',
    ),
  ),
  audience: v.optional(named(v.picklist(KINDS))),
  audienceClaim: v.optional(text),
  clientIds: v.optional(v.array(text)),
  idTokenClaims: v.optional(v.array(text)),
  require: v.optional(named(v.pipe(v.array(text), v.minLength(1)))),
  claims: v.optional(claims),
  /** Seconds. */
  maxLifetime: v.optional(v.pipe(v.number(), v.integer(), v.minValue(60), v.maxValue(LONGEST_S))),
} satisfies { [Setting in keyof TokenSettings]: v.GenericSchema<unknown, TokenSettings[Setting]> } & { preset: object };

/** An entry of the list of issuers. */
export const issuer = v.strictObject({
  /** The exact `iss`. */
  issuer: name,
  /** Its keys: a JWKS as a file, by url (https, or http on loopback), or by its metadata. One of the three. */
  jwksFile: v.optional(filePath),
  jwksUrl: v.optional(httpsUrl),
  /** Whether the keys are found by OpenID Connect Discovery or RFC 8414, below the issuer's own name. */
  discovery: v.optional(v.boolean()),
  /** The audiences it may issue for, without an `audience` of its own. Default all three. */
  audiences: v.optional(v.array(v.picklist(["mfa", "mfa-admin", "mfa-internal"]))),
  /** The tenant of its tokens, for an issuer whose tokens carry no `tid`. */
  tenant: v.optional(claim),
  /**
   * Whether its tokens may steer what is every tenant's: scheduled tasks. Default: one without a tenant of its own may,
   * as it speaks for all of them, and one that is alone.
   */
  operator: v.optional(v.boolean()),
  ...tokens,
});

/** An issuer as it is configured. */
export type IssuerSettings = v.InferOutput<typeof issuer>;

const isUrl = (text: string) => v.is(httpsUrl, text);

/** What contradicts itself or is missing in the entry of an issuer, one line each. */
export function issuerFaults(settings: IssuerSettings): string[] {
  const { issuer, jwksFile, jwksUrl, discovery, audiences, audience } = settings;
  const sources = [jwksFile, jwksUrl, discovery].filter(Boolean);
  const faults = tokenRuleFaults(settings, settings.preset);
  if (sources.length !== 1) faults.unshift('give either "jwksFile" or "jwksUrl" or "discovery": true');
  if (discovery && !isUrl(issuer)) faults.push('"discovery" needs an issuer that is an https url');
  if (audiences && audience) faults.push('"audience" says already what it may issue for: drop "audiences"');
  return faults.map((fault) => `issuer ${issuer}: ${fault}`);
}

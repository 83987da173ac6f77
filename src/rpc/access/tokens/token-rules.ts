import { Principal } from "../../../../gen/mfa/v1/options_pb.js";
import { DEFAULT_ALGORITHMS, type TokenAlgorithm } from "./algorithms.ts";
import { type Preset, presetOf } from "./presets.ts";
import type { ClaimPath, Kind, TimeForm, TokenSettings, TokenType } from "./token-settings.ts";

/** The names that lead to a claim, from the outside in. */
export type Names = readonly string[];

/** A claim, and the values of it that count. */
export interface Wanted {
  readonly path: Names;
  readonly values: ReadonlySet<string>;
}

/** What the access tokens of an issuer are: the settings, complete, as the checks ask them. */
export interface TokenRules {
  readonly algorithms: readonly TokenAlgorithm[];
  readonly typ: readonly TokenType[];
  /** Whether ID tokens could pass by their type, so that they must be told by their claims. */
  readonly isRelaxed: boolean;
  readonly audience: ReadonlyMap<string, Principal>;
  readonly audienceClaim: string;
  /** Whether a token may be for others as well. */
  readonly severalAudiences: boolean;
  readonly clientIds: ReadonlySet<string>;
  readonly idTokenClaims: readonly string[];
  readonly require: readonly Wanted[];
  readonly claims: {
    readonly tenant: Names | undefined;
    readonly subject: Names;
    readonly session: Names;
    readonly scopes: readonly Names[];
    readonly scopePrefix: string;
    readonly roles: readonly { readonly path: Names; readonly scopes: ReadonlyMap<string, readonly string[]> }[];
    readonly aal2: readonly Wanted[];
    readonly authTime: { readonly path: Names; readonly as: TimeForm };
  };
  readonly maxLifetimeS: number;
}

const DAY_S = 24 * 60 * 60;

const principals: Readonly<Record<Kind, Principal>> = {
  user: Principal.USER,
  admin: Principal.ADMIN,
  service: Principal.SERVICE,
};

/** The audiences of RFC 9068 tokens, by the kind of their principal. */
const AUDIENCES: Readonly<Record<string, Kind>> = { mfa: "user", "mfa-admin": "admin", "mfa-internal": "service" };

/** The names of a path. */
export const namesOf = (path: ClaimPath): Names =>
  typeof path !== "string" ? path : /^https?:\/\//.test(path) ? [path] : path.split(".");

const wantedOf = (values: Readonly<Record<string, readonly string[]>> = {}): Wanted[] =>
  Object.entries(values).map(([claim, wanted]) => ({ path: namesOf(claim), values: new Set(wanted) }));

/** Whether tokens that are not typed as access tokens are taken. */
const isRelaxed = (typ: readonly TokenType[]): boolean => typ.some((one) => one !== "at+jwt");

/** The settings of an issuer over those of its preset. Claims are taken one by one, all else as a whole. */
function overPreset(own: TokenSettings, preset: Preset | undefined): TokenSettings {
  const given = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined));
  const under = presetOf(preset);
  return { ...under, ...given, claims: { ...under?.claims, ...own.claims } };
}

function claimRules(claims: NonNullable<TokenSettings["claims"]>, isStrict: boolean): TokenRules["claims"] {
  const { tenant = isStrict ? "tid" : undefined, scopes = ["scope"], authTime = {} } = claims;
  return {
    tenant: tenant === undefined ? undefined : namesOf(tenant),
    subject: namesOf(claims.subject ?? "sub"),
    session: namesOf(claims.session ?? "sid"),
    scopes: scopes.map(namesOf),
    scopePrefix: claims.scopePrefix ?? "",
    roles: Object.entries(claims.roles ?? {}).map(([claim, map]) => ({
      path: namesOf(claim),
      scopes: new Map(Object.entries(map)),
    })),
    aal2: wantedOf(claims.aal2 ?? { acr: ["aal2"] }),
    authTime: { path: namesOf(authTime.claim ?? "auth_time"), as: authTime.as ?? "number" },
  };
}

/** What an issuer's settings and its preset make of its tokens: RFC 9068 where they say nothing. */
export function tokenRules(own: TokenSettings = {}, preset?: Preset): TokenRules {
  const settings = overPreset(own, preset);
  const typ = [settings.typ ?? "at+jwt"].flat() as readonly TokenType[]; // of a text or a list of texts, each of them
  const { audience, audienceClaim = "aud" } = settings;
  const byClient = audienceClaim !== "aud";
  return {
    algorithms: settings.algorithms ?? DEFAULT_ALGORITHMS,
    typ,
    isRelaxed: isRelaxed(typ),
    audience: new Map(
      Object.entries(audience ?? (byClient ? {} : AUDIENCES)).map(([value, kind]) => [value, principals[kind]]),
    ),
    audienceClaim,
    severalAudiences: audience !== undefined,
    clientIds: new Set(settings.clientIds),
    idTokenClaims: settings.idTokenClaims ?? [],
    require: wantedOf(settings.require),
    claims: claimRules(settings.claims ?? {}, preset === undefined && !isRelaxed(typ)),
    maxLifetimeS: settings.maxLifetime ?? DAY_S,
  };
}

/** What contradicts itself or is missing in an issuer's settings, one line each. */
export function tokenRuleFaults(
  own: TokenSettings & { readonly tenant?: string | undefined },
  preset?: Preset,
): string[] {
  const { audience, audienceClaim, clientIds, claims } = tokenRules(own, preset);
  const given = own.audience ?? presetOf(preset)?.audience;
  const faults: string[] = [];
  if (own.tenant === undefined && claims.tenant === undefined) {
    faults.push('whose are its tokens? Give "tenant": "main", or the claim that says so: "claims": {"tenant": "…"}');
  }
  if (given === undefined && (preset !== undefined || audienceClaim !== "aud")) {
    const what = audienceClaim === "aud" ? "the application's id" : `the ${audienceClaim} of the application`;
    faults.push(`"audience" is missing: {"<${what}>": "user"}, and "admin" or "service" for others`);
  }
  for (const id of clientIds) {
    if (audience.has(id)) faults.push(`"${id}" is in "clientIds", whose tokens are refused, and in "audience"`);
  }
  return faults;
}

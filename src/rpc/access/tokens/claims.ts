import { Principal } from "../../../../gen/mfa/v1/options_pb.js";
import type { ParsedToken } from "./parsed-token.ts";
import type { Names, TokenRules, Wanted } from "./token-rules.ts";
import type { TimeForm } from "./token-settings.ts";

type Claims = ParsedToken["claims"];

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The value at a path, by members of the token itself only: never by what every object or list has. */
export function valueAt(claims: Claims, path: Names): unknown {
  let value: unknown = claims;
  for (const name of path) {
    if (!isObject(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** A text that is not empty. */
export const textAt = (claims: Claims, path: Names): string | undefined => {
  const value = valueAt(claims, path);
  return typeof value === "string" && value !== "" ? value : undefined;
};

/** The texts of a list; undefined for what is no list, or has something else in it. */
export const textsOf = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;

/** Whether a claim is one of the wanted values, or is a list that has one of them. */
export function hasWanted(claims: Claims, { path, values }: Wanted): boolean {
  const value = valueAt(claims, path);
  return (typeof value === "string" ? [value] : (textsOf(value) ?? [])).some((one) => values.has(one));
}

/** Roles as a list, as one text, or as the names of an object's members. */
function rolesAt(claims: Claims, path: Names): readonly string[] {
  const value = valueAt(claims, path);
  if (typeof value === "string") return [value];
  return isObject(value) ? Object.keys(value) : (textsOf(value) ?? []);
}

/** A text is split at its spaces (RFC 6749 §3.3); an entry of a list is one scope, whatever is in it. */
function scopesAt(claims: Claims, path: Names): readonly string[] {
  const value = valueAt(claims, path);
  return typeof value === "string" ? value.split(" ") : (textsOf(value) ?? []);
}

/** Returns a token's scopes, without their prefix, and those that its roles are mapped to. */
export function scopesOf(claims: Claims, { claims: { scopes, scopePrefix, roles } }: TokenRules): string[] {
  const named = scopes
    .flatMap((path) => scopesAt(claims, path))
    .flatMap((scope) => (scope.startsWith(scopePrefix) ? [scope.slice(scopePrefix.length)] : []));
  const granted = roles.flatMap(({ path, scopes }) => rolesAt(claims, path).flatMap((role) => scopes.get(role) ?? []));
  return [...named, ...granted].filter((scope) => scope !== "");
}

const MAX_TIME_MS = 8.64e15;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

const forms: Readonly<Record<TimeForm, (value: unknown) => number>> = {
  number: (value) => (typeof value === "number" ? value * 1000 : Number.NaN),
  milliseconds: (value) => (typeof value === "number" ? value : Number.NaN),
  text: (value) => {
    if (typeof value !== "string") return Number.NaN;
    return /^\d{1,11}$/.test(value) ? Number(value) * 1000 : RFC_3339.test(value) ? Date.parse(value) : Number.NaN;
  },
};

/** Returns when the subject authenticated; undefined unless stated in the configured form. */
export function authTimeOf(claims: Claims, { claims: { authTime } }: TokenRules): Date | undefined {
  const ms = forms[authTime.as](valueAt(claims, authTime.path));
  return Math.abs(ms) <= MAX_TIME_MS ? new Date(ms) : undefined;
}

/** The level that a token states. */
export const acrOf = (claims: Claims, rules: TokenRules): "aal1" | "aal2" =>
  rules.claims.aal2.some((wanted) => hasWanted(claims, wanted)) ? "aal2" : "aal1";

/** Every audience that a token names; undefined where it names none in a form there is. */
export function audiencesOf(claims: Claims, { audienceClaim }: TokenRules): readonly string[] | undefined {
  const value = Object.hasOwn(claims, audienceClaim) ? claims[audienceClaim] : undefined;
  return typeof value === "string" ? [value] : textsOf(value);
}

/** What a kind of principal is called in settings. */
export const kindName = (principal: Principal): string =>
  principal === Principal.USER ? "user" : principal === Principal.ADMIN ? "admin" : "service";

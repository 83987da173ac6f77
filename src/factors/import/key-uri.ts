import { cutText } from "../../core/text.ts";
import { held, type Read, unread } from "./read.ts";
import { readSecret } from "./secret.ts";

/** Parameters of key URIs: what of an app they say is understood, or nothing that its codes depend on. */
const UNDERSTOOD: readonly string[] = ["secret", "issuer", "algorithm", "digits", "period"];
/**
 * Parts of names of what codes depend on, which are not the standard's names of it: an app that passes over such a
 * parameter shows other codes than one that does not. Among them is "amp;digits", of a URI that was copied out of HTML.
 */
const TELLING = /alg|hash|digit|len|period|interval|step|time|epoch|^t0$|offset|drift|encod|secret|seed|key|^pin$/;

/** The most characters of a parameter's name that an error repeats. */
const LONGEST_FIELD = 40;

/** The parameters of a query by their names in lower case, as some codes in print have upper case alone. */
function parametersOf({ searchParams }: URL): Map<string, string> | string {
  const found = new Map<string, string>();
  for (const [name, value] of searchParams) {
    const key = name.toLowerCase();
    if (found.has(key)) return key;
    found.set(key, value);
  }
  return found;
}

/** The issuer of a label, "Shop:ann" or "Shop%3Aann"; empty where it has none. */
function issuerOf(path: string): string {
  try {
    const label = decodeURIComponent(path.replace(/^\//, ""));
    return label.includes(":") ? label.slice(0, label.indexOf(":")).trim() : "";
  } catch {
    return "\ufffd";
  }
}

/** Reads a key URI as authenticator apps do, but guesses nothing that codes depend on. */
export function readKeyUri(userId: string, text: string, line: number): Read {
  const no = (field: string, reason: string) => unread(line, field, reason, userId);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== "otpauth:") return no("uri", "not a key URI");
  // What follows it would be passed over: perhaps the number of digits.
  if (url.hash !== "") return no("uri", "has a # that is not written as %23");
  const given = parametersOf(url);
  if (typeof given === "string") return no(cutText(given, LONGEST_FIELD), "is there twice");
  const of = (name: string) => given.get(name) ?? "";
  const odd = [...given.keys()].find((name) => !UNDERSTOOD.includes(name) && TELLING.test(name) && of(name) !== "");
  const issuer = of("issuer") || issuerOf(url.pathname);
  if (url.host.toLowerCase() === "steam" || of("encoder").toLowerCase() === "steam" || issuer.toLowerCase() === "steam")
    return no("type", "not a TOTP: Steam shows letters");
  if (odd) return no(cutText(odd, LONGEST_FIELD), "is a parameter that is not understood");
  return held({
    ...{ line, userId, type: url.host, displayName: issuer },
    // A key URI has base32 only, also where that looks like hexadecimal.
    secret: readSecret(of("secret"), "base32"),
    ...{ algorithm: of("algorithm"), digits: of("digits"), period: of("period") },
  });
}

/** A JSON text that says two things at once, or says nothing that is an object. */
export class AmbiguousJson extends Error {
  override readonly name = "AmbiguousJson";
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]/gs;

/**
 * Throws where an object of a valid JSON text names a member twice: parsers differ in which one counts, so what one of
 * them verified is not what another reads (RFC 8725 §2.6, RFC 7519 §4).
 */
function requireUniqueNames(json: string): void {
  const open: (Set<string> | undefined)[] = [];
  let last = "";
  for (const [token] of json.matchAll(TOKENS)) {
    if (token === "{" || token === "[") open.push(token === "{" ? new Set() : undefined);
    else if (token === "}" || token === "]") open.pop();
    else if (token === ":") {
      const name: string = JSON.parse(last);
      const names = open.at(-1);
      if (names?.has(name)) throw new AmbiguousJson("a member is there twice");
      names?.add(name);
    }
    last = token;
  }
}

/** Reads a JSON object whose members are there once each; throws for any other text. */
export function parseObject(json: string): Readonly<Record<string, unknown>> {
  const value: unknown = JSON.parse(json);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new AmbiguousJson("no object");
  requireUniqueNames(json);
  return value as Readonly<Record<string, unknown>>; // an object, by the lines above
}

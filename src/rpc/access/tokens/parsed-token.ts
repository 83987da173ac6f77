import type { Failure } from "./rejected.ts";
import { AmbiguousJson, parseObject } from "./strict-json.ts";

/** A JWT in its parts, of which nothing is verified. */
export interface ParsedToken {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const FORM = /^([\w-]+)\.([\w-]+)\.([\w-]*)$/;
const failed = (text: string): Failure => ({ check: "format", text });

/** What a token without the form of a signed JWT may be instead. */
function strangeForm(token: string): Failure {
  const parts = token.split(".").length;
  if (parts === 5) return failed("an encrypted token (JWE): the issuer has to sign only");
  return failed(parts === 1 ? "no JWT but an opaque token: the issuer has to issue JWTs" : "no signed JWT");
}

/** The parts of a token; why not, where it has none that can be read in one way only. */
export function parseToken(token: string): ParsedToken | Failure {
  const [, header = "", claims = ""] = FORM.exec(token) ?? [];
  if (header === "") return strangeForm(token);
  const read = (part: string) => parseObject(utf8.decode(Buffer.from(part, "base64url")));
  try {
    return { header: read(header), claims: read(claims) };
  } catch (error) {
    return failed(error instanceof AmbiguousJson ? `not one JSON object: ${error.message}` : "no JSON in its parts");
  }
}

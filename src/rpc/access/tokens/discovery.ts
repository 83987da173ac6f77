import { SAFE_URL } from "../../../core/safe-url.ts";

/** Where an issuer's metadata may stand: OpenID Connect Discovery §4, then RFC 8414 §3. */
export function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname === "/" ? "" : pathname;
  return [
    `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path.replace(/\/$/, "")}`,
  ];
}

/** Fetches JSON; throws, saying what came instead. */
export type FetchJson = (url: string) => Promise<unknown>;

function jwksUriOf(metadata: unknown, issuer: string): string {
  const { issuer: stated, jwks_uri: url } = (metadata ?? {}) as { issuer?: unknown; jwks_uri?: unknown };
  // Who answers for another issuer is misconfigured, or answers with the keys of somebody else (RFC 8414 §3.3).
  if (stated !== issuer) throw new Error(`the metadata is of the issuer ${JSON.stringify(stated)?.slice(0, 200)}`);
  if (typeof url !== "string" || !SAFE_URL.test(url)) throw new Error("the metadata has no jwks_uri over https");
  return url;
}

/** Finds where an issuer publishes its keys, by its metadata, which has to be of that very issuer. */
export async function discoverKeys(issuer: string, fetchJson: FetchJson): Promise<string> {
  const reasons: string[] = [];
  for (const url of metadataUrls(issuer)) {
    try {
      return jwksUriOf(await fetchJson(url), issuer);
    } catch (error) {
      reasons.push(`${url}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(reasons.join("; "));
}

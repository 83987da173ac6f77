import type { X509Certificate } from "node:crypto";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../core/caller.ts";

/** A backend known by a name in its certificate. */
export interface CertifiedBackend {
  /** The subject alternative name with its kind: "URI:spiffe://example/shop", "DNS:shop.internal". */
  readonly san: string;
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly string[];
}

/** Who a certificate says that a peer is, and until when. */
export interface CertificateIdentity {
  readonly caller: Caller;
  readonly expiresMs: number;
}

/** Finds out whose a verified certificate is; undefined when it is nobody's, or more than one's. */
export type Identify = (certificate: X509Certificate) => CertificateIdentity | undefined;

/**
 * Node quotes names with commas, quotes or control characters, and writes their commas as \u002c: no part of a name can
 * pass for another name. No configured name needs quotes, so that none that is quoted matches.
 */
const namesIn = ({ subjectAltName = "" }: X509Certificate) => new Set(subjectAltName.split(", "));

/** Names count exactly as they are written: no wildcards, no common name. */
export function createIdentify(backends: readonly CertifiedBackend[]): Identify {
  const known = backends.map(({ san, name, tenant, scopes }) => {
    const rights = { tenantId: tenant, scopes: new Set(scopes), acr: "aal1", authTime: undefined } as const;
    return { san, caller: { principal: Principal.SERVICE, subject: name, sessionId: "", ...rights } };
  });
  return (certificate) => {
    const names = namesIn(certificate);
    const [found, ...others] = known.filter(({ san }) => names.has(san));
    if (!found || others.length > 0) return undefined;
    return { caller: found.caller, expiresMs: certificate.validToDate.getTime() };
  };
}

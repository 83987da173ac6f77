import type { X509Certificate } from "node:crypto";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";

/** A backend known by a name in its certificate. */
export interface CertifiedBackend {
  /** The subject alternative name with its kind: "URI:spiffe://example/shop", "DNS:shop.internal". */
  readonly san: string;
  readonly name: string;
  readonly tenant: string;
  readonly scopes: readonly string[];
}

/** The identity in a certificate, and its expiry. */
export interface CertificateIdentity {
  readonly caller: Caller;
  readonly expiresMs: number;
}

/** Returns the identity of a verified certificate; undefined when it matches none or several. */
export type Identify = (certificate: X509Certificate) => CertificateIdentity | undefined;

/**
 * Node quotes names with commas, quotes or control characters and escapes their commas, so no part of a name can pass
 * for another name. Configured names need no quotes, so a quoted name never matches.
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

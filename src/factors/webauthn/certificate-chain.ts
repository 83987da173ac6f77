import { X509Certificate } from "node:crypto";

const isValid = (certificate: X509Certificate, now: Date): boolean =>
  certificate.validFromDate <= now && now <= certificate.validToDate;

const isSignedBy = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

/**
 * Whether a chain of certificates, leaf first, leads to an anchor, or is a single one that is an anchor itself. Looks at
 * nothing outside: the lists of revoked certificates are at urls that the chain names, and a stranger's chain must not
 * make this service fetch any. What is revoked is told by the metadata.
 */
export function leadsTo(anchors: readonly X509Certificate[], chain: readonly Uint8Array[], now: Date): boolean {
  const certificates = chain.map((der) => new X509Certificate(der));
  const [leaf, ...issuers] = certificates;
  if (!leaf || certificates.length > 6 || !certificates.every((certificate) => isValid(certificate, now))) return false;
  const isAnchor = (certificate: X509Certificate) => anchors.some((anchor) => anchor.raw.equals(certificate.raw));
  if (issuers.length === 0 && isAnchor(leaf)) return true;
  if (leaf.ca) return false;
  for (const [n, issuer] of issuers.entries()) {
    const subject = certificates[n];
    if (!subject || !issuer.ca || !isSignedBy(subject, issuer)) return false;
    if (isAnchor(issuer)) return true;
  }
  const last = certificates.at(-1) ?? leaf;
  return anchors.some((anchor) => isValid(anchor, now) && anchor.ca && isSignedBy(last, anchor));
}

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Config } from "../config/config.ts";

const DAY_MS = 86_400_000;
/** What is left of a certificate when it is told of. */
export const SOON_DAYS = 21;

/** How long the certificate of a listener is valid. */
export interface CertificateLook {
  readonly setting: string;
  /** Negative once it has expired. */
  readonly daysLeft: number;
  /** What is wrong with it and what to do; undefined while all is well. */
  readonly fault: string | undefined;
}

const renew = "put a new one and its key into the files; they are read again without a restart";

/** Says whether a certificate is good at an instant, and for long enough. */
export function judgeCertificate(setting: string, pem: Buffer, now: Date): CertificateLook {
  const { validFromDate, validToDate } = new X509Certificate(pem);
  const daysLeft = (validToDate.getTime() - now.getTime()) / DAY_MS;
  const day = validToDate.toISOString().slice(0, 10);
  const fault = () => {
    if (validFromDate > now)
      return `is not valid before ${validFromDate.toISOString()}: check the clock of this machine`;
    if (daysLeft < 0) return `has expired on ${day}, so clients refuse it: ${renew}`;
    return daysLeft < SOON_DAYS ? `expires in ${Math.floor(daysLeft)} days, on ${day}: ${renew}` : undefined;
  };
  const words = fault();
  return { setting, daysLeft, fault: words && `${setting}: the certificate ${words}` };
}

/** Looks at the certificates of all listeners with TLS of their own; throws where a file cannot be read. */
export function lookAtCertificates({ listeners }: Pick<Config, "listeners">, now: Date): Promise<CertificateLook[]> {
  const looks = listeners.map(async ({ tls }, n) =>
    tls ? [judgeCertificate(`listeners.${n}.tls.certFile`, await readFile(tls.certFile), now)] : [],
  );
  return Promise.all(looks).then((found) => found.flat());
}

/** Days left of each listener's certificate, by listener, as its file has it now; a file that cannot be read has none. */
export function certificateDays({ listeners }: Pick<Config, "listeners">, now: Date): Record<string, number> {
  const days = listeners.flatMap(({ kind, port, tls }, n) => {
    if (!tls) return [];
    try {
      return [
        [`${kind} ${port}`, judgeCertificate(`listeners.${n}`, readFileSync(tls.certFile), now).daysLeft] as const,
      ];
    } catch {
      return []; // told of by mfa_tls_unusable_total
    }
  });
  return Object.fromEntries(days);
}

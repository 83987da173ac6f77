import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { SettingsService } from "@simplewebauthn/server";
import { compactVerify, decodeProtectedHeader } from "jose";
import * as v from "valibot";
import { leadsTo } from "./certificate-chain.ts";

/** What the metadata says of a model. */
export interface Model {
  readonly anchors: readonly X509Certificate[];
  /** Whether keys of the model are known to be broken or are taken back. */
  readonly compromised: boolean;
}

/** Models by AAGUID. */
export interface Metadata {
  find(aaguid: string): Model | undefined;
  /** When its publisher means to replace it (FIDO MDS `nextUpdate`). */
  readonly nextUpdate: Date;
}

const SIGNER = "mds.fidoalliance.org";
const ALGORITHMS = ["RS256", "ES256", "PS256"];
const COMPROMISED = new Set([
  "USER_VERIFICATION_BYPASS",
  "ATTESTATION_KEY_COMPROMISE",
  "USER_KEY_REMOTE_COMPROMISE",
  "USER_KEY_PHYSICAL_COMPROMISE",
  "REVOKED",
]);

const header = v.object({ x5c: v.pipe(v.array(v.string()), v.minLength(1)) });
const payload = v.object({
  nextUpdate: v.pipe(v.string(), v.isoDate()),
  entries: v.array(
    v.object({
      aaguid: v.optional(v.string()),
      metadataStatement: v.optional(v.object({ attestationRootCertificates: v.array(v.string()) })),
      statusReports: v.optional(v.array(v.object({ status: v.string() })), []),
    }),
  ),
});

/** The roots of FIDO's own metadata, as the library ships them. */
const publishersRoots = () =>
  SettingsService.getRootCertificates({ identifier: "mds" }).map((pem) => new X509Certificate(pem));

/**
 * Reads a FIDO MDS3 blob: its signature, the chain of its signer, then its entries. `roots` are the PEM certificates of
 * another publisher, for whom any name of the signer will do. Throws for whatever is not as it should be.
 */
export async function readMetadata(blob: string, now: Date, roots?: readonly X509Certificate[]): Promise<Metadata> {
  const token = blob.trim();
  const chain = v.parse(header, decodeProtectedHeader(token)).x5c.map((der) => Buffer.from(der, "base64"));
  const leaf = new X509Certificate(chain[0] ?? Buffer.alloc(0));
  if (!leadsTo(roots ?? publishersRoots(), chain, now)) throw new Error("its signer's chain leads to no known root");
  if (!roots && leaf.checkHost(SIGNER) !== SIGNER) throw new Error(`its signer is not ${SIGNER}`);
  const verified = await compactVerify(token, leaf.publicKey, { algorithms: ALGORITHMS });
  const { entries, nextUpdate } = v.parse(payload, JSON.parse(new TextDecoder().decode(verified.payload)));
  const models = new Map<string, Model>();
  for (const { aaguid, metadataStatement, statusReports } of entries) {
    if (!aaguid || !metadataStatement) continue;
    models.set(aaguid, {
      anchors: metadataStatement.attestationRootCertificates.map(
        (der) => new X509Certificate(Buffer.from(der, "base64")),
      ),
      compromised: statusReports.some(({ status }) => COMPROMISED.has(status)),
    });
  }
  return { find: (aaguid) => models.get(aaguid), nextUpdate: new Date(`${nextUpdate}T00:00:00Z`) };
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** Reads the blob of a file, if there is one; throws with the file's name for one that cannot be used. */
export async function openMetadata(
  { metadataFile, metadataRootsFile }: { metadataFile?: string | undefined; metadataRootsFile?: string | undefined },
  now: Date,
): Promise<Metadata | undefined> {
  if (!metadataFile) return undefined;
  try {
    const pem = metadataRootsFile && (await readFile(metadataRootsFile, "utf8"));
    // A file without certificates is no roots at all, not FIDO's.
    const roots = pem ? (pem.match(CERTIFICATE) ?? []).map((text) => new X509Certificate(text)) : undefined;
    return await readMetadata(await readFile(metadataFile, "utf8"), now, roots);
  } catch (error) {
    throw new Error(`the metadata in ${metadataFile} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

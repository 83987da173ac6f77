import { execFileSync } from "node:child_process";
import { createPrivateKey, sign, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type AttestationParts, attestationObject } from "../actors/passkey.ts";

const openssl = (args: readonly string[]) => execFileSync("openssl", args, { stdio: ["ignore", "pipe", "ignore"] });
const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
const ATTESTATION = "/C=SE/O=Maker/OU=Authenticator Attestation/CN=Model";

/** Where a leaf deviates from that of an honest maker. */
export interface LeafWishes {
  readonly subject?: string;
  readonly crl?: string | undefined;
  readonly ca?: boolean;
  readonly days?: number;
}

/** A CA of the running test that issues leaves. */
function certifier(name: string) {
  const folder = mkdtempSync(join(tmpdir(), "mfa-attestation-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const path = (file: string) => join(folder, file);
  const subject = ["-subj", `/CN=${name}`, "-days", "3650", "-addext", "basicConstraints=critical,CA:TRUE"];
  openssl(["req", "-x509", ...NEW_KEY, "-keyout", path("ca.key"), "-out", path("ca.crt"), ...subject]);
  const read = (file: string) => new X509Certificate(openssl(["x509", "-in", path(file)]));
  return {
    root: read("ca.crt"),
    rootFile: path("ca.crt"),
    issue({ subject = ATTESTATION, crl, ca = false, days = 3650 }: LeafWishes = {}) {
      const extensions = [
        `basicConstraints=critical,CA:${ca ? "TRUE" : "FALSE"}`,
        ...(crl ? [`crlDistributionPoints=URI:${crl}`] : []),
      ];
      writeFileSync(path("leaf.ext"), extensions.join("\n"));
      openssl(["req", "-new", ...NEW_KEY, "-keyout", path("leaf.key"), "-out", path("leaf.csr"), "-subj", subject]);
      const signing = ["-CA", path("ca.crt"), "-CAkey", path("ca.key"), "-CAcreateserial", "-days", String(days)];
      openssl([
        "x509",
        "-req",
        "-in",
        path("leaf.csr"),
        "-out",
        path("leaf.crt"),
        "-extfile",
        path("leaf.ext"),
        ...signing,
      ]);
      const key = createPrivateKey(execFileSync("cat", [path("leaf.key")]));
      return { certificate: read("leaf.crt"), key };
    },
  };
}

/** A maker of authenticators whose models attest themselves. */
export function attestationIssuer(wishes: LeafWishes = {}) {
  const { root, rootFile, issue } = certifier("Maker root");
  const leaf = issue(wishes);
  const chain = [leaf.certificate, root];
  return {
    root,
    rootFile,
    /** A statement of the format, signed by the maker's leaf; with its root in the chain or without. */
    attest:
      (format = "packed", { withRoot = true } = {}) =>
      ({ authData, clientDataHash }: AttestationParts) =>
        attestationObject(
          format,
          new Map<string, unknown>([
            ["alg", -7],
            ["sig", new Uint8Array(sign("sha256", Buffer.concat([authData, clientDataHash]), leaf.key))],
            ["x5c", (withRoot ? chain : chain.slice(0, 1)).map(({ raw }) => new Uint8Array(raw))],
          ]),
          authData,
        ),
  };
}

/** A publisher of metadata: blobs as FIDO MDS3 has them. */
export function metadataPublisher() {
  const { rootFile, root, issue } = certifier("Publisher root");
  const { certificate, key } = issue({ subject: "/CN=metadata.example" });
  const segment = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return {
    root,
    rootFile,
    blob(models: Record<string, { root: X509Certificate; status?: string }>, nextUpdate = "2030-01-01"): string {
      const entries = Object.entries(models).map(([aaguid, { root: anchor, status }]) => ({
        aaguid,
        metadataStatement: { attestationRootCertificates: [anchor.raw.toString("base64")] },
        statusReports: [{ status: "FIDO_CERTIFIED_L1" }, ...(status ? [{ status }] : [])],
      }));
      const header = { alg: "ES256", typ: "JWT", x5c: [certificate, root].map(({ raw }) => raw.toString("base64")) };
      const signed = `${segment(header)}.${segment({ legalHeader: "", no: 1, nextUpdate, entries })}`;
      return `${signed}.${sign("sha256", Buffer.from(signed), { key, dsaEncoding: "ieee-p1363" }).toString("base64url")}`;
    },
  };
}

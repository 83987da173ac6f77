import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

/** Throws where openssl is missing. */
const openssl = (args: readonly string[], input = ""): Buffer =>
  execFileSync("openssl", args, { input, stdio: ["pipe", "pipe", "ignore"] });

const NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

const NEW_RSA_KEY = ["-newkey", "rsa:2048", "-nodes"];

/** A certificate for localhost, of this run. */
export function selfSigned(type: "ec" | "rsa" = "ec") {
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"];
  const pem = openssl(["req", "-x509", ...(type === "ec" ? NEW_KEY : NEW_RSA_KEY), "-keyout", "-", ...subject]);
  return { cert: pem, key: pem };
}

/** What a certificate says, where it is not that of an ordinary client. */
export interface Wanted {
  /** In openssl's words: "URI:spiffe://example/shop,DNS:shop". */
  readonly san?: string;
  /** Instead of `san`: one URI, byte by byte, commas and all. */
  readonly uri?: string;
  readonly usage?: "clientAuth" | "serverAuth";
  /** Negative for one that has expired. */
  readonly days?: number;
}

/** A CA of the running test. */
export function authority() {
  const folder = mkdtempSync(join(tmpdir(), "mfa-ca-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const [key, cert, request] = ["ca.key", "ca.crt", "request.csr"].map((name) => join(folder, name)) as [
    ...[string, string, string],
  ];
  const ca = openssl(["req", "-x509", ...NEW_KEY, "-keyout", key, "-subj", "/CN=ca", "-days", "2"]);
  execFileSync("tee", [cert], { input: ca, stdio: ["pipe", "ignore", "inherit"] });
  return {
    ca,
    issue({ san = "DNS:localhost", uri, usage = "clientAuth", days = 1 }: Wanted) {
      const itsKey = openssl(["req", "-new", ...NEW_KEY, "-keyout", "-", "-subj", "/CN=peer", "-out", request]);
      const names = uri === undefined ? `subjectAltName=${san}` : `subjectAltName=@names\n[names]\nURI.1=${uri}`;
      const sign = ["x509", "-req", "-in", request, "-CA", cert, "-CAkey", key, "-days", String(days)];
      const pem = openssl([...sign, "-extfile", "-"], `extendedKeyUsage=${usage}\n${names}\n`);
      return { cert: pem, key: itsKey };
    },
  };
}

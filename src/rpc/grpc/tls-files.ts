import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext } from "node:tls";

/** Where a listener's certificate lies: PEM files. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Who signs the certificates of clients. */
  readonly caFile?: string;
}

/** What was in the files. */
export interface TlsMaterial {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca?: Buffer | undefined;
}

const EVERY_MS = 2_000;

const readAll = ({ certFile, keyFile, caFile }: TlsFiles) =>
  Promise.all([readFile(certFile), readFile(keyFile), caFile === undefined ? undefined : readFile(caFile)]);

/** Reads a part of a PEM file; throws, naming the file and what it lacks. OpenSSL's words name neither. */
function holding<T>(file: string, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new Error(`${file} holds no PEM ${what}`, { cause });
  }
}

const READING: Readonly<Record<string, string>> = {
  ENOENT: "there is no file",
  EACCES: `uid ${process.getuid?.() ?? "unknown"} may not read`,
  EISDIR: "a folder is at",
};

/** Why a file could not be read, with its name. */
function inWords(error: NodeJS.ErrnoException): string {
  const words = READING[error.code ?? ""];
  return words && error.path ? `${words} ${error.path}` : error.message;
}

/**
 * Throws unless a handshake can be made with it: OpenSSL by itself takes a file without a certificate for no CA, and a
 * key of another type than the certificate's for one that belongs to another certificate still to come.
 */
function check({ cert, key, ca }: TlsMaterial, { certFile, keyFile, caFile }: TlsFiles): void {
  const certificate = holding(certFile, "certificate", () => new X509Certificate(cert));
  const privateKey = holding(keyFile, "private key without a passphrase", () => createPrivateKey(key));
  if (!certificate.checkPrivateKey(privateKey)) throw new Error("the key is not that of the certificate");
  if (ca) holding(caFile ?? "", "certificate", () => new X509Certificate(ca));
  createSecureContext({ cert, key, ...(ca && { ca }) });
}

/** Reads and checks the files; throws in one line, with their names, why they cannot be used. */
export async function readTls(files: TlsFiles): Promise<TlsMaterial> {
  try {
    const [cert, key, ca] = await readAll(files);
    check({ cert, key, ca }, files);
    return { cert, key, ca };
  } catch (error) {
    const names = [files.certFile, files.keyFile, files.caFile].filter(Boolean).join(", ");
    throw new Error(`TLS cannot be had from ${names}: ${inWords(error as Error)}`);
  }
}

/** What becomes of files that changed. */
export interface Renewal {
  readonly renew: (material: TlsMaterial) => void;
  /** Hears once of each new state of the files that cannot be used; what was there before stays in use. */
  readonly onUnusable: (error: Error) => void;
}

const sameBytes = (a?: Buffer, b?: Buffer) => (a && b ? a.equals(b) : a === b);

/**
 * Reads the files again every two seconds, until the returned function is called. By their bytes: how files are
 * replaced (in place, renamed, behind a symbolic link) and what their times say differs from tool to tool.
 */
export function watchTls(files: TlsFiles, first: TlsMaterial, { renew, onUnusable }: Renewal): () => void {
  let current = first;
  let complaint = "";
  let timer: NodeJS.Timeout;
  let ended = false;
  const look = async () => {
    try {
      const material = await readTls(files);
      if (ended) return;
      complaint = "";
      const same = (["cert", "key", "ca"] as const).every((name) => sameBytes(material[name], current[name]));
      if (!same) renew(material);
      current = material;
    } catch (error) {
      if (ended || (error as Error).message === complaint) return;
      complaint = (error as Error).message;
      onUnusable(error as Error);
    }
  };
  const next = () => {
    timer = setTimeout(() => void look().finally(() => !ended && next()), EVERY_MS).unref();
  };
  next();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

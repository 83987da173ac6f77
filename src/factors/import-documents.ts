import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { ScureBase32Plugin } from "otplib";

/** An authenticator app, as a document has it. */
export interface ReadApp {
  readonly userId: string;
  readonly displayName: string;
  readonly secret: Uint8Array;
  readonly algorithm: "SHA1" | "SHA256" | "SHA512";
  readonly digits: number;
  readonly periodSeconds: number;
}

/** A line, or a part, of a document: an app, or why it is none. Never a secret. */
export type Read = ReadApp | { readonly userId: string; readonly error: string };

const base32 = new ScureBase32Plugin();
const ALGORITHMS = { SHA1: "SHA1", SHA256: "SHA256", SHA512: "SHA512" } as const;

/** A secret in base32, with or without padding and blanks. */
function base32Of(text: string): Uint8Array | undefined {
  const plain = text.toUpperCase().replaceAll(/[\s=]/g, "");
  // Other lengths hold bits that belong to no byte.
  return /^[A-Z2-7]+$/.test(plain) && [0, 2, 4, 5, 7].includes(plain.length % 8) ? base32.decode(plain) : undefined;
}

/** A secret in hexadecimal or, where it cannot be that, base32. */
const secretOf = (text: string): Uint8Array | undefined =>
  /^([0-9a-fA-F]{2})+$/.test(text) ? Buffer.from(text, "hex") : base32Of(text);

type Claimed = Omit<ReadApp, "algorithm" | "secret"> & {
  algorithm: string;
  secret: Uint8Array | undefined;
  type: string;
};

/** Holds what a document claims to the limits that written out factors are held to. */
function held({ type, ...app }: Claimed): Read {
  const { userId, secret } = app;
  const no = (error: string): Read => ({ userId, error });
  const bytes = Buffer.byteLength(userId);
  if (bytes < 1 || bytes > 255 || userId.includes("\0"))
    return { userId: "", error: "the user id is empty or too long" };
  if (type.toLowerCase() !== "totp") return no("not a TOTP");
  if (!secret || secret.length < 10 || secret.length > 128)
    return no("the secret cannot be read, or is too short or long");
  const algorithm = ALGORITHMS[app.algorithm.toUpperCase().replace("-", "") as keyof typeof ALGORITHMS];
  if (!algorithm) return no("a hash that is not supported");
  if (app.digits !== 6 && app.digits !== 8) return no("a number of digits that is not supported");
  if (![15, 30, 60].includes(app.periodSeconds)) return no("a period that is not supported");
  const displayName = app.displayName.replaceAll(/\p{C}/gu, "").slice(0, 64);
  return { ...app, secret, algorithm, displayName };
}

function readUri(userId: string, text: string): Read {
  if (!URL.canParse(text) || !text.startsWith("otpauth://")) return { userId, error: "not a key URI" };
  const url = new URL(text);
  const of = (name: string, otherwise: string) => url.searchParams.get(name) ?? otherwise;
  return held({
    userId,
    type: url.host,
    displayName: of("issuer", ""),
    // A key URI has base32 only, also where that looks like hexadecimal.
    secret: base32Of(of("secret", "")),
    algorithm: of("algorithm", "SHA1"),
    digits: Number(of("digits", "6")),
    periodSeconds: Number(of("period", "30")),
  });
}

/** One account of an export of Google Authenticator: fields 1 secret, 2 name, 3 issuer, 4 hash, 5 digits, 6 type. */
function readAccount(userId: string, bytes: Uint8Array): Read {
  const reader = new BinaryReader(bytes);
  const found = { secret: undefined as Uint8Array | undefined, issuer: "", algorithm: 1, digits: 1, type: 0 };
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === 1 && wire === WireType.LengthDelimited) found.secret = reader.bytes();
    else if (field === 3 && wire === WireType.LengthDelimited) found.issuer = reader.string();
    else if (field === 4 && wire === WireType.Varint) found.algorithm = reader.int32();
    else if (field === 5 && wire === WireType.Varint) found.digits = reader.int32();
    else if (field === 6 && wire === WireType.Varint) found.type = reader.int32();
    else reader.skip(wire, field);
  }
  return held({
    userId,
    type: found.type === 2 ? "totp" : "hotp",
    displayName: found.issuer,
    secret: found.secret,
    algorithm: ["SHA1", "SHA1", "SHA256", "SHA512"][found.algorithm] ?? "",
    digits: [6, 6, 8][found.digits] ?? 0,
    periodSeconds: 30,
  });
}

function readMigration(userId: string, text: string): Read[] {
  const no: Read[] = [{ userId, error: "not an export of Google Authenticator" }];
  if (!URL.canParse(text) || !text.startsWith("otpauth-migration://")) return no;
  // In a query a plus sign would be a space.
  const data = /[?&]data=([^&]*)/.exec(text)?.[1] ?? "";
  try {
    const reader = new BinaryReader(Buffer.from(decodeURIComponent(data), "base64"));
    const accounts: Read[] = [];
    while (reader.pos < reader.len) {
      const [field, wire] = reader.tag();
      if (field === 1 && wire === WireType.LengthDelimited) accounts.push(readAccount(userId, reader.bytes()));
      else reader.skip(wire, field);
    }
    return accounts.length > 0 ? accounts : no;
  } catch {
    return no;
  }
}

/** The fields of a line, which quotes may enclose. */
const fieldsOf = (line: string): string[] =>
  [...line.matchAll(/(?:^|,)\s*(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(([, quoted, plain = ""]) =>
    quoted === undefined ? plain.trim() : quoted.replaceAll('""', '"'),
  );

function readCsv(line: string): Read {
  const [userId = "", serial = "", secret = "", type = "", digits = "6", period = "30"] = fieldsOf(line);
  const numbers = { digits: Number(digits || "6"), periodSeconds: Number(period || "30") };
  return held({ userId, displayName: serial, secret: secretOf(secret), type, algorithm: "SHA1", ...numbers });
}

const ENTITIES: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };

/** The text of the first element of a name, whatever its namespace is called. */
function elementOf(xml: string, name: string): string | undefined {
  const text = new RegExp(`<(?:[\\w.-]+:)?${name}(?:\\s[^>]*)?>([\\s\\S]*?)</(?:[\\w.-]+:)?${name}\\s*>`).exec(
    xml,
  )?.[1];
  return text?.trim().replaceAll(/&(amp|lt|gt|quot|apos);/g, (_, entity: string) => ENTITIES[entity] ?? "");
}

function readKeyPackage(xml: string): Read {
  const userId = elementOf(xml, "UserId") ?? "";
  if (/<(?:[\w.-]+:)?EncryptedValue/.test(xml)) return { userId, error: "an encrypted key" };
  const [, algorithm = ""] = /\bAlgorithm\s*=\s*"([^"]*)"/.exec(xml) ?? [];
  const [, digits = "6"] = /\bLength\s*=\s*"(\d+)"/.exec(xml) ?? [];
  const plain = (name: string) => elementOf(elementOf(xml, name) ?? "", "PlainValue");
  const secret = plain("Secret");
  return held({
    userId,
    displayName: elementOf(xml, "SerialNo") ?? "",
    type: algorithm === "urn:ietf:params:xml:ns:keyprov:pskc:totp" ? "totp" : algorithm,
    secret: secret === undefined ? undefined : Buffer.from(secret, "base64"),
    algorithm: (elementOf(xml, "Suite") ?? "SHA1").replace(/^HMAC-?/i, ""),
    digits: Number(digits),
    periodSeconds: Number(plain("TimeInterval") ?? "30"),
  });
}

/** The parts of a PSKC container. What could make one document stand for another, a DTD, is read by nobody. */
function readPskc(xml: string): Read[] {
  if (/<!(?:DOCTYPE|ENTITY)/i.test(xml)) return [{ userId: "", error: "a document type declaration" }];
  const bare = xml.replaceAll(/<!--[\s\S]*?-->/g, "");
  const packages = bare.match(/<(?:[\w.-]+:)?KeyPackage(?:\s[^>]*)?>[\s\S]*?<\/(?:[\w.-]+:)?KeyPackage\s*>/g) ?? [];
  return packages.length > 0 ? packages.map(readKeyPackage) : [{ userId: "", error: "no key package" }];
}

const linesOf = (text: string) => text.split(/\r?\n/).filter((line) => line.trim() !== "");

const afterTab =
  (read: (userId: string, text: string) => Read | Read[]) =>
  (text: string): Read[] =>
    linesOf(text).flatMap((line) => {
      const at = line.indexOf("\t");
      return at < 0
        ? [{ userId: "", error: "no tab behind a user id" }]
        : read(line.slice(0, at), line.slice(at + 1).trim());
    });

/** How documents of each form are read. */
export const readers = {
  OTPAUTH_URIS: afterTab(readUri),
  OTPAUTH_MIGRATION: afterTab(readMigration),
  OATH_CSV: (text: string): Read[] => linesOf(text).map(readCsv),
  PSKC: readPskc,
} as const;

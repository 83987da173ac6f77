import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { held, type Read, unread } from "./read.ts";
import { judged } from "./secret.ts";

/** The hashes and numbers of digits by their values in the export. 0 stands for the usual one. */
const HASHES = ["SHA1", "SHA1", "SHA256", "SHA512"];
const DIGITS = ["6", "6", "8"];
const TOTP = 2;

/** The wire types of the fields that are read; another one says that this is not what it was taken for. */
const ACCOUNT: Readonly<Record<number, WireType>> = {
  1: WireType.LengthDelimited,
  2: WireType.LengthDelimited,
  3: WireType.LengthDelimited,
  4: WireType.Varint,
  5: WireType.Varint,
  6: WireType.Varint,
};

/** One account of an export: fields 1 secret, 2 name, 3 issuer, 4 hash, 5 digits, 6 type. */
function readAccount(userId: string, bytes: Uint8Array, line: number): Read {
  const reader = new BinaryReader(bytes);
  const found = { secret: new Uint8Array() as Uint8Array, name: "", issuer: "", algorithm: 0, digits: 0, type: 0 };
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (wire !== (ACCOUNT[field] ?? wire)) throw new Error("a field of another type");
    if (field === 1) found.secret = reader.bytes();
    else if (field === 2) found.name = reader.string();
    else if (field === 3) found.issuer = reader.string();
    else if (field === 4) found.algorithm = reader.int32();
    else if (field === 5) found.digits = reader.int32();
    else if (field === 6) found.type = reader.int32();
    else reader.skip(wire, field);
  }
  return held({
    line,
    userId,
    type: found.type === TOTP ? "totp" : "hotp",
    displayName: found.issuer || (found.name.includes(":") ? (found.name.split(":", 1)[0] ?? "") : ""),
    secret: judged(found.secret),
    algorithm: HASHES[found.algorithm] ?? "another",
    digits: DIGITS[found.digits] ?? "another",
    period: "30",
  });
}

/** The value of a parameter, as it is written: in a query a plus sign would be a blank, and here it is base64. */
function dataOf(text: string): string {
  const query = text.slice(text.indexOf("?") + 1).split("#", 1)[0] ?? "";
  const found = query.split("&").find((part) => part.toLowerCase().startsWith("data="));
  return decodeURIComponent(found?.slice("data=".length) ?? "");
}

/** Reads an export of Google Authenticator: all of its accounts are the user's. */
export function readMigration(userId: string, text: string, line: number): Read[] {
  const no = [unread(line, "uri", "not an export of Google Authenticator", userId)];
  if (!/^otpauth-migration:\/\//i.test(text)) return no;
  try {
    const data = dataOf(text);
    if (!/^[A-Za-z0-9+/_-]+=*$/.test(data)) return no;
    const reader = new BinaryReader(Buffer.from(data, "base64"));
    const accounts: Read[] = [];
    while (reader.pos < reader.len) {
      const [field, wire] = reader.tag();
      if (field === 1 && wire === WireType.LengthDelimited) accounts.push(readAccount(userId, reader.bytes(), line));
      else reader.skip(wire, field);
    }
    return accounts.length > 0 ? accounts : no;
  } catch {
    return no;
  }
}

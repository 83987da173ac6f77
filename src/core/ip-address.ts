import { isIP } from "node:net";

/** Returns an address in its one canonical form. */
export interface IpAddress {
  /** Dotted decimals, or RFC 5952: equal addresses have equal texts. */
  readonly text: string;
  /** 4 or 16. */
  readonly bytes: Uint8Array;
}

/** A network in CIDR notation. */
export interface IpRange {
  readonly bytes: Uint8Array;
  /** How many leading bits addresses share with it. */
  readonly bits: number;
}

const V4_MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];
const SOURCE_BITS = 64;

const bytesOfV4 = (text: string) => Uint8Array.from(text.split("."), Number);

function bytesOfV6(text: string): Uint8Array {
  // The last 32 bits may be written as IPv4.
  const [tail = ""] = /[^:]*$/.exec(text) ?? [];
  const [a = 0, b = 0, c = 0, d = 0] = tail.includes(".") ? bytesOfV4(tail) : [];
  const last = `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  const plain = tail.includes(".") ? text.slice(0, -tail.length) + last : text;
  const [head = [], end = []] = plain.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const groups = [...head, ...Array<string>(8 - head.length - end.length).fill("0"), ...end];
  return Uint8Array.from(groups.map((group) => Number.parseInt(group, 16)).flatMap((n) => [n >> 8, n & 0xff]));
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two and more zeros left out. */
function textOfV6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, n) =>
    (((bytes[2 * n] ?? 0) << 8) | (bytes[2 * n + 1] ?? 0)).toString(16),
  );
  const runs = [
    ...groups
      .map((group) => (group === "0" ? "0" : "x"))
      .join("")
      .matchAll(/0{2,}/g),
  ];
  const longest = runs.reduce(
    (best, run) => (run[0].length > best.length ? { at: run.index, length: run[0].length } : best),
    {
      at: 0,
      length: 0,
    },
  );
  if (longest.length === 0) return groups.join(":");
  return `${groups.slice(0, longest.at).join(":")}::${groups.slice(longest.at + longest.length).join(":")}`;
}

/** The canonical text of 4 or 16 bytes. */
export const textOfIp = (bytes: Uint8Array): string => (bytes.length === 4 ? bytes.join(".") : textOfV6(bytes));

function ofBytes(bytes: Uint8Array): IpAddress {
  const mapped = bytes.length === 16 && V4_MAPPED.every((byte, n) => bytes[n] === byte);
  const own = mapped ? bytes.slice(12) : bytes;
  return { text: textOfIp(own), bytes: own };
}

/**
 * Reads an address, strictly: four decimals without leading zeros, or IPv6 without a zone. Undefined for anything else.
 * An IPv4 address mapped into IPv6 is that IPv4 address.
 */
export function parseIp(text: string): IpAddress | undefined {
  // node takes a zone ("fe80::1%eth0"), which means something on one host only.
  const family = text.includes("%") ? 0 : isIP(text);
  if (family === 0) return undefined;
  return ofBytes(family === 4 ? bytesOfV4(text) : bytesOfV6(text));
}

/** Which bits of the nth byte lie behind the first `bits` of an address. */
const hostMask = (n: number, bits: number) => 0xff >> Math.max(0, Math.min(8, bits - 8 * n));

/**
 * Reads a network ("10.0.0.0/8", "2001:db8::/32"), or an address alone as the network of itself. Undefined for anything
 * else, host bits included: who wrote 10.0.0.1/8 meant something else. How broad it may be, the caller decides.
 */
export function parseIpRange(text: string): IpRange | undefined {
  const [, address = "", length] = /^([^/]+)(?:\/(\d|[1-9]\d{1,2}))?$/.exec(text) ?? [];
  const ip = parseIp(address);
  if (!ip) return undefined;
  // The length counts as it was written: of a mapped address 96 bits more than of the IPv4 address it is.
  const mapping = ip.bytes.length === 4 && address.includes(":") ? 96 : 0;
  const bits = length === undefined ? 8 * ip.bytes.length : Number(length) - mapping;
  if (bits < 0 || bits > 8 * ip.bytes.length) return undefined;
  if (ip.bytes.some((byte, n) => byte & hostMask(n, bits))) return undefined;
  return { bytes: ip.bytes, bits };
}

/** Whether an address is in a network. No IPv4 address is in one of IPv6, `::/0` included. */
export const isInRange = ({ bytes }: IpAddress, range: IpRange): boolean =>
  bytes.length === range.bytes.length &&
  bytes.every((byte, n) => ((byte ^ (range.bytes[n] ?? 0)) & ~hostMask(n, range.bits)) === 0);

/** What calls of one subscriber have in common: an IPv4 address, or the /64 of an IPv6 address. */
export function sourceOf({ text, bytes }: IpAddress): string {
  if (bytes.length === 4) return text;
  return `${textOfV6(bytes.map((byte, n) => byte & ~hostMask(n, SOURCE_BITS)))}/${SOURCE_BITS}`;
}

import { type IpAddress, type IpRange, parseIp, textOfIp } from "../core/ip-address.ts";

/** A network as it is listed. */
export interface Network extends IpRange {
  /** Canonical: the lowest address, and the length. Equal networks have equal texts. */
  readonly cidr: string;
}

/** A network as it was written, with what speaks against listing it. */
export interface Written {
  readonly network: Network;
  /** Bits behind the length were set; in `network` they are not. */
  readonly hadHostBits: boolean;
  readonly isBroad: boolean;
  /** Every address there is: not to be listed at all. */
  readonly isEverything: boolean;
}

/** The broadest that is listed without being asked for twice: a site's IPv4 addresses, a provider's customer in IPv6. */
const BROADEST = { 4: 16, 16: 32 } as const;
/** How much longer than the IPv4 length that of a mapped address is. */
const MAPPED = 96;

const masked = (bytes: Uint8Array, bits: number) =>
  bytes.map((byte, n) => byte & ~(0xff >> Math.max(0, Math.min(8, bits - 8 * n))));

/**
 * Reads a network with a prefix length, strictly: decimals without leading zeros, no zone, no mask, nothing around it.
 * Undefined for anything else. An IPv4 network mapped into IPv6 is that network. Other forms that carry IPv4 addresses
 * (NAT64, 6to4, compatible) stay what they are, networks of IPv6: a call that arrives from one is not the IPv4 host's.
 */
export function readNetwork(text: string): Written | undefined {
  const [, address = "", length = ""] = /^([^/]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? [];
  const ip = parseIp(address);
  if (!ip) return undefined;
  const isMapped = ip.bytes.length === 4 && address.includes(":");
  const bits = Number(length) - (isMapped ? MAPPED : 0);
  if (bits < 0 || bits > 8 * ip.bytes.length) return undefined;
  const bytes = masked(ip.bytes, bits);
  return {
    network: { bytes, bits, cidr: `${textOfIp(bytes)}/${bits}` },
    hadHostBits: bytes.some((byte, n) => byte !== ip.bytes[n]),
    isBroad: bits < BROADEST[bytes.length as keyof typeof BROADEST],
    isEverything: bits === 0,
  };
}

const keyOf = (bytes: Uint8Array, bits: number) =>
  `${bytes.length}/${bits}/${Buffer.from(masked(bytes, bits)).toString("hex")}`;

/**
 * Makes the question "is this address listed?" of networks. One look-up for each length that occurs, however many
 * networks there are. An address that cannot be read is not listed.
 */
export function listing(networks: readonly IpRange[]): (address: string | IpAddress) => boolean {
  const keys = new Set(networks.map(({ bytes, bits }) => keyOf(bytes, bits)));
  const lengths = new Map<number, Set<number>>();
  for (const { bytes, bits } of networks) {
    lengths.set(bytes.length, (lengths.get(bytes.length) ?? new Set()).add(bits));
  }
  return (address) => {
    const ip = typeof address === "string" ? parseIp(address) : address;
    if (!ip) return false;
    return [...(lengths.get(ip.bytes.length) ?? [])].some((bits) => keys.has(keyOf(ip.bytes, bits)));
  };
}

/** Whether two networks have an address in common. */
export function overlap(a: IpRange, b: IpRange): boolean {
  const bits = Math.min(a.bits, b.bits);
  return a.bytes.length === b.bytes.length && keyOf(a.bytes, bits) === keyOf(b.bytes, bits);
}

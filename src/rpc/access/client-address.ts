import { type IpRange, isInRange, parseIp, parseIpRange } from "../../core/ip-address.ts";

/** Trusted proxies in front of a listener. */
export interface TrustedProxies {
  /** The proxies' networks: "10.1.0.0/16", "::1". */
  readonly addresses: readonly string[];
  /** The header that the proxies write. The other one may be forged by the client. */
  readonly header: "x-forwarded-for" | "forwarded";
}

/** Every header by which proxies pass on whom they call for. */
const HEADERS: readonly TrustedProxies["header"][] = ["x-forwarded-for", "forwarded"];

/** A client's address, and whether it is known beyond the next hop. */
export interface ClientAddress {
  readonly ip: string;
  readonly trusted: boolean;
  /** Set where a trusted proxy calls and passes nobody on: the call is its own. */
  readonly ofProxy?: true;
}

/** Returns the client's address from the connection's peer and the headers. */
export type FindClientAddress = (peer: string, header: Pick<Headers, "get">) => ClientAddress;

/** The longest accepted chain of proxies; a longer list is an attack. */
const MAX_HOPS = 16;

const FORWARDED = /^\s*(?:([\w!#$%&'*+.^`|~-]+)=([\w!#$%&'*+.^`|~-]+|"(?:[^"\\]|\\.)*"))?\s*([;,]|$)/;

/** The `for` of each element of a Forwarded header (RFC 7239); undefined when it is none. */
function readForwarded(header: string): string[] | undefined {
  const hops = [""];
  let rest = header;
  for (;;) {
    const found = FORWARDED.exec(rest);
    if (!found) return undefined;
    const [whole, name, value = "", end] = found;
    if (name?.toLowerCase() === "for") hops[hops.length - 1] = value.replace(/^"|"$/g, "").replaceAll(/\\(.)/g, "$1");
    if (end === "") return hops;
    if (end === ",") hops.push("");
    rest = rest.slice(whole.length);
  }
}

/** An address as proxies write it: bare, "192.0.2.1:80", "[2001:db8::1]", "[2001:db8::1]:80". */
function readHop(text: string) {
  const [, bracketed, dotted] = /^(?:\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5})$/.exec(text) ?? [];
  if (bracketed !== undefined && !bracketed.includes(":")) return undefined;
  return parseIp(bracketed ?? dotted ?? text);
}

const isAny = (ranges: readonly IpRange[], ip: NonNullable<ReturnType<typeof parseIp>>) =>
  ranges.some((range) => isInRange(ip, range));

/**
 * The address of the client: that of the connection, or, where a trusted proxy holds it, the first address from the
 * right that is no trusted proxy's, or the last one. What stands left of it, anybody may have written. Where the list cannot
 * be read up to there, or is too long, the answer is the connection's address, marked as not trusted.
 */
export function createFindClientAddress(proxies?: TrustedProxies): FindClientAddress {
  const ranges = (proxies?.addresses ?? []).map((text) => {
    const range = parseIpRange(text);
    if (!range) throw new Error(`${text} is no network`);
    return range;
  });
  const name = proxies?.header ?? "x-forwarded-for";
  const read = name === "forwarded" ? readForwarded : (header: string) => header.split(",").map((hop) => hop.trim());

  return (peer, headers) => {
    // The zone of a link-local peer is our own interface.
    const [address = ""] = peer.split("%");
    const ip = parseIp(address);
    if (!ip) return { ip: "", trusted: false };
    if (!isAny(ranges, ip)) return { ip: ip.text, trusted: true };
    const unknown = { ip: ip.text, trusted: false };
    if (HEADERS.every((each) => headers.get(each) === null)) return { ...unknown, ofProxy: true };
    const hops = read(headers.get(name) ?? "")?.reverse() ?? [];
    if (hops.length > MAX_HOPS) return unknown;
    let client = unknown;
    for (const hop of hops) {
      const before = readHop(hop);
      if (!before) return unknown;
      client = { ip: before.text, trusted: true };
      if (!isAny(ranges, before)) break;
    }
    return client;
  };
}

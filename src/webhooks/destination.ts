import type { LookupAddress } from "node:dns";
import { lookup } from "node:dns/promises";
import type { LookupFunction } from "node:net";
import { type IpRange, isInRange, parseIp, parseIpRange } from "../core/ip-address.ts";

const ranges = (...texts: string[]): IpRange[] => texts.flatMap((text) => parseIpRange(text) ?? []);

/** IPv4 ranges that are not public unicast (IANA's special-purpose registry, multicast). */
const SPECIAL_V4 = ranges(
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"],
  ...["192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24"],
  ...["198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"],
);

/** The IPv6 range of public hosts, and its exceptions: protocols, documentation, and transitions to IPv4 hosts. */
const GLOBAL_V6 = ranges("2000::/3");
const SPECIAL_V6 = ranges("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20");

/** Whether an address is public unicast. An unreadable one is not. */
export function isPublic(address: string): boolean {
  const ip = parseIp(address);
  if (!ip) return false;
  if (ip.bytes.length === 4) return !SPECIAL_V4.some((range) => isInRange(ip, range));
  return GLOBAL_V6.some((range) => isInRange(ip, range)) && !SPECIAL_V6.some((range) => isInRange(ip, range));
}

/** The destinations that webhooks may have. */
export interface Destinations {
  /**
   * Whether a url is admitted now. Its name may resolve differently later; `lookup` checks again at each connection.
   */
  admits(url: string): Promise<boolean>;
  /** Whether the IP literal of a url is admitted. */
  admitsLiteral(url: URL): boolean;
  /** The name look-up of connections: fails when any address is not admitted, so that none is tried. */
  readonly lookup: LookupFunction;
}

/** The error of a connection to an address that is not admitted. */
const refused = () => Object.assign(new Error("not a public address"), { code: "PRIVATE_ADDRESS" });

/** Resolves every address of a name. */
type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

/**
 * Shares a running look-up of a name. The system resolves two names at once for the whole process, so deliveries to a
 * name whose server does not answer would block all others.
 */
function shared(resolve: Resolve): Resolve {
  const underWay = new Map<string, ReturnType<Resolve>>();
  return (hostname) => {
    const known = underWay.get(hostname);
    if (known) return known;
    const found = resolve(hostname).finally(() => underWay.delete(hostname));
    underWay.set(hostname, found);
    return found;
  };
}

const bare = (hostname: string) => hostname.replace(/^\[|\]$/g, "");

/**
 * Admits public addresses, and those of `networks`. Names are judged by their addresses at each connection, since a
 * check before the connection could be bypassed by DNS rebinding.
 */
export function createDestinations(
  networks: readonly string[],
  resolve: Resolve = (hostname) => lookup(hostname, { all: true }),
): Destinations {
  const addressesOf = shared(resolve);
  const own = ranges(...networks);
  const isAdmitted = (address: string) => {
    const ip = parseIp(address);
    return isPublic(address) || (ip !== undefined && own.some((range) => isInRange(ip, range)));
  };
  const admitsLiteral = ({ hostname }: URL) => parseIp(bare(hostname)) === undefined || isAdmitted(bare(hostname));

  return {
    admitsLiteral,
    async admits(text) {
      if (!URL.canParse(text)) return false;
      const url = new URL(text);
      // Refused, since lists show urls and would show the password.
      if (url.protocol !== "https:" || url.username !== "" || url.password !== "" || url.hash !== "") return false;
      if (parseIp(bare(url.hostname))) return admitsLiteral(url);
      const found = await addressesOf(url.hostname).catch(() => []);
      return found.every(({ address }) => isAdmitted(address));
    },
    lookup: (hostname, options, callback) => {
      const judge = (found: readonly LookupAddress[]) => {
        const [first] = found;
        if (!first || !found.every(({ address }) => isAdmitted(address))) return callback(refused(), "");
        return options.all ? callback(null, [...found]) : callback(null, first.address, first.family);
      };
      addressesOf(hostname).then(judge, (error) => callback(error, ""));
    },
  };
}

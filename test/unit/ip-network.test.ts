import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseIp } from "../../src/core/ip-address.ts";
import { listing, overlap, readNetwork } from "../../src/ip-whitelist/network.ts";

/** How each form is read: its canonical form, with what speaks against it; undefined where it is none. */
const forms: readonly (readonly [string, string | undefined])[] = [
  // IPv4
  ["192.0.2.0/24", "192.0.2.0/24"],
  ["192.0.2.7/32", "192.0.2.7/32"],
  ["192.0.2.7/24", "192.0.2.0/24 host bits"],
  ["192.0.2.255/31", "192.0.2.254/31 host bits"],
  ["192.0.2.128/25", "192.0.2.128/25"],
  ["192.0.2.127/25", "192.0.2.0/25 host bits"],
  ["10.0.0.0/16", "10.0.0.0/16"],
  ["10.0.0.0/15", "10.0.0.0/15 broad"],
  ["10.0.0.0/8", "10.0.0.0/8 broad"],
  ["10.1.2.3/8", "10.0.0.0/8 host bits broad"],
  ["128.0.0.0/1", "128.0.0.0/1 broad"],
  ["255.255.255.255/1", "128.0.0.0/1 host bits broad"],
  ["0.0.0.0/32", "0.0.0.0/32"],
  ["255.255.255.255/32", "255.255.255.255/32"],
  ["0.0.0.0/0", "0.0.0.0/0 broad everything"],
  ["1.2.3.4/0", "0.0.0.0/0 host bits broad everything"],
  ["127.0.0.1/32", "127.0.0.1/32"],
  ["169.254.0.0/16", "169.254.0.0/16"],
  ["224.0.0.1/32", "224.0.0.1/32"],
  // IPv4 written otherwise
  ["192.0.2.0", undefined],
  ["192.0.2.0/", undefined],
  ["192.0.2.0/33", undefined],
  ["192.0.2.0/-1", undefined],
  ["192.0.2.0/+24", undefined],
  ["192.0.2.0/024", undefined],
  ["192.0.2.0/24.0", undefined],
  ["192.0.2.0/0x18", undefined],
  ["192.0.2.0/1e1", undefined],
  ["192.0.2.0/24/24", undefined],
  ["192.0.2.0/255.255.255.0", undefined],
  ["192.0.2.0/0.0.0.255", undefined],
  ["192.0.2.0 /24", undefined],
  ["192.0.2.0/ 24", undefined],
  [" 192.0.2.0/24", undefined],
  ["192.0.2.0/24 ", undefined],
  ["192.0.2.0/24\n", undefined],
  ["\t192.0.2.0/24", undefined],
  ["192.0.2/24", undefined],
  ["192.0/16", undefined],
  ["192/8", undefined],
  ["10/8", undefined],
  ["3221225984/24", undefined],
  ["0xc0000200/24", undefined],
  ["0xc0.0.2.0/24", undefined],
  ["192.0.0x2.0/24", undefined],
  ["0300.0.2.0/24", undefined],
  ["192.00.2.0/24", undefined],
  ["192.0.02.0/24", undefined],
  ["010.0.0.0/16", undefined],
  ["192.0.2.00/24", undefined],
  ["256.0.2.0/24", undefined],
  ["192.0.2.256/24", undefined],
  ["192.0.2.-1/24", undefined],
  ["192.0.2.0.0/24", undefined],
  ["192.0.2./24", undefined],
  [".192.0.2.0/24", undefined],
  ["192..2.0/24", undefined],
  ["192,0,2,0/24", undefined],
  ["192.0.2.0:443/24", undefined],
  ["192.0.2.0-192.0.2.255", undefined],
  ["192.0.2.*", undefined],
  ["192.0.2.x/24", undefined],
  ["１９２.0.2.0/24", undefined],
  ["192。0。2。0/24", undefined],
  ["192.0.2.0∕24", undefined],
  ["192.0.2.0\u0000/24", undefined],
  // IPv6
  ["2001:db8::/32", "2001:db8::/32"],
  ["2001:db8::/31", "2001:db8::/31 broad"],
  ["2001:db8::1/128", "2001:db8::1/128"],
  ["2001:db8::1/64", "2001:db8::/64 host bits"],
  ["2001:DB8::/32", "2001:db8::/32"],
  ["2001:0db8:0000:0000:0000:0000:0000:0000/32", "2001:db8::/32"],
  ["2001:db8:0:0:0:0:0:0/32", "2001:db8::/32"],
  ["2001:db8:0:1::/64", "2001:db8:0:1::/64"],
  ["2001:db8:8000::/33", "2001:db8:8000::/33"],
  ["2001:db8:8000::/32", "2001:db8::/32 host bits"],
  ["2001:db8:0:0:1:0:0:1/128", "2001:db8::1:0:0:1/128"],
  ["::/0", "::/0 broad everything"],
  ["2001:db8::/0", "::/0 host bits broad everything"],
  ["::1/128", "::1/128"],
  ["::/128", "::/128"],
  ["fe80::/64", "fe80::/64"],
  ["fe80::/10", "fe80::/10 broad"],
  ["fc00::/7", "fc00::/7 broad"],
  ["ff02::1/128", "ff02::1/128"],
  ["2000::/3", "2000::/3 broad"],
  ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"],
  // IPv6 written otherwise
  ["2001:db8::", undefined],
  ["2001:db8::/129", undefined],
  ["2001:db8::/032", undefined],
  ["2001:db8::/-1", undefined],
  ["2001:db8::/ffff::", undefined],
  ["2001:db8/32", undefined],
  ["2001:db8:/32", undefined],
  [":2001:db8::/32", undefined],
  ["2001:::db8/32", undefined],
  ["2001::db8::/32", undefined],
  ["2001:db8:0:0:0:0:0/32", undefined],
  ["2001:db8:0:0:0:0:0:0:0/32", undefined],
  ["2001:0db80::/32", undefined],
  ["2001:dbg::/32", undefined],
  ["[2001:db8::]/32", undefined],
  ["[2001:db8::/32]", undefined],
  ["2001:db8::.ip6.arpa/32", undefined],
  ["2001-db8--.ipv6-literal.net/32", undefined],
  ["2001:db8::/32 ", undefined],
  // Zones mean something on one host only
  ["fe80::1%eth0/64", undefined],
  ["fe80::1/64%eth0", undefined],
  ["fe80::%25eth0/64", undefined],
  ["fe80::1%/64", undefined],
  ["2001:db8::%1/64", undefined],
  // IPv4 mapped into IPv6 is that IPv4 network
  ["::ffff:192.0.2.0/120", "192.0.2.0/24"],
  ["::ffff:192.0.2.7/128", "192.0.2.7/32"],
  ["::ffff:c000:200/120", "192.0.2.0/24"],
  ["::FFFF:C000:0200/120", "192.0.2.0/24"],
  ["0:0:0:0:0:ffff:192.0.2.0/120", "192.0.2.0/24"],
  ["::ffff:192.0.2.7/120", "192.0.2.0/24 host bits"],
  ["::ffff:10.0.0.0/111", "10.0.0.0/15 broad"],
  ["::ffff:0.0.0.0/96", "0.0.0.0/0 broad everything"],
  ["::ffff:0:0/96", "0.0.0.0/0 broad everything"],
  ["::ffff:192.0.2.0/24", undefined],
  ["::ffff:0.0.0.0/95", undefined],
  ["::ffff:0:0/0", undefined],
  ["::ffff:192.0.2.0/129", undefined],
  ["::ffff:192.0.02.0/120", undefined],
  ["::ffff:192.0.2.0%1/120", undefined],
  // Other forms that carry IPv4 addresses are networks of IPv6
  ["::192.0.2.0/120", "::c000:200/120"],
  ["::ffff:0:192.0.2.0/120", "::ffff:0:c000:200/120"],
  ["64:ff9b::/96", "64:ff9b::/96"],
  ["64:ff9b::192.0.2.0/120", "64:ff9b::c000:200/120"],
  ["64:ff9b::c000:200/120", "64:ff9b::c000:200/120"],
  ["64:ff9b:1::/48", "64:ff9b:1::/48"],
  ["2002:c000:200::/40", "2002:c000:200::/40"],
  ["2002:c000:207::/40", "2002:c000:200::/40 host bits"],
  ["2001:0:c000:200::/64", "2001:0:c000:200::/64"],
  ["2001:db8::192.0.2.0/120", "2001:db8::c000:200/120"],
  // Nothing of the kind
  ["", undefined],
  ["/", undefined],
  ["/24", undefined],
  ["localhost/32", undefined],
  ["example.com/24", undefined],
  ["any", undefined],
  ["*", undefined],
  ["0/0", undefined],
];

function describeForm(text: string): string | undefined {
  const written = readNetwork(text);
  if (!written) return undefined;
  const { network, hadHostBits, isBroad, isEverything } = written;
  const notes = [hadHostBits && "host bits", isBroad && "broad", isEverything && "everything"];
  return [network.cidr, ...notes.filter((note) => note !== false)].join(" ");
}

describe("a network to be listed", () => {
  test("is tried in at least 120 forms, each once", () => {
    expect(forms.length).toBeGreaterThanOrEqual(120);
    expect(new Set(forms.map(([text]) => text)).size).toBe(forms.length);
  });

  test.each(forms)("%j is read as %s", (text, expected) => expect(describeForm(text)).toBe(expected));

  test("in canonical form is read as itself", () => {
    for (const [, expected] of forms) {
      const cidr = expected?.split(" ")[0] ?? "10.0.0.0/16";
      expect(readNetwork(cidr)).toMatchObject({ network: { cidr }, hadHostBits: false });
    }
  });
});

const networks = (...texts: string[]) => texts.flatMap((text) => readNetwork(text)?.network ?? []);

const networkArbitrary = fc
  .oneof(
    fc.tuple(fc.uint8Array({ minLength: 4, maxLength: 4 }), fc.integer({ min: 1, max: 32 })),
    fc.tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 1, max: 128 })),
  )
  .map(([bytes, bits]) => {
    const groups = Array.from({ length: 8 }, (_, n) =>
      (((bytes[2 * n] ?? 0) << 8) | (bytes[2 * n + 1] ?? 0)).toString(16),
    );
    return `${bytes.length === 4 ? bytes.join(".") : groups.join(":")}/${bits}`;
  });

/** Bit by bit, as the definition has it. */
function contains(network: { bytes: Uint8Array; bits: number }, bytes: Uint8Array): boolean {
  const bitsOf = (of: Uint8Array) => [...of].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (
    network.bytes.length === bytes.length &&
    bitsOf(network.bytes).slice(0, network.bits) === bitsOf(bytes).slice(0, network.bits)
  );
}

describe("an address", () => {
  test("is listed if it is in a listed network", () => {
    const isListed = listing(networks("192.0.2.0/24", "2001:db8::/32", "10.0.0.7/32"));
    for (const address of ["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.9", "2001:db8:ffff::1", "10.0.0.7"]) {
      expect(isListed(address), address).toBe(true);
    }
    for (const address of ["192.0.3.0", "192.0.1.255", "2001:db9::", "10.0.0.8", "::192.0.2.9", "64:ff9b::192.0.2.9"]) {
      expect(isListed(address), address).toBe(false);
    }
  });

  test("that cannot be read is not listed", () => {
    const isListed = listing(networks("0.0.0.0/0", "::/0"));
    for (const address of [
      "",
      "unknown",
      "192.0.2.1:80",
      "[::1]",
      "fe80::1%eth0",
      "0300.0.2.1",
      "192.0.2.1,10.0.0.1",
    ]) {
      expect(isListed(address), address).toBe(false);
    }
  });

  test("is never listed where nothing is", () => expect(listing([])("192.0.2.1")).toBe(false));

  test("is listed exactly where the bits say so", () => {
    fc.assert(
      fc.property(fc.array(networkArbitrary, { maxLength: 20 }), networkArbitrary, (texts, text) => {
        const listed = networks(...texts);
        const address = text.slice(0, text.indexOf("/"));
        const ip = parseIp(address);
        const expected = listed.some((network) => ip !== undefined && contains(network, ip.bytes));
        expect(listing(listed)(address)).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

test("networks overlap if one holds the other", () => {
  const cases: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.1.0.0/16", true],
    ["10.1.0.0/16", "10.0.0.0/8", true],
    ["10.1.0.0/16", "10.2.0.0/16", false],
    ["::/8", "10.0.0.0/8", false],
    ["2001:db8::/32", "2001:db8:1::/48", true],
  ];
  for (const [a, b, expected] of cases) {
    const [one, other] = networks(a, b);
    expect(one && other && overlap(one, other), `${a} ${b}`).toBe(expected);
  }
});

import { describe, expect, test } from "vitest";
import { createFindClientAddress, type TrustedProxies } from "../../src/rpc/access/client-address.ts";

const PROXY = "10.1.0.9";
const trusted = (ip: string) => ({ ip, trusted: true });
/** The proxy's own address, marked: what it passed on says nothing. */
const unread = { ip: PROXY, trusted: false };

function finder(
  header: TrustedProxies["header"] = "x-forwarded-for",
  addresses = ["10.1.0.0/16", "2001:db8:ffff::/48"],
) {
  const find = createFindClientAddress({ addresses, header });
  return (peer: string, value?: string, others: Record<string, string> = {}) =>
    find(peer, new Headers({ ...others, ...(value !== undefined && { [header]: value }) }));
}

describe("a client's address", () => {
  test("is that of the connection where no proxy is trusted, whatever headers say", () => {
    for (const find of [createFindClientAddress(), createFindClientAddress({ addresses: [], header: "forwarded" })]) {
      const headers = new Headers({
        "x-forwarded-for": "192.0.2.1",
        forwarded: "for=192.0.2.1",
        "x-real-ip": "192.0.2.1",
      });
      expect(find("198.51.100.7", headers)).toEqual(trusted("198.51.100.7"));
      expect(find("::ffff:198.51.100.7", headers)).toEqual(trusted("198.51.100.7"));
      expect(find("fe80::1%eth0", headers)).toEqual(trusted("fe80::1"));
      expect(find("", headers)).toEqual({ ip: "", trusted: false });
    }
  });

  test("is that of the connection where its other end is no proxy of ours", () => {
    expect(finder()("198.51.100.7", "192.0.2.1")).toEqual(trusted("198.51.100.7"));
    expect(finder()("10.2.0.1", "192.0.2.1")).toEqual(trusted("10.2.0.1"));
  });

  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["6.6.6.6, 192.0.2.1", "192.0.2.1"],
    ["junk, 192.0.2.1", "192.0.2.1"],
    ["192.0.2.1, 10.1.3.4", "192.0.2.1"],
    ["6.6.6.6,192.0.2.1,10.1.3.4 , 2001:db8:ffff::2", "192.0.2.1"],
    ["192.0.2.1:4711", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["[2001:db8::1]", "2001:db8::1"],
    ["[2001:db8::1]:4711", "2001:db8::1"],
    // All are ours: then the first of them called.
    ["10.1.0.1, 10.1.0.2", "10.1.0.1"],
  ])("behind a proxy is the first from the right that is no proxy's: %s", (header, ip) => {
    expect(finder()(PROXY, header)).toEqual(trusted(ip));
    expect(finder()(`::ffff:${PROXY}`, header)).toEqual(trusted(ip));
  });

  test.each([
    [""],
    ["a"],
    ["unknown"],
    ["192.0.2.1, "],
    ["192.0.2.1, junk"],
    ["192.0.2.1, junk, 10.1.0.1"],
    ["192.0.2"],
    ["010.0.0.1"],
    ["fe80::1%eth0"],
    ["[192.0.2.1]:80"],
    ["2001:db8::1]:80"],
    ["192.0.2.1:port"],
    [Array(100).fill("10.1.0.1").join(",")],
    [`192.0.2.1${",10.1.0.1".repeat(99)}`],
  ])("behind a proxy is the proxy's, and marked, when it cannot be read: %s", (header) => {
    expect(finder()(PROXY, header)).toEqual(unread);
  });

  test("is the proxy's own, and says so, when it passes nobody on", () => {
    expect(finder()(PROXY)).toEqual({ ...unread, ofProxy: true });
    expect(finder("forwarded")(PROXY, undefined, { "x-forwarded-for": "192.0.2.1" })).toEqual(unread);
  });

  test.each([
    ["for=192.0.2.1", "192.0.2.1"],
    ["For=192.0.2.1;proto=https;by=10.1.0.1", "192.0.2.1"],
    ['by=_x; for="192.0.2.1:4711"', "192.0.2.1"],
    ['for=6.6.6.6, for="[2001:db8::1]:4711"', "2001:db8::1"],
    ['for="6.6.6.6, for=7.7.7.7", for=192.0.2.1', "192.0.2.1"],
    ['for=192.0.2.1;host="a,b", for=10.1.0.1', "192.0.2.1"],
  ])("is read from Forwarded where that is what the proxies write: %s", (header, ip) => {
    expect(finder("forwarded")(PROXY, header)).toEqual(trusted(ip));
  });

  test.each([
    ["for=unknown"],
    ["for=_hidden"],
    ["for=2001:db8::1"],
    ["for=192.0.2.1, proto=https"],
    ['for="192.0.2.1'],
    ["192.0.2.1"],
    ["for=192.0.2.1,,"],
  ])("is not read from a Forwarded that does not say it: %s", (header) => {
    expect(finder("forwarded")(PROXY, header)).toEqual(unread);
  });

  test("comes from the header that the proxies write, never from the other", () => {
    expect(finder()(PROXY, undefined, { forwarded: "for=6.6.6.6" })).toEqual(unread);
    expect(finder("forwarded")(PROXY, "for=192.0.2.1", { "x-forwarded-for": "6.6.6.6" })).toEqual(trusted("192.0.2.1"));
  });
});

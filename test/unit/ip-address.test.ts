import { SocketAddress } from "node:net";
import { describe, expect, test } from "vitest";
import { isInRange, parseIp, parseIpRange, sourceOf } from "../../src/core/ip-address.ts";

const textOf = (text: string) => parseIp(text)?.text;
const contains = (range: string, ip: string) => {
  const [network, address] = [parseIpRange(range), parseIp(ip)];
  return network && address && isInRange(address, network);
};

describe("an address", () => {
  test.each([
    ["192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201", "0:0:0:0:0:ffff:192.0.2.1", "::ffff:c000:0201"]],
    ["2001:db8::1", ["2001:db8::1", "2001:0DB8:0:0:0:0:0:1", "2001:db8:0:0::1", "2001:db8::0.0.0.1"]],
    ["::", ["::", "0:0:0:0:0:0:0:0", "0::0"]],
    ["::1", ["::1", "0::1", "::0.0.0.1"]],
    ["1::", ["1::", "1:0:0:0:0:0:0:0"]],
    ["2001:db8:0:1:1:1:1:1", ["2001:db8:0:1:1:1:1:1", "2001:db8::1:1:1:1:1"]],
    ["1:0:0:2::3", ["1:0:0:2:0:0:0:3", "1::2:0:0:0:3"]],
    ["64:ff9b::c000:201", ["64:ff9b::192.0.2.1"]],
  ])("%s has one form, however it is written", (canonical, written) => {
    for (const text of written) expect(textOf(text), text).toBe(canonical);
  });

  test.each([
    [
      "",
      " ",
      "1.2.3",
      "010.0.0.1",
      "10.1",
      "0x0a000001",
      "1.2.3.4.5",
      "256.0.0.1",
      "1.2.3.4 ",
      " 1.2.3.4",
      "1.2.3.4:80",
    ],
    [
      "fe80::1%eth0",
      "::ffff:1.2.3.4%1",
      "[::1]",
      "::1::",
      ":::",
      "1:2:3",
      "g::",
      "::ffff:010.0.0.1",
      "12345::",
      "a",
      "a,b",
    ],
  ])("is refused when it is written otherwise", (...texts) => {
    for (const text of texts) expect(textOf(text), text).toBeUndefined();
  });

  test("has the text that the system gives it", () => {
    let state = 20_260_301;
    const random = (below: number) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    for (let n = 0; n < 2_000; n += 1) {
      const groups = Array.from({ length: 8 }, () => (random(2) ? "0" : random(65_536).toString(16)));
      const address = groups.join(":");
      const expected = new SocketAddress({ address, family: "ipv6" }).address;
      // The system writes the end of some addresses as IPv4.
      if (!expected.includes(".")) expect(textOf(address), address).toBe(expected);
    }
  });
});

describe("a network", () => {
  test("holds what shares its leading bits", () => {
    expect(contains("10.0.0.0/8", "10.255.255.255")).toBe(true);
    expect(contains("10.0.0.0/8", "11.0.0.0")).toBe(false);
    expect(contains("10.128.0.0/9", "10.127.255.255")).toBe(false);
    expect(contains("192.0.2.7", "192.0.2.7")).toBe(true);
    expect(contains("192.0.2.7", "192.0.2.6")).toBe(false);
    expect(contains("10.0.0.0/8", "::ffff:10.1.2.3")).toBe(true);
    expect(contains("::ffff:10.0.0.0/104", "10.1.2.3")).toBe(true);
    expect(contains("2001:db8::/33", "2001:db8:7fff::1")).toBe(true);
    expect(contains("2001:db8::/33", "2001:db8:8000::1")).toBe(false);
  });

  test("of one family holds none of the other, however broad it is", () => {
    expect(contains("::/0", "8.8.8.8")).toBe(false);
    expect(contains("::/0", "2001:db8::1")).toBe(true);
    expect(contains("0.0.0.0/0", "2001:db8::1")).toBe(false);
    expect(contains("0.0.0.0/0", "8.8.8.8")).toBe(true);
  });

  test.each([
    ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/", "/8", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8", "a"],
    ["2001:db8::1/64", "::/129", "fe80::%eth0/64", "::ffff:10.0.0.0/90", "::ffff:10.0.0.1/104", "", "10.0.0.0/1e1"],
  ])("is refused with host bits or written otherwise", (...texts) => {
    for (const text of texts) expect(parseIpRange(text), text).toBeUndefined();
  });
});

test("all addresses of a subscriber are one source: an IPv4 address, an IPv6 /64", () => {
  const sources = (texts: string[]) =>
    new Set(texts.map((text) => sourceOf(parseIp(text) ?? { text: "", bytes: Uint8Array.of() })));
  expect(sources(["192.0.2.1", "::ffff:192.0.2.1", "::ffff:c000:201"])).toEqual(new Set(["192.0.2.1"]));
  const inOne = Array.from({ length: 1_000 }, (_, n) => `2001:db8:1:2:${n.toString(16)}:${(n * 7).toString(16)}::${n}`);
  expect(sources(inOne)).toEqual(new Set(["2001:db8:1:2::/64"]));
  expect(sources(["2001:db8:1:2::1", "2001:db8:1:3::1"]).size).toBe(2);
});

import { describe, expect, test } from "vitest";
import { readEmailAddress } from "../../src/factors/otp/email-address.ts";
import { newCode } from "../../src/factors/otp/otp-code.ts";
import { readPhoneNumber } from "../../src/factors/otp/phone-number.ts";

describe("phone numbers", () => {
  test("are kept as E.164, masked, with their country and their block", () => {
    expect(readPhoneNumber("+4915112345678", ["DE"])).toEqual({
      address: "+4915112345678",
      identity: "+4915112345678",
      masked: "+49 *** ** 78",
      country: "DE",
      block: "+491511234",
    });
  });

  test.each([
    ["a mobile number of another country", "+33612345678"],
    ["a premium number", "+19005551234"],
    ["a landline", "+4930123456"],
    ["a toll-free number", "+18005550199"],
    ["a number that no plan has", "+4990012345678"],
    ["a satellite number of no country", "+881612345678"],
    ["a number with an extension", "+12025550123;ext=9"],
    ["no number", "hello"],
  ])("%s is not sent to", (_, typed) => {
    expect(readPhoneNumber(typed, ["DE", "US"])).toBeUndefined();
  });

  test("no country is sent to where none is named", () => {
    expect(readPhoneNumber("+4915112345678", [])).toBeUndefined();
  });
});

describe("e-mail addresses", () => {
  test("keep the part before the @ as typed, and have one form of domain", () => {
    expect(readEmailAddress("A.b+Tag@BÜCHER.Example", [])).toEqual({
      address: "A.b+Tag@xn--bcher-kva.example",
      identity: "a.b+tag@xn--bcher-kva.example",
      masked: "A***@xn--bcher-kva.example",
      country: "",
      block: "",
    });
  });

  test("are not folded by what a provider ignores", () => {
    const identities = ["ab@gmail.com", "a.b@gmail.com", "ab+x@gmail.com"].map(
      (typed) => readEmailAddress(typed, [])?.identity,
    );
    expect(new Set(identities).size).toBe(3);
  });

  test.each([
    ["two addresses", "a@example.com,b@example.com"],
    ["a name and an address", "Ann <ann@example.com>"],
    ["a quoted local part", '"a b"@example.com'],
    ["a line break", "a@example.com\r\nBcc: eve@example.com"],
    ["a line break before the @", "a\nBcc:x@example.com"],
    ["two dots", "a..b@example.com"],
    ["a dot at the end", "a.@example.com"],
    ["no local part", "@example.com"],
    ["a host without a dot", "ann@localhost"],
    ["an IP address", "ann@127.0.0.1"],
    ["an address literal", "ann@[127.0.0.1]"],
    ["a port", "ann@example.com:25"],
    ["a path", "ann@example.com/x"],
    ["a percent sign", "ann@%65xample.com"],
    ["a query", "ann@example.com?x"],
    ["a backslash", "ann@example.com\\x"],
    ["other scripts before the @", "ännа@example.com"],
    ["a local part that is too long", `${"a".repeat(65)}@example.com`],
    ["an address that is too long", `a@${"b".repeat(60)}.${"c".repeat(63)}.${"d".repeat(63)}.${"e".repeat(63)}.com`],
  ])("%s is not sent to", (_, typed) => {
    expect(readEmailAddress(typed, [])).toBeUndefined();
  });

  test("go to the named domains only, and not to those below them", () => {
    expect(readEmailAddress("a@example.com", ["example.com"])).toBeDefined();
    for (const typed of ["a@mail.example.com", "a@notexample.com"]) {
      expect(readEmailAddress(typed, ["example.com"])).toBeUndefined();
    }
  });
});

test("codes have their length, and every digit appears in every place", () => {
  const codes = Array.from({ length: 2000 }, () => newCode(6));
  for (const code of codes) expect(code).toMatch(/^\d{6}$/);
  for (let place = 0; place < 6; place++) expect(new Set(codes.map((code) => code[place])).size).toBe(10);
});

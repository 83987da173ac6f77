import { createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { expect, test } from "vitest";
import { isSmallOrder, isStrictDer } from "../../src/crypto/strict-signatures.ts";
import { readKey } from "../../src/factors/push/device-key.ts";
import { algorithmOf } from "../../src/factors/webauthn/cose-key.ts";

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");

test("every signature that OpenSSL makes with P-256 is strict DER, whatever its numbers", () => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  for (let n = 0; n < 300; n++) expect(isStrictDer(sign("sha256", Buffer.from(`${n}`), privateKey))).toBe(true);
  expect(isStrictDer(hex("3006 020101 020101"))).toBe(true);
  expect(isStrictDer(hex("3008 02020080 02020080"))).toBe(true);
});

test.each([
  ["bytes behind it", "3006 020101 020101 0000"],
  ["bytes inside of it", "3008 020101 020101 0000"],
  ["a third number", "3009 020101 020101 020101"],
  ["a length in two bytes", "308106 020101 020101"],
  ["a number with a byte too many", "3007 02020001 020101"],
  ["a negative number", "3006 020180 020101"],
  ["a number that is cut off", "3006 020101 020201"],
  ["no second number", "3003 020101"],
  ["an empty number", "3005 0200 020101"],
  ["another tag", "3106 020101 020101"],
  ["nothing", ""],
])("a signature with %s is not", (_, text) => {
  expect(isStrictDer(hex(text))).toBe(false);
});

const SMALL = [
  "00".repeat(32),
  `${"00".repeat(31)}80`,
  `01${"00".repeat(31)}`,
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(31)}`,
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];

test.each(SMALL)(
  "the Ed25519 key %s, by which anything would verify, is taken from no phone and no passkey",
  (text) => {
    const x = hex(text);
    expect(isSmallOrder(x)).toBe(true);
    const spki = Buffer.concat([hex("302a300506032b6570032100"), x]);
    expect(readKey(spki, "ED25519")).toBeUndefined();
    const cose = Buffer.concat([hex("a4 01 01 03 27 20 06 21 5820"), x]);
    expect(algorithmOf(cose)).toBeUndefined();
  },
);

test("an ordinary Ed25519 key is taken by both", () => {
  const { publicKey } = generateKeyPairSync("ed25519");
  const spki = publicKey.export({ format: "der", type: "spki" });
  expect(readKey(spki, "ED25519")?.equals(createPublicKey(publicKey.export({ format: "pem", type: "spki" })))).toBe(
    true,
  );
  expect(algorithmOf(Buffer.concat([hex("a4 01 01 03 27 20 06 21 5820"), spki.subarray(-32)]))).toBe(-8);
});

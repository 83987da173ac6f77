import { create, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { violationsOf } from "../../src/core/rules.ts";
import { cutText, withoutControls } from "../../src/core/text.ts";
import { PIECE } from "../../src/core/turns.ts";
import { readDocument, type readers } from "../../src/factors/import/documents.ts";
import { mistakenFor, readSecret } from "../../src/factors/import/secret.ts";
import { growthOf } from "../support/engine/growth.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const SIZE = 48 * 1024;
/** A square would be 16; what a collection of garbage adds is far less than the rest. */
const LINEAR = 9;

const HEX = "3132333435363738393031323334353637383930";
const BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const BASE64 = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";

/** What has brought readers down: what opens and does not close, separators, escapes, joined and combining characters. */
const FILLERS = [
  ...[
    "a",
    "2",
    " ",
    "\t",
    "\n",
    "\r",
    '"',
    '""',
    '"a"b\n',
    "'",
    ",",
    ";",
    "=",
    "-",
    ":",
    "&",
    "&a=",
    "%",
    "%41",
    "+",
    "#",
    "/",
    "?",
  ],
  ...[
    "<",
    "<!--",
    "--",
    "<a>",
    "<a/>",
    "<a a='",
    "<![CDATA[",
    "]]>",
    "&amp;",
    "&#65;",
    "<KeyPackage>",
    "<Key/>",
    "</Key>",
  ],
  ...["\u0301", "\u200d", "👩‍💻", "é", "\ufffd", "\u0000", "u\totpauth://totp/x\n", `u,S,${HEX},totp\n`],
] as const;

const xml = (fill: string) =>
  `<KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage><DeviceInfo><SerialNo>${fill}</SerialNo></DeviceInfo>` +
  `<Key Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"><Data><Secret><PlainValue>${BASE64}</PlainValue></Secret></Data>` +
  `<UserId>u</UserId></Key></KeyPackage></KeyContainer>`;

/** Every format with a filler in each of its fields. */
const documents: readonly (readonly [keyof typeof readers, string, (fill: string) => string])[] = [
  ["OTPAUTH_URIS", "alone", (fill) => fill],
  ["OTPAUTH_URIS", "the user id", (fill) => `${fill}\totpauth://totp/x?secret=${BASE32}`],
  ["OTPAUTH_URIS", "the label", (fill) => `u\totpauth://totp/${fill}?secret=${BASE32}`],
  ["OTPAUTH_URIS", "the secret", (fill) => `u\totpauth://totp/x?secret=${fill}`],
  ["OTPAUTH_URIS", "the issuer", (fill) => `u\totpauth://totp/x?secret=${BASE32}&issuer=${fill}`],
  ["OTPAUTH_URIS", "the algorithm", (fill) => `u\totpauth://totp/x?secret=${BASE32}&algorithm=${fill}`],
  ["OTPAUTH_URIS", "the digits", (fill) => `u\totpauth://totp/x?secret=${BASE32}&digits=${fill}`],
  ["OTPAUTH_MIGRATION", "alone", (fill) => fill],
  ["OTPAUTH_MIGRATION", "the data", (fill) => `u\totpauth-migration://offline?data=${fill}`],
  [
    "OTPAUTH_MIGRATION",
    "an account",
    (fill) => {
      const account = new BinaryWriter().tag(1, 2).bytes(Buffer.from(fill)).tag(3, 2).string(fill).finish();
      const data = Buffer.from(new BinaryWriter().tag(1, 2).bytes(account).finish()).toString("base64url");
      return `u\totpauth-migration://offline?data=${data}`;
    },
  ],
  ["OATH_CSV", "alone", (fill) => fill],
  ["OATH_CSV", "an open quotation mark", (fill) => `"${fill}`],
  ["OATH_CSV", "each column", (fill) => `${fill},${fill},${HEX},totp,${fill},30,${fill}`],
  ["OATH_CSV", "the secret", (fill) => `u,S,${fill},totp,6,30`],
  ["OATH_CSV", "the first row", (fill) => `user,secret,${fill}\nu,${HEX}`],
  ["PSKC", "alone", (fill) => fill],
  ["PSKC", "an element", xml],
  ["PSKC", "the secret", (fill) => xml("S").replace(BASE64, () => fill)],
  ["PSKC", "an attribute", (fill) => xml("S").replace("<Key ", () => `<Key a="${fill}" `)],
  ["PSKC", "attributes", (fill) => xml("S").replace("<Key ", () => `<Key ${fill} `)],
  ["PSKC", "packages", (fill) => xml("S").replace("<KeyPackage>", () => `${fill}<KeyPackage>`)],
];

const filling = (filler: string, size: number) => filler.repeat(Math.ceil(size / filler.length));

describe("what a caller sends to be read takes time that grows with its size, and no faster", () => {
  test.each(documents)(
    "%s with anything in %s",
    async (format, _, documentOf) => {
      const odd: string[] = [];
      for (const filler of FILLERS) {
        const contents = new Map(
          [SIZE, 4 * SIZE].map((size) => [size, Buffer.from(documentOf(filling(filler, size)))]),
        );
        const growth = await growthOf((size) => readDocument(format, contents.get(size) ?? Buffer.alloc(0), NOW), SIZE);
        if (growth !== undefined && growth > LINEAR) odd.push(`${JSON.stringify(filler)}: ${growth.toFixed(1)}`);
      }
      expect(odd).toEqual([]);
    },
    120_000,
  );

  test("secrets and names of any length", async () => {
    const readings: ((text: string) => unknown)[] = [
      ...[(text: string) => readSecret(text, "base32"), (text: string) => readSecret(text, "hex")],
      ...[(text: string) => readSecret(text, "base64"), (text: string) => mistakenFor(Buffer.from(text))],
      (text: string) => cutText(withoutControls(text), 64),
    ];
    for (const filler of FILLERS) {
      for (const reading of readings) {
        const growth = await growthOf((size) => reading(filling(filler, size)), 8 * SIZE);
        expect(growth ?? 4, filler).toBeLessThan(LINEAR);
      }
    }
  }, 60_000);

  test("every text and every list of every request, held to its rules", async () => {
    const seen = new Set<DescMessage>();
    const collect = (message: DescMessage) => {
      if (seen.has(message)) return;
      seen.add(message);
      for (const field of message.fields) if (field.message) collect(field.message);
    };
    for (const { methods } of [MfaService, AdminMfaService, InternalMfaService])
      for (const { input } of methods) collect(input);
    const odd: string[] = [];
    for (const message of seen) {
      for (const field of message.fields) {
        const isText = field.fieldKind === "scalar" && field.scalar === ScalarType.STRING;
        const isList = field.fieldKind === "list" && field.listKind === "scalar" && field.scalar === ScalarType.STRING;
        if (!isText && !isList) continue;
        for (const filler of ["a.@", "é"]) {
          const of = (size: number) => {
            const held = reflect(message, create(message));
            if (isText) held.set(field, filling(filler, size));
            else if (field.fieldKind === "list") for (let n = 0; n < size / 32; n++) held.get(field).add(filler);
            return held.message;
          };
          const messages = new Map([SIZE, 4 * SIZE].map((size) => [size, of(size)]));
          const growth = await growthOf((size) => violationsOf(message, messages.get(size) ?? of(1)), SIZE);
          if (growth !== undefined && growth > LINEAR)
            odd.push(`${message.typeName}.${field.name}: ${growth.toFixed(1)}`);
        }
      }
    }
    expect(odd).toEqual([]);
  }, 180_000);
});

describe("while a long document is read", () => {
  const many = (n: number, one: (n: number) => string) => Array.from({ length: n }, (_, i) => one(i)).join("");
  const long: readonly (readonly [keyof typeof readers, string])[] = [
    [
      "OTPAUTH_URIS",
      many(
        240,
        (n) => `u${n}\totpauth://totp/Shop:u${n}?secret=${BASE32}&issuer=Shop&digits=6&period=30&algorithm=SHA1\n`,
      ),
    ],
    ["OTPAUTH_MIGRATION", many(240, (n) => `u${n}\totpauth-migration://offline?data=${"A".repeat(150)}\n`)],
    ["OATH_CSV", many(240, (n) => `u${n},"Serial ${"x".repeat(60)}",${HEX},totp,6,30,SHA1\n`)],
    ["OATH_CSV", `"${"x".repeat(40_000)}`],
    ["OATH_CSV", many(6_000, () => '"a"b\n')],
    ["PSKC", xml("S").replace(/<KeyPackage>.*<\/KeyPackage>/, (one) => one.repeat(90))],
    ["PSKC", xml("<x/>".repeat(9_000))],
  ];
  test.each(long)("others have their turn after each KiB: %s", async (format, text) => {
    let turns = 0;
    let isOver = false;
    const count = () => {
      turns++;
      if (!isOver) setImmediate(count);
    };
    setImmediate(count);
    const found = await readDocument(format, Buffer.from(text), NOW);
    isOver = true;
    // What has more entries than one call may have is read no further.
    const read = found.length > 250 ? 250 * 5 : text.length;
    expect(turns).toBeGreaterThanOrEqual(Math.floor(read / PIECE) - 1);
  });
});

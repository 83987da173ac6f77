import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { ImportFormat, ImportStatus } from "../../gen/mfa/v1/import_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { appOf } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { read, statuses, verify } from "../support/actors/importer.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const HEX = "3132333435363738393031323334353637383930";
const BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const BASE64 = "MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=";
const { OTPAUTH_URIS, OTPAUTH_MIGRATION, OATH_CSV, PSKC } = ImportFormat;

/** What each line of a document came to, as a dry run says: "IMPORTED", or line, field and reason. */
const tried = async (service: ServiceUnderTest, format: ImportFormat, content: string | Uint8Array) =>
  (await read(service, format, content, {})).results.map(({ status, error }) => error || ImportStatus[status]);

const nameOf = async (service: ServiceUnderTest, userId: string) =>
  (await service.admin.getUserTotp({ userId }, await adminOf(service))).devices.map(({ displayName }) => displayName);

const NAMESPACE = 'xmlns="urn:ietf:params:xml:ns:keyprov:pskc"';

/** A PSKC document of one key: what its elements hold, where a test wants something else. */
const pskc = ({
  user = "<UserId>u1</UserId>",
  secret = `<PlainValue>${BASE64}</PlainValue>`,
  format = 'Length="6" Encoding="DECIMAL"',
  more = "",
  device = "<SerialNo>S1</SerialNo>",
  data = "",
  algorithm = 'Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"',
  namespace = NAMESPACE,
  suite = "",
}) => `<KeyContainer Version="1.0" ${namespace}><KeyPackage><DeviceInfo>${device}</DeviceInfo><Key Id="1" ${algorithm}>
<AlgorithmParameters>${suite}<ResponseFormat ${format}/></AlgorithmParameters><Data><Secret>${secret}</Secret>
<TimeInterval><PlainValue>30</PlainValue></TimeInterval>${data}</Data>${user}${more}</Key></KeyPackage></KeyContainer>`;

describe.each(engines)("documents of other systems on $name", (engine) => {
  test("base32 is read as authenticator apps read it: left-over bits, padding, blanks, hyphens, lower case", async () => {
    const service = await serviceForTest(engine);
    const written = [
      "J3WWIV3PTGJPQV5QAICM",
      "j3ww-iv3p-tgjp-qv5q-aicm",
      "J3WW IV3P TGJP QV5Q AICM",
      "J3WWIV3PTGJPQV5QAICM====",
    ];
    const text = written.map((secret, n) => `u${n}\totpauth://totp/Ex:jo?secret=${secret.replaceAll(" ", "%20")}`);
    expect(statuses(await read(service, OTPAUTH_URIS, text.join("\n")))).toEqual(written.map(() => "IMPORTED"));
    const code = await appOf(service, "J3WWIV3PTGJPQV5QAICA")();
    for (const n of written.keys()) await verify(service, `u${n}`, code);
    const halves = ["JBSWY3DPEHPK3PXPJBSWY3", "JBSWY3DPEHPK3PXPJBS", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXPA"];
    const lines = halves.map((secret) => `v${secret.length}\totpauth://totp/Ex:jo?secret=${secret}`);
    expect(await tried(service, OTPAUTH_URIS, lines.join("\n"))).toEqual(halves.map(() => "IMPORTED"));
  });

  test("each line is judged by itself, and what is refused says line, field and reason, never a part of the secret", async () => {
    const service = await serviceForTest(engine);
    const bad = ["JBSWY3DP1HPK3PXPJBSW", "", "JBSWY3DP", "JBSW=Y3DPEHPK3PXPJBSW"];
    const lines = bad.map((secret, n) => `u${n}\totpauth://totp/x?secret=${secret}`);
    const reply = await read(
      service,
      OTPAUTH_URIS,
      [`ok\totpauth://totp/x?secret=${BASE32}`, "", ...lines].join("\r\n"),
    );
    expect(reply.results.map(({ status, line, field, error }) => [ImportStatus[status], line, field, error])).toEqual([
      ["IMPORTED", 1, "", ""],
      ["REFUSED", 3, "secret", "line 3, secret: has characters that are not base32"],
      ["REFUSED", 4, "secret", "line 4, secret: is empty"],
      ["REFUSED", 5, "secret", "line 5, secret: has 5 bytes, and 10 to 128 are taken"],
      ["REFUSED", 6, "secret", "line 6, secret: has characters that are not base32"],
    ]);
    expect(reply).toMatchObject({ committed: true, importedCount: 1, refusedCount: 4 });
  });

  test("a line has 8 KiB at most, and a document 48 KiB and 250 apps", async () => {
    const service = await serviceForTest(engine);
    const line = (bytes: number, begin = "otpauth://totp/x?") => {
      const head = `ann\t${begin}secret=${BASE32}&image=`;
      return head + "x".repeat(bytes - head.length);
    };
    expect(await tried(service, OTPAUTH_URIS, [line(8192), line(8193)].join("\n"))).toEqual([
      "IMPORTED",
      expect.stringMatching(/^line 2.*8/),
    ]);
    const long = line(8193, "otpauth-migration://offline?");
    expect(await tried(service, OTPAUTH_MIGRATION, long)).toEqual([expect.stringMatching(/^line 1.*8/)]);
    const lines = (count: number, end = "") =>
      Array.from({ length: count }, (_, n) => `u${n}\totpauth://totp/x?secret=${BASE32}`).join("\n") + end;
    const full = lines(250);
    const whole = await tried(service, OTPAUTH_URIS, full + "\n".repeat(49_152 - full.length));
    expect(whole).toEqual(Array(250).fill("IMPORTED"));
    for (const beyond of [full + "\n".repeat(49_153 - full.length), lines(251)]) {
      expect((await failure(tried(service, OTPAUTH_URIS, beyond))).reason).toBe("INVALID_FIELD");
    }
  });

  test("a key URI is read as apps read it: any case, the issuer of its label, whole characters of a long name", async () => {
    const service = await serviceForTest(engine);
    const family = "👨‍👩‍👧‍👦";
    const uris = {
      upper: `OTPAUTH://TOTP/EX:JO?SECRET=${BASE32}&DIGITS=6`,
      label: `otpauth://totp/Acme:jo?secret=${BASE32}`,
      escaped: `otpauth://totp/Acme%20Co%3A%20jo?secret=${BASE32}`,
      hmac: `otpauth://totp/Ex:jo?secret=${BASE32}&algorithm=HmacSHA256`,
      dashed: `otpauth://totp/Ex:jo?secret=${BASE32}&algorithm=sha-512&issuer=`,
      long: `otpauth://totp/x?secret=${BASE32}&issuer=${encodeURIComponent(family.repeat(12))}`,
      bare: `otpauth://totp/jo?secret=${BASE32}`,
    };
    const text = Object.entries(uris).map(([user, uri]) => `${user}\t${uri}`);
    expect(statuses(await read(service, OTPAUTH_URIS, text.join("\n")))).toEqual(text.map(() => "IMPORTED"));
    const named = async (user: string) => (await nameOf(service, user))[0];
    expect(await named("upper")).toBe("EX");
    expect(await named("label")).toBe("Acme");
    expect(await named("escaped")).toBe("Acme Co");
    expect(await named("long")).toBe(family.repeat(9));
    expect(await named("bare")).toBe("Authenticator app");
    const { devices } = await service.admin.getUserTotp({ userId: "hmac" }, await adminOf(service));
    expect(devices[0]?.algorithm).toBe(TotpAlgorithm.SHA256);
  });

  test("what the codes of a key URI depend on is carried or refused, and never guessed", async () => {
    const service = await serviceForTest(engine);
    const uris = [
      `otpauth://totp/Steam:jo?secret=${BASE32}&period=30&issuer=Steam&encoder=steam`,
      `otpauth://totp/Steam:jo?secret=${BASE32}`,
      `otpauth://totp/x?secret=${BASE32}&encoder=base26`,
      `otpauth://totp/x?secret=${BASE32}&digits=6&digits=8`,
      `otpauth://totp/x?secret=${BASE32}&digits=0x6`,
      `otpauth://totp/x?secret=${BASE32}&period=20`,
      `otpauth://totp/x?secret=${BASE32}&interval=60`,
      `otpauth://totp/x?secret=${BASE32}&algorithm=MD5`,
      `otpauth://totp/x?secret=${BASE32}&issuer=C#&digits=8`,
      `otpauth://totp/x?secret=${BASE32}&issuer=M%FCller`,
    ];
    const text = uris.map((uri, n) => `u${n}\t${uri}`).join("\n");
    expect(await tried(service, OTPAUTH_URIS, text)).toEqual([
      ...["line 1, type: not a TOTP: Steam shows letters", "line 2, type: not a TOTP: Steam shows letters"],
      ...["line 3, encoder: is a parameter that is not understood", "line 4, digits: is there twice"],
      expect.stringMatching(/^line 5, digits: /),
      expect.stringMatching(/^line 6, period: /),
      "line 7, interval: is a parameter that is not understood",
      expect.stringMatching(/^line 8, algorithm: /),
      "line 9, uri: has a # that is not written as %23",
      "line 10, display_name: is not UTF-8",
    ]);
  });

  test("columns of CSV are read by the names in their first row, in any order and between any usual separators", async () => {
    const service = await serviceForTest(engine);
    const entra = `upn,serial number,secret key,time interval,manufacturer,model\njo@contoso.test,1234567,${BASE32},30,Contoso,HardwareKey`;
    expect(statuses(await read(service, OATH_CSV, entra))).toEqual(["IMPORTED"]);
    await verify(service, "jo@contoso.test", await appOf(service, BASE32)());
    expect(await nameOf(service, "jo@contoso.test")).toEqual(["1234567"]);
    const semicolons = `\ufeff"Secret (hex)";"User";"Hash";"OTP length";"Time step"\r\n${HEX};ann;sha-256;8;60\r\n`;
    expect(statuses(await read(service, OATH_CSV, semicolons))).toEqual(["IMPORTED"]);
    const { devices } = await service.admin.getUserTotp({ userId: "ann" }, await adminOf(service));
    expect(devices).toMatchObject([{ algorithm: TotpAlgorithm.SHA256, digits: 8, period: { seconds: 60n } }]);
    const tabs = `user\tserial\tseed\ttype\nbob\t"S\n2"\t${HEX}\ttotp\nkim\tS3\t${HEX}\thotp`;
    expect(await tried(service, OATH_CSV, tabs)).toEqual(["IMPORTED", "line 4, type: not a TOTP"]);
  });

  test("columns in another order, unknown ones and an empty first field are refused by line or by name", async () => {
    const service = await serviceForTest(engine);
    expect(await tried(service, OATH_CSV, `OATH0001, ${HEX}, totp, 6, 30\n\nu1,S2,${HEX},totp,6,30`)).toEqual([
      expect.stringMatching(/^line 1, columns: the user id is missing: columns are user_id, serial, secret, /),
      "IMPORTED",
    ]);
    const manager = `folder,favorite,type,name,notes,fields,reprompt,login_uri,login_username,login_password,login_totp\n,,login,Ex,,,0,,jo,pw,${BASE32}`;
    expect(await tried(service, OATH_CSV, manager)).toEqual([
      expect.stringMatching(
        /^line 1, columns: not understood: "folder", "favorite", .*"login_totp"; understood are user_id, /,
      ),
    ]);
    expect(await tried(service, OATH_CSV, `,S1,${HEX},totp,6,30\nu1,S2,${HEX},totp`)).toEqual([
      ...["line 1, user_id: is missing", "IMPORTED"],
    ]);
    expect(await tried(service, OATH_CSV, `user,secret\nann,${HEX},6\n${BASE32}`)).toEqual([
      ...["line 2: 3 columns where the first row names 2", "line 3: 1 columns where the first row names 2"],
    ]);
    expect(await tried(service, OATH_CSV, `serial,secret\nS1,${HEX}`)).toEqual([
      "line 1, columns: user_id is missing: whose factors they are",
    ]);
    expect(await tried(service, OATH_CSV, `u1,S1,${HEX},totp\nu2,S"2,${HEX},totp\nu3,S3,${HEX},totp`)).toEqual([
      ...["IMPORTED", "line 2: quotation marks do not enclose a field", "IMPORTED"],
    ]);
    expect(await tried(service, OATH_CSV, `u1,S1,!!!,totp\nu2,"S2,${HEX},totp\nu3,S3,${HEX},totp`)).toEqual([
      "line 1, secret: has characters that are not base32",
      expect.stringMatching(/a quotation mark is not closed/),
    ]);
  });

  test("a seed of SHA-256 stays one of SHA-256: it names its hash or is refused, as is a secret of two readings", async () => {
    const service = await serviceForTest(engine);
    const seed = `${HEX}313233343536373839303132`;
    const lines = [`u1,S1,${seed},totp,6,30`, `u2,S2,${seed},totp,6,30,SHA256`, `u3,S3,${seed},totp,6,30,sha1`];
    expect(statuses(await read(service, OATH_CSV, lines.join("\n")))).toEqual([
      expect.stringMatching(/^REFUSED: line 1, algorithm: is missing, and a seed of 32 bytes may be for SHA-256/),
      ...["IMPORTED", "IMPORTED"],
    ]);
    const { devices } = await service.admin.getUserTotp({ userId: "u2" }, await adminOf(service));
    expect(devices[0]?.algorithm).toBe(TotpAlgorithm.SHA256);
    const either = "ABCDEF234567ABCDEF234567";
    expect(await tried(service, OATH_CSV, `u4,S4,${either},totp`)).toEqual([
      "line 1, secret: can be hexadecimal and base32: call its column secret_hex or secret_base32",
    ]);
    // The other secrets of the document say what it is.
    expect(await tried(service, OATH_CSV, `u4,S4,${either},totp\nu5,S5,${HEX},totp`)).toEqual(["IMPORTED", "IMPORTED"]);
  });

  test("a document that is not UTF-8 brings no user whose name nobody can type", async () => {
    const service = await serviceForTest(engine);
    const csv = Buffer.from(`jürgen,SN1,${HEX},totp,6,30\nann,SN2,${HEX},totp,6,30`, "latin1");
    expect(await tried(service, OATH_CSV, csv)).toEqual(["line 1, user_id: is not UTF-8", "IMPORTED"]);
    const uris = Buffer.from(
      `jürgen\totpauth://totp/x?secret=${BASE32}\nann\totpauth://totp/x?secret=${BASE32}`,
      "latin1",
    );
    expect(await tried(service, OTPAUTH_URIS, uris)).toEqual(["line 1: not UTF-8", "IMPORTED"]);
    const xml = pskc({ user: "<UserId>jürgen</UserId>" });
    expect(await tried(service, PSKC, Buffer.from(xml, "latin1"))).toEqual(["line 1, user_id: is not UTF-8"]);
    expect(await tried(service, PSKC, `<?xml version="1.0" encoding="ISO-8859-1"?>${pskc({})}`)).toEqual([
      "line 1, document: another encoding than UTF-8",
    ]);
    expect(await tried(service, OATH_CSV, Buffer.from(`\ufeffann,S,${HEX},totp`, "utf16le"))).toEqual([
      "line 1, document: not UTF-8",
    ]);
    expect(await tried(service, OATH_CSV, `\ufeffjürgen,S,${HEX},totp`)).toEqual(["IMPORTED"]);
  });

  test("PSKC is read as XML: either quotes, CDATA, characters by number, namespaces, comments, and elements in their places", async () => {
    const service = await serviceForTest(engine);
    const documents = {
      "a quote's": pskc({ user: "<UserId>a quote&apos;s</UserId>", format: "Length='8' Encoding='DECIMAL'" }),
      müller: pskc({ user: "<UserId>m&#252;ller</UserId>", secret: `<PlainValue><![CDATA[${BASE64}]]></PlainValue>` }),
      ann: pskc({
        user: "<UserId><![CDATA[ann]]></UserId>",
        device: '<Model Length="8">x</Model><!-- <UserId>eve</UserId> -->',
      }),
      bob: pskc({
        user: "<UserId>bob</UserId>",
        more: `<Extensions><KeyPackage><![CDATA[${pskc({})}]]></KeyPackage></Extensions>`,
      }),
      kim: pskc({
        namespace: 'xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"',
        user: "<UserId>kim</UserId>",
      }).replaceAll(/<(\/?)(\w)/g, "<$1p:$2"),
      zoe: pskc({ user: "<UserId>zoe</UserId>", suite: "<Suite>HMAC-SHA256</Suite>" }),
    };
    for (const [user, document] of Object.entries(documents)) {
      const { results } = await read(service, PSKC, document);
      expect(results.map(({ userId, error }) => [userId, error])).toEqual([[user, ""]]);
      const { devices } = await service.admin.getUserTotp({ userId: user }, await adminOf(service));
      await verify(service, user, await appOf(service, BASE32, devices[0])());
      expect(devices[0]?.digits).toBe(user === "a quote's" ? 8 : 6);
    }
  });

  test("what a key of PSKC asks for and is not kept refuses it, and so does a document that is not well-formed", async () => {
    const service = await serviceForTest(engine);
    const policy = (inside: string) => pskc({ more: `<Policy>${inside}</Policy>` });
    const cases: [string, string | RegExp][] = [
      [policy("<ExpiryDate>2010-05-31T00:00:00Z</ExpiryDate>"), "line 1, Policy/ExpiryDate: the key has expired"],
      [
        policy("<ExpiryDate>2090-05-31T00:00:00Z</ExpiryDate>"),
        /^line 1, Policy\/ExpiryDate: an end that cannot be kept/,
      ],
      [
        policy("<StartDate>2090-05-31T00:00:00Z</StartDate>"),
        "line 1, Policy/StartDate: the key is not to be used yet",
      ],
      [policy("<KeyUsage>Encrypt</KeyUsage>"), "line 1, Policy/KeyUsage: not for one-time passwords"],
      [policy("<PINPolicy PINUsageMode='Append'/>"), "line 1, Policy/PINPolicy: a PIN that cannot be asked for"],
      [policy("<NumberOfTransactions>3</NumberOfTransactions>"), "line 1, Policy: a policy that is not understood"],
      [policy("<StartDate>2006-05-01T00:00:00Z</StartDate><KeyUsage>OTP</KeyUsage>"), "IMPORTED"],
      [pskc({ format: 'Length="6" Encoding="HEXADECIMAL"' }), "line 1, ResponseFormat/Encoding: not decimal"],
      [pskc({ format: 'Length="6" CheckDigits="true"' }), /^line 1, ResponseFormat\/CheckDigits: /],
      [pskc({ data: "<TimeDrift><PlainValue>9</PlainValue></TimeDrift>" }), /^line 1, TimeDrift: /],
      [pskc({ device: "<UserId>eve</UserId>" }), "line 1, user_id: the device has another user than the key"],
      [pskc({ user: "<UserId>a</UserId><UserId>b</UserId>" }), "line 1, Key/UserId: is there more than once"],
      [pskc({ algorithm: "Algorithm='urn:ietf:params:xml:ns:keyprov:pskc:hotp'" }), "line 1, type: not a TOTP"],
      [pskc({ secret: "<PlainValue>not base64!</PlainValue>" }), "line 1, secret: is not base64"],
      [pskc({ secret: "<EncryptedValue/>" }), "line 1, secret: an encrypted key"],
      [pskc({ namespace: "" }), "line 1, document: no key package of urn:ietf:params:xml:ns:keyprov:pskc"],
      [`<!DOCTYPE x [<!ENTITY a "b">]>${pskc({})}`, "line 1, document: a document type declaration"],
      [pskc({}).replace("</Key>", ""), /^line 3, document: not well-formed XML/],
      [pskc({ user: "<UserId>&eve;</UserId>" }), /^line 3, document: not well-formed XML/],
      ["<a>".repeat(40), "line 1, document: elements that are too deep"],
    ];
    for (const [document, expected] of cases) {
      const [found] = await tried(service, PSKC, document);
      if (typeof expected === "string") expect(found, document).toBe(expected);
      else expect(found, document).toMatch(expected);
    }
  });

  test("an export of Google Authenticator with another hash, digits or kind is refused account by account", async () => {
    const service = await serviceForTest(engine);
    const account = (hash: number, digits: number, type: number, length = 20) => {
      const writer = new BinaryWriter().tag(1, 2).bytes(Buffer.alloc(length, "x")).tag(2, 2).string("Shop:ann");
      return writer.tag(4, 0).int32(hash).tag(5, 0).int32(digits).tag(6, 0).int32(type).finish();
    };
    const accounts = [account(2, 2, 2), account(4, 1, 2), account(1, 9, 2), account(1, 1, 1), account(1, 1, 2, 5)];
    const payload = accounts.reduce((writer, one) => writer.tag(1, 2).bytes(one), new BinaryWriter()).finish();
    const data = encodeURIComponent(Buffer.from(payload).toString("base64"));
    expect(await tried(service, OTPAUTH_MIGRATION, `ann\tOTPAUTH-MIGRATION://offline?data=${data}`)).toEqual([
      ...["IMPORTED", expect.stringMatching(/^line 1, algorithm: /), expect.stringMatching(/^line 1, digits: /)],
      ...["line 1, type: not a TOTP", "line 1, secret: has 5 bytes, and 10 to 128 are taken"],
    ]);
    await read(service, OTPAUTH_MIGRATION, `ann\totpauth-migration://offline?data=${data}`);
    expect(await nameOf(service, "ann")).toEqual(["Shop"]);
  });
});

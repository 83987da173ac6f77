import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { readDocument, type readers } from "../../src/factors/import/documents.ts";
import type { ReadApp } from "../../src/factors/import/read.ts";

const NOW = new Date("2026-03-01T12:00:00Z");
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

type App = Omit<ReadApp, "line" | "displayName">;
type Form = keyof typeof readers;

/** Draws from a seed, so that what fails once fails again. */
function drawing(seed: number) {
  let state = seed;
  const next = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  return <T>(among: readonly T[]): T => among[Math.floor(next() * among.length)] as T;
}

const BYTES = Array.from({ length: 256 }, (_, n) => n);
const USERS = [
  "ann",
  "jürgen",
  "o'neil",
  "a&b",
  'say "hi"',
  "x;y",
  "z,z",
  "日本",
  "CN=ann, OU=x",
  "ann@example.com",
] as const;

function drawApp(draw: ReturnType<typeof drawing>): App {
  const length = draw([10, 16, 20, 20, 20, 32, 64]);
  return {
    userId: draw(USERS),
    secret: Uint8Array.from({ length }, () => draw(BYTES)),
    algorithm: draw(["SHA1", "SHA256", "SHA512"] as const),
    digits: draw([6, 8]),
    periodSeconds: draw([15, 30, 60]),
  };
}

function base32(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{1,5}/g) ?? []).map((five) => ALPHABET[Number.parseInt(five.padEnd(5, "0"), 2)]).join("");
}
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64");
const xml = (text: string) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
const cell = (text: string) => `"${text.replaceAll('"', '""')}"`;

const uri = (app: App, query: string) => `${app.userId}\totpauth://totp/Shop:x?secret=${base32(app.secret)}&${query}`;
const row = (app: App, secret: string) =>
  [app.userId, "S1", secret, "totp", app.digits, app.periodSeconds, app.algorithm].map(String).map(cell).join();
const named = (app: App, names: string, values: readonly (string | number)[]) =>
  `${names}\n${[app.userId, ...values].map(String).map(cell).join()}`;

const pskc = (
  app: App,
  { secret = base64(app.secret), format = `Length="${app.digits}"`, inside = "", interval = "" },
) =>
  `<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:p="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage>
<Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"><AlgorithmParameters><Suite>HMAC-${app.algorithm}</Suite>${inside}
<ResponseFormat ${format} Encoding="DECIMAL"/></AlgorithmParameters><Data><Secret><PlainValue>${secret}</PlainValue></Secret>
<TimeInterval>${interval || `<PlainValue>${app.periodSeconds}</PlainValue>`}</TimeInterval></Data>
<UserId>${xml(app.userId)}</UserId></Key></KeyPackage></KeyContainer>`;

function migration({ userId, secret, algorithm, digits }: App, hashType = 0) {
  const account = new BinaryWriter().tag(1, 2).bytes(secret).tag(2, 2).string("Shop:ann");
  const hash = ["", "SHA1", "SHA256", "SHA512"].indexOf(algorithm);
  if (hashType === 0) account.tag(4, 0).int32(hash);
  else account.tag(4, 5).fixed32(hash);
  account
    .tag(5, 0)
    .int32(digits === 8 ? 2 : 1)
    .tag(6, 0)
    .int32(2);
  const data = base64(new BinaryWriter().tag(1, 2).bytes(account.finish()).finish());
  return `${userId}\totpauth-migration://offline?data=${encodeURIComponent(data)}`;
}

/** How an app may be written, by what it is called here. Those that are "read" must be; of the others none may be read as another app. */
const written: Record<string, { form: Form; of: (app: App) => string; read?: true }> = {
  "a key URI": { form: "OTPAUTH_URIS", read: true, of: (app) => uri(app, query(app)) },
  "a key URI in upper case": {
    form: "OTPAUTH_URIS",
    read: true,
    of: (app) =>
      uri(app, query(app).toUpperCase()).replace("otpauth://totp", "OTPAUTH://TOTP").replace("secret", "SECRET"),
  },
  "a key URI of FreeOTP+ or andOTP, with things that codes do not depend on": {
    form: "OTPAUTH_URIS",
    read: true,
    of: (app) =>
      uri(app, `${query(app)}&image=https%3A%2F%2Fx.test%2Fa.png&color=ff0000&lock=true&tags=work&icon=shop`),
  },
  "a key URI that was copied out of HTML": {
    form: "OTPAUTH_URIS",
    of: (app) => uri(app, query(app)).replaceAll("&", "&amp;"),
  },
  "a key URI with short names of what codes depend on": {
    form: "OTPAUTH_URIS",
    of: (app) => uri(app, `algo=${app.algorithm}&digit=${app.digits}&period=${app.periodSeconds}`),
  },
  "a key URI with the names of other systems": {
    form: "OTPAUTH_URIS",
    of: (app) => uri(app, `hashlib=${app.algorithm}&otplen=${app.digits}&timeStep=${app.periodSeconds}`),
  },
  "CSV without names, in hexadecimal": { form: "OATH_CSV", read: true, of: (app) => row(app, hex(app.secret)) },
  "CSV without names, in base32": { form: "OATH_CSV", of: (app) => row(app, base32(app.secret)) },
  "CSV without names, in base64": { form: "OATH_CSV", of: (app) => row(app, base64(app.secret)) },
  "CSV with a separator line": {
    form: "OATH_CSV",
    read: true,
    of: (app) =>
      `sep=,\n${named(app, "user,secret_hex,period,digits,hash", [hex(app.secret), app.periodSeconds, app.digits, app.algorithm])}`,
  },
  "CSV of Entra": {
    form: "OATH_CSV",
    of: (app) =>
      named(app, "assignTo,serialNumber,secretKey,timeIntervalInSeconds,manufacturer,model,hashFunction", [
        ...["S1", base32(app.secret), app.periodSeconds, "Contoso", "Key", `hmac${app.algorithm.toLowerCase()}`],
      ]).replace(/^/, app.digits === 6 ? "" : "digits"),
  },
  "CSV with a base64 secret under a name": {
    form: "OATH_CSV",
    of: (app) =>
      named(app, "user,secret,digits,period,hash", [base64(app.secret), app.digits, app.periodSeconds, app.algorithm]),
  },
  "CSV with a base64 secret under the name of base32": {
    form: "OATH_CSV",
    of: (app) =>
      named(app, "user,secret_base32,digits,period,hash", [
        base64(app.secret),
        app.digits,
        app.periodSeconds,
        app.algorithm,
      ]),
  },
  "CSV with names in another language, the serial number first": {
    form: "OATH_CSV",
    of: (app) => `Seriennummer,Benutzer,Geheimnis,Typ\n${["S1", app.userId, hex(app.secret), "totp"].map(cell).join()}`,
  },
  "CSV with a line above its names": {
    form: "OATH_CSV",
    of: (app) =>
      `Tokens of 2026\nserial,user,secret,type\n${["S1", app.userId, hex(app.secret), "totp"].map(cell).join()}`,
  },
  "CSV with the columns of privacyIDEA": {
    form: "OATH_CSV",
    of: (app) => ["S1", hex(app.secret), "totp", app.digits, app.periodSeconds].map(String).map(cell).join(),
  },
  "CSV with a realm": {
    form: "OATH_CSV",
    of: (app) =>
      named(app, "user,realm,serial,otpkey,tokentype,otplen", ["r", "S1", hex(app.secret), "totp", app.digits]),
  },
  PSKC: { form: "PSKC", read: true, of: (app) => pskc(app, {}) },
  "PSKC with prefixed attributes": {
    form: "PSKC",
    read: true,
    of: (app) => pskc(app, { format: `p:Length="${app.digits}"` }),
  },
  "PSKC with an attribute in lower case": {
    form: "PSKC",
    of: (app) => pskc(app, { format: `length="${app.digits}"` }),
  },
  "PSKC with a secret in hexadecimal": { form: "PSKC", of: (app) => pskc(app, { secret: hex(app.secret) }) },
  "PSKC with a secret in base32": { form: "PSKC", of: (app) => pskc(app, { secret: base32(app.secret) }) },
  "PSKC with an encrypted period": {
    form: "PSKC",
    of: (app) => pskc(app, { interval: "<EncryptedValue><x xmlns='urn:x'/></EncryptedValue>" }),
  },
  "PSKC with an element in another place": {
    form: "PSKC",
    of: (app) => pskc(app, { format: "", inside: `<Length>${app.digits}</Length>` }),
  },
  "PSKC with an element of no namespace": {
    form: "PSKC",
    of: (app) => pskc(app, { format: "", inside: `<ResponseFormat xmlns="" Length="${app.digits}"/>` }),
  },
  "an export of Google Authenticator": {
    form: "OTPAUTH_MIGRATION",
    read: true,
    of: (app) => migration({ ...app, periodSeconds: 30 }),
  },
  "an export with its hash in another type": { form: "OTPAUTH_MIGRATION", of: (app) => migration(app, 1) },
  "a vault in JSON, as Aegis, 2FAS and andOTP have them, for CSV": { form: "OATH_CSV", of: vault },
  "a vault in JSON for key URIs": { form: "OTPAUTH_URIS", of: vault },
  "a vault in JSON for PSKC": { form: "PSKC", of: vault },
  "a vault in JSON for an export": { form: "OTPAUTH_MIGRATION", of: vault },
};

function query({ algorithm, digits, periodSeconds }: App): string {
  return `algorithm=${algorithm}&digits=${digits}&period=${periodSeconds}`;
}

function vault({ userId, secret, algorithm, digits, periodSeconds }: App): string {
  const info = { secret: base32(secret), algo: algorithm, digits, period: periodSeconds };
  return JSON.stringify(
    { version: 1, db: { entries: [{ type: "totp", name: userId, issuer: "Shop", info }] } },
    null,
    2,
  );
}

/** What codes, and whose they are, depend on. */
const essence = ({ userId, secret, algorithm, digits, periodSeconds }: App) =>
  [userId, hex(secret), algorithm, digits, periodSeconds].join(" ");

describe("documents as other products write them", () => {
  test.each(Object.entries(written))("%s: no app is read as another one", async (name, { form, of, read }) => {
    const draw = drawing(4711);
    let count = 0;
    for (let n = 0; n < 200; n += 1) {
      // An export has no period, and the first column of Entra's no digits.
      const drawn = drawApp(draw);
      const app = form === "OTPAUTH_MIGRATION" ? { ...drawn, periodSeconds: 30 } : drawn;
      for (const found of await readDocument(form, Buffer.from(of(app)), NOW)) {
        if (!("secret" in found)) continue;
        count += 1;
        expect(essence(found), `${name}: ${of(app)}`).toBe(essence(app));
      }
    }
    if (read) expect(count).toBeGreaterThan(190);
  });

  test("a document with any part taken out, doubled or put elsewhere is read or refused, and a fault of its own is no error", async () => {
    const draw = drawing(42);
    const kinds = Object.values(written);
    for (let n = 0; n < 1_500; n += 1) {
      const { form, of } = draw(kinds);
      const text = of(drawApp(draw));
      const [a, b, c] = [0, 1, 2].map(() => Math.floor((draw(BYTES) / 256) * text.length)) as [number, number, number];
      const [from, to] = a < b ? [a, b] : [b, a];
      const odd = draw(["", "\0", "\ufeff", '"', "'", "%", "&", "<", "\t", "\n", "=", "\ud800", "…"]);
      const part = draw([text.slice(from, to), odd, ""]);
      const changed = draw([text.slice(0, from) + text.slice(to), text.slice(0, c) + part + text.slice(c)]);
      const content = draw([Buffer.from(changed), Buffer.from(changed, "latin1"), Buffer.from(changed, "utf16le")]);
      const found = await readDocument(form, content, NOW);
      expect(found.length).toBeGreaterThan(0);
    }
  });
});

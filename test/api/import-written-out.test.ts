import { describe, expect, test } from "vitest";
import { ImportStatus } from "../../gen/mfa/v1/import_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { appOf } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { bring, statuses, verify } from "../support/actors/importer.ts";
import { switchOn } from "../support/actors/one-time-codes.ts";
import { makePasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const BASE32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const HEX = "3132333435363738393031323334353637383930";

const app = (userId: string, value: object, more: object = {}) => ({
  userId,
  kind: { case: "totp" as const, value },
  ...more,
});

const tried = async (service: ServiceUnderTest, factors: object[]) =>
  (await bring(service, factors, {})).results.map(({ status, error }) => error || ImportStatus[status]);

describe.each(engines)("factors that are written out on $name", (engine) => {
  test("a secret comes in base32 or hexadecimal by fields of their own, in which another form is an error", async () => {
    const service = await serviceForTest(engine);
    const good = [
      { secretBase32: "gezd gnbv gy3t qojq-gezd-gnbv-gy3t-qojq" },
      { secretBase32: `${BASE32}====` },
      { secretHex: HEX.toUpperCase() },
    ];
    expect(
      statuses(
        await bring(
          service,
          good.map((value, n) => app(`u${n}`, value)),
        ),
      ),
    ).toEqual(good.map(() => "IMPORTED"));
    for (const n of good.keys()) await verify(service, `u${n}`, await appOf(service, BASE32)());
    expect(
      await tried(service, [
        ...[app("a", { secretBase32: HEX }), app("b", { secretHex: BASE32 }), app("c", { secretHex: HEX.slice(1) })],
        ...[app("d", { secretBase32: "JbSwY3DpEhPk3PxPJbSwY3Dp" }), app("e", { secretBase32: "JBSWY3DP" })],
        ...[app("f", {}), app("g", { secretHex: HEX, secretBase32: BASE32 }), app("h", { secretHex: HEX })],
      ]),
    ).toEqual([
      ...[
        "totp.secret_base32: has characters that are not base32",
        "totp.secret_hex: has characters that are not hexadecimal",
      ],
      "totp.secret_hex: has an odd number of hexadecimal digits",
      "totp.secret_base32: has letters of both cases, as base64 has: not base32",
      "totp.secret_base32: has 5 bytes, and 10 to 128 are taken",
      "totp.secret: one of secret, secret_base32 and secret_hex is needed, and there are 0",
      ...["totp.secret: one of secret, secret_base32 and secret_hex is needed, and there are 2", "IMPORTED"],
    ]);
  });

  test("base32 or hexadecimal where the bytes belong is refused, in a dry run too, and the error says which field takes it", async () => {
    const service = await serviceForTest(engine);
    // As JSON has bytes, a text in base64 is expected there; other clients send the letters themselves.
    const texts = [BASE32, "JBSWY3DPEHPK3PXP", BASE32.toLowerCase(), "JBSWY3DPEHPK3PXPJBSWY3DPEH"];
    const asBase64 = texts.map((text, n) => app(`b${n}`, { secret: Buffer.from(text, "base64") }));
    const base32 = [...asBase64, app("letters", { secret: Buffer.from(BASE32) })];
    const told =
      /^totp\.secret: looks as if a text in base32 was taken for the bytes: give it as secret_base32, or the bytes meant as secret_hex$/;
    for (const found of await tried(service, base32)) expect(found).toMatch(told);
    const hex = "48656c6c6f21deadbeef48656c6c6f21deadbeef";
    const hexes = [Buffer.from(hex, "base64"), Buffer.from(hex)].map((secret, n) => app(`h${n}`, { secret }));
    for (const found of await tried(service, hexes)) expect(found).toMatch(/ give it as secret_hex/);
    expect(statuses(await bring(service, [app("ok", { secret: Buffer.from(HEX, "hex") })]))).toEqual(["IMPORTED"]);
  });

  test("a factor that breaks a rule is refused by itself, and the others of the call are imported", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const secret = Buffer.from(HEX, "hex");
    const found = await bring(service, [
      ...[
        app("ok", { secret }),
        app("period", { secret, period: { seconds: 20n, nanos: 0 } }),
        app("digits", { secret, digits: 7 }),
      ],
      ...[app("", { secret }), app("u".repeat(256), { secret }), app("name", { secret }, { displayName: "a\u0007b" })],
      ...[
        app("emoji", { secret }, { displayName: "👩‍💻 phone" }),
        { userId: "idn", kind: { case: "email", value: "jo@münchen.example" } },
      ],
      ...[
        { userId: "mail", kind: { case: "email", value: "nobody" } },
        { userId: "sms", kind: { case: "phoneNumber", value: "0151" } },
      ],
      ...[{ userId: "key", kind: { case: "webauthn", value: {} } }, { userId: "nothing" }],
    ]);
    const short = found.results.map(({ userId, status, field }) => `${userId} ${ImportStatus[status]} ${field}`.trim());
    expect(short).toEqual([
      ...[
        "ok IMPORTED",
        "period REFUSED totp.period",
        "digits REFUSED totp.digits",
        "REFUSED user_id",
        "REFUSED user_id",
      ],
      ...[
        "name REFUSED display_name",
        "emoji IMPORTED",
        "idn IMPORTED",
        "mail REFUSED email",
        "sms REFUSED phone_number",
      ],
      ...["key REFUSED webauthn.webauthn_id", "nothing REFUSED kind"],
    ]);
    expect(found.results.filter(({ error }) => error.includes("0151") || error.includes("nobody"))).toEqual([]);
    expect(found).toMatchObject({ committed: true, importedCount: 3, refusedCount: 9 });
  });

  test("a call takes 250 factors with secrets of 10 to 128 bytes, and says by index and field what it refused", async () => {
    const service = await serviceForTest(engine);
    const sized = (n: number) => app(`u${n}`, { secret: Buffer.alloc(n, 200) });
    const found = await bring(service, [9, 10, 128, 129].map(sized));
    const told = found.results.map(({ index, status, line, field }) => [index, ImportStatus[status], line, field]);
    expect(told).toEqual([
      [0, "REFUSED", 0, "totp.secret"],
      [1, "IMPORTED", 0, ""],
      [2, "IMPORTED", 0, ""],
      [3, "REFUSED", 0, "totp.secret"],
    ]);
    for (const { status, error, factorId } of found.results) {
      const isRefused = status === ImportStatus.REFUSED;
      expect([error === "", factorId === ""]).toEqual([!isRefused, isRefused]);
    }
    const { devices } = await service.admin.getUserTotp({ userId: "u10" }, await adminOf(service));
    expect(devices).toMatchObject([{ algorithm: TotpAlgorithm.SHA1, digits: 6, period: { seconds: 30n } }]);
    const many = (count: number) => Array.from({ length: count }, (_, n) => app(`v${n}`, { secretHex: HEX }));
    expect(await bring(service, many(250), {})).toMatchObject({ committed: false, importedCount: 250 });
    expect((await failure(bring(service, many(251), {}))).reason).toBe("INVALID_FIELD");
  });

  test("names hold the marks that scripts and joined emoji need, wherever they are given, and no control characters", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const names = ["👩‍💻 key", "می‌خواهم", "क्‍ष", "שלום\u200f!", "\u200fשלום", "🏳️‍🌈"];
    for (const [n, displayName] of names.entries()) {
      const token = await service.user(`u${n}`);
      expect((await service.mfa.startTotpEnrollment({ displayName }, token)).device?.displayName).toBe(displayName);
      const { options } = await service.mfa.startWebAuthnRegistration({ displayName, userName: displayName }, token);
      const response = makePasskey().create(options);
      expect(options).toBeDefined();
      expect(response).toBeDefined();
    }
    for (const displayName of [
      "a\u202eb",
      "a\u0000",
      "a\u200b",
      "\u200d",
      "\u200d\u200c",
      "a\u200d\u200d\u200d",
      "\ue000",
      "a\nb",
    ]) {
      const refused = service.mfa.startTotpEnrollment({ displayName }, await service.user("eve"));
      expect(await failure(refused), JSON.stringify(displayName)).toMatchObject({ reason: "INVALID_FIELD" });
    }
    await setTenant(service, { totp: { issuer: "فروشگاه‌ها" } });
    const { provisioning } = await service.mfa.startTotpEnrollment({}, await service.user("ann"));
    expect(decodeURIComponent(provisioning?.otpauthUri ?? "")).toContain("فروشگاه‌ها");
  });
});

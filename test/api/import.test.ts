import { randomBytes, randomUUID } from "node:crypto";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { describe, expect, test, vi } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { ImportFormat } from "../../gen/mfa/v1/import_pb.js";
import { TotpAlgorithm } from "../../gen/mfa/v1/totp_pb.js";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { bring, read, statuses, verify } from "../support/actors/importer.ts";
import { enrollPhone, inboxOf, newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey, makePasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { bytesOf, encodingsOf } from "../support/engine/residue.ts";
import { everyRow, PLACED, TRAIL } from "../support/engine/rows.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

/** 20 bytes that are text, to be found wherever they are left. */
const SECRET = Buffer.from("import me not in vain");
const BASE32 = "NFWXA33SOQQG2ZJANZXXIIDJNYQHMYLJNY";

const app = (userId: string, value: object = {}, more: object = {}) => ({
  userId,
  kind: { case: "totp" as const, value: { secret: SECRET, ...value } },
  ...more,
});

const codeNow = (service: ServiceUnderTest) => showCode(BASE32, service.clock.now);

describe.each(engines)("importing factors on $name", (engine) => {
  test("an app that comes from elsewhere proves its user, sealed like any other", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const reply = await bring(service, [app("ann", {}, { displayName: "Old app" })]);
    expect(reply).toMatchObject({ committed: true, importedCount: 1, skippedCount: 0, refusedCount: 0 });
    const [result] = reply.results;
    expect(result).toMatchObject({ index: 0, userId: "ann", factorType: FactorType.TOTP, error: "" });
    expect((await verify(service, "ann", await codeNow(service))).deviceId).toBe(result?.factorId);
    const { factors } = await service.admin.listUserFactors({ userId: "ann" }, await adminOf(service));
    expect(factors.map(({ displayName }) => displayName)).toContain("Old app");
    expect(await eventsOf(service.store)).toContain("FACTOR_IMPORTED UNSPECIFIED");
    const bytes = await bytesOf(service);
    const found = encodingsOf(SECRET.toString()).filter((encoded) => bytes.includes(encoded));
    expect(found).toEqual([]);
    expect(service.log.join()).not.toContain(BASE32);
  });

  test("each user is told once an import, wherever they were told before, of the end of an old address too", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const number = (n: number, userId: string) => ({ userId, kind: { case: "phoneNumber" as const, value: phone(n) } });
    const other = { case: "totp" as const, value: { secret: randomBytes(20) } };
    const factors = [app("ann"), { userId: "ann", kind: other }, number(1, "ann"), app("bob"), number(2, "bob")];
    await bring(service, factors, { commit: false });
    const reply = await bring(service, factors, { commit: true, replace: true });
    expect(statuses(reply)).toEqual(["IMPORTED", "IMPORTED", "REPLACED", "IMPORTED", "IMPORTED"]);
    await bring(service, [app("ann")], { commit: true });
    const noticesOf = async () => {
      const { outbox_messages = [] } = await everyRow(service.store);
      return outbox_messages.filter((row) => row.includes('"factors_imported"'));
    };
    const isSettled = async () => (await noticesOf()).every((row) => row.includes('"state":"sent"'));
    await vi.waitUntil(isSettled, { timeout: 20_000 });
    // One for each of the two users and ann's letter; none of the dry run, of what was there, or to what was brought.
    expect((await noticesOf()).length).toBe(3);
    const told = async (user: string) =>
      (await inboxOf(service, user))
        .filter(({ body }) => body.includes("brought over from another system"))
        .map(({ target }) => target);
    expect([await told("ann"), await told("bob")]).toEqual([[phone()], []]);
  });

  test("without commit it is a dry run, which reports the same and keeps nothing but that it was run", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "eve");
    const before = await everyRow(service.store, [...PLACED, ...TRAIL]);
    const factors = [app("ann"), app("bob"), { ...app("kim"), unverified: true }];
    const dry = await bring(service, factors, {});
    expect(dry).toMatchObject({ committed: false, importedCount: 3 });
    expect(dry.results.map(({ factorId }) => factorId)).toEqual(["", "", ""]);
    const after = await everyRow(service.store, [...PLACED, ...TRAIL]);
    // Which data key the tenant seals with may be new; nothing about a user is.
    expect({ ...after, data_keys: [] }).toEqual({ ...before, data_keys: [] });
    expect(statuses(await bring(service, factors))).toEqual(statuses(dry));
  });

  test("repeated it skips what is there; a request id answers the first reply, of which nobody's id was kept", async () => {
    const service = await serviceForTest(engine);
    const requestId = randomUUID();
    const [ann, bob] = [app("ann"), { userId: "bob", kind: { case: "phoneNumber" as const, value: phone() } }];
    const first = await bring(service, [ann, bob], { commit: true, requestId });
    expect(first.results.map(({ userId }) => userId)).toEqual(["ann", "bob"]);
    const { results } = first;
    expect(await bring(service, [ann, bob], { commit: true, requestId })).toEqual({
      ...first,
      results: results.map((result) => ({ ...result, userId: "" })),
    });
    const again = await bring(service, [app("ann")]);
    expect(again).toMatchObject({ committed: false, skippedCount: 1 });
    expect(again.results[0]?.factorId).toBe(first.results[0]?.factorId);
  });

  test("a step that was spent elsewhere is spent here, and one that must be proven first counts for nothing", async () => {
    const service = await serviceForTest(engine);
    const step = BigInt(Math.floor(service.clock.now.getTime() / 30_000));
    await bring(service, [app("ann", { lastStep: step })]);
    const code = await codeNow(service);
    expect(await failure(verify(service, "ann", code))).toMatchObject({ reason: "CODE_REJECTED" });
    service.pass(30_000);
    await verify(service, "ann", await codeNow(service));

    await bring(service, [app("bob", {}, { unverified: true })]);
    const bob = await service.user("bob");
    expect((await service.mfa.getMfaStatus({}, bob)).status?.enrolled).toBe(false);
    service.pass(24 * 3_600_000);
    await service.mfa.finishTotpEnrollment({ code: await codeNow(service) }, await service.user("bob"));
    expect((await service.mfa.getMfaStatus({}, await service.user("bob"))).status?.enrolled).toBe(true);
  });

  test("with replace an older factor of the kind gives way, and of one call none to another", async () => {
    const service = await serviceForTest(engine);
    const old = await enrollApp(service, "ann");
    const second = { secret: randomBytes(20) };
    const both = await bring(service, [app("ann"), app("ann", second)], { commit: true, replace: true });
    expect(statuses(both)).toEqual(["REPLACED", "IMPORTED"]);
    expect(await failure(verify(service, "ann", await old.code()))).toMatchObject({ reason: "CODE_REJECTED" });
    await verify(service, "ann", await codeNow(service));
  });

  test("numbers and addresses are in force at once, one each, where the tenant sends to them", async () => {
    const service = await serviceForTest(engine);
    const sms = (userId: string, value: string) => ({ userId, kind: { case: "phoneNumber" as const, value } });
    expect(statuses(await bring(service, [sms("ann", phone())]))).toEqual(["REFUSED: the tenant has this factor off"]);
    await switchOn(service);
    const email = { userId: "ann", kind: { case: "email" as const, value: "ann@example.com" } };
    const found = await bring(service, [
      ...[sms("ann", phone()), sms("ann", phone()), sms("ann", phone(1)), sms("bob", "+33612345678"), email],
      { ...sms("kim", phone(2)), unverified: true },
    ]);
    expect(statuses(found)).toEqual([
      ...["IMPORTED", "SKIPPED", "REFUSED: the user has another one"],
      ...["REFUSED: no messages are sent to this number or address", "IMPORTED"],
      "REFUSED: only authenticator apps can wait to be proven: have the user enroll it",
    ]);
    const token = await service.user("ann", "aal2");
    const { delivery } = await service.mfa.sendSmsCode({}, token);
    const code = await newestCode(service, "ann");
    await service.mfa.verifySmsCode({ challengeId: delivery?.challengeId ?? "", code }, token);
    expect(statuses(await bring(service, [sms("ann", phone(1))], { commit: true, replace: true }))).toEqual([
      "REPLACED",
    ]);
  });

  test("a passkey of the same relying party logs in after it moved; of another, or somebody else's, it is refused", async () => {
    const service = await serviceForTest(engine);
    const passkey = makePasskey();
    const { options } = await service.mfa.startWebAuthnRegistration({}, await service.user("old"));
    passkey.create(options);
    const known = await enrollPasskey(service, "eve");
    const userId = "ann";
    const value = {
      webauthnId: randomBytes(32),
      publicKey: Buffer.from(
        "a5010203262001215820" +
          "60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6" +
          "225820" +
          "7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299",
        "hex",
      ),
      rpId: "localhost",
      webauthnUserId: randomBytes(32).toString("base64url"),
    };
    const key = (more: object, user = userId) => ({
      userId: user,
      kind: { case: "webauthn" as const, value: { ...value, ...more } },
    });
    const found = await bring(service, [
      ...[key({}), key({}), key({}, "bob"), key({ rpId: "elsewhere.example", webauthnId: randomBytes(16) })],
      ...[key({ publicKey: randomBytes(77), webauthnId: randomBytes(16) })],
      key({ webauthnId: randomBytes(16), webauthnUserId: "b3RoZXI" }),
    ]);
    expect(statuses(found)).toEqual([
      ...["IMPORTED", "SKIPPED", "REFUSED: it is registered with somebody already"],
      ...["REFUSED: the tenant has no such relying party", "REFUSED: the key is none that is offered"],
      "REFUSED: the user has another handle here",
    ]);
    // What was refused has left nothing behind that stands in the way of the next try.
    const mended = { webauthnId: randomBytes(32), webauthnUserId: randomBytes(32).toString("base64url") };
    expect(statuses(await bring(service, [key(mended, "bob")]))).toEqual(["IMPORTED"]);
    const { options: asked } = await service.mfa.startWebAuthnAuthentication({}, await service.user(userId));
    const id = value.webauthnId.toString("base64url");
    expect(JSON.stringify(asked)).toContain(id);
    expect(known.credential.credentialId).toBeDefined();
  });

  test("documents are read line by line, and what cannot be is refused with the reason, never with a secret", async () => {
    const service = await serviceForTest(engine);
    const uris = await read(
      service,
      ImportFormat.OTPAUTH_URIS,
      [
        `ann\totpauth://totp/Shop:ann?secret=${BASE32}&issuer=Shop`,
        `bob\totpauth://hotp/Shop:bob?secret=${BASE32}&counter=1`,
        `kim\totpauth://totp/x?secret=${BASE32}&digits=7`,
        `lea\totpauth://totp/x?secret=AAAA`,
        `tom\thttps://example.com/?secret=${BASE32}`,
        "no tab here",
        `zoe\totpauth://totp/x?secret=${BASE32}&algorithm=SHA512&digits=8&period=60`,
      ].join("\n"),
    );
    expect(statuses(uris)).toEqual([
      ...["IMPORTED", "REFUSED: line 2, type: not a TOTP"],
      "REFUSED: line 3, digits: is a number of digits that is not supported: 6 and 8 are",
      ...["REFUSED: line 4, secret: has 2 bytes, and 10 to 128 are taken", "REFUSED: line 5, uri: not a key URI"],
      ...["REFUSED: line 6, user_id: no tab behind a user id", "IMPORTED"],
    ]);
    expect(JSON.stringify(uris, (_, value) => String(value))).not.toContain(BASE32);
    await verify(service, "ann", await codeNow(service));
    const { devices } = await service.admin.getUserTotp({ userId: "zoe" }, await adminOf(service));
    expect(devices).toMatchObject([{ algorithm: TotpAlgorithm.SHA512, digits: 8, period: { seconds: 60n } }]);
  });

  test("exports of Google Authenticator, CSV and PSKC are read", async () => {
    const service = await serviceForTest(engine);
    const account = new BinaryWriter().tag(1, 2).bytes(SECRET).tag(3, 2).string("Shop");
    account.tag(4, 0).int32(1).tag(5, 0).int32(1).tag(6, 0).int32(2);
    const payload = new BinaryWriter().tag(1, 2).bytes(account.finish()).tag(2, 0).int32(1).finish();
    const data = encodeURIComponent(Buffer.from(payload).toString("base64"));
    const migration = `goo\totpauth-migration://offline?data=${data}\nbad\totpauth-migration://offline?data=%%%`;
    expect(statuses(await read(service, ImportFormat.OTPAUTH_MIGRATION, migration))).toEqual([
      ...["IMPORTED", "REFUSED: line 2, uri: not an export of Google Authenticator"],
    ]);

    const csv = `csv,S1,${SECRET.toString("hex")},totp,6,30\n"q,uoted","S ""2""",${BASE32},TOTP\nhot,S3,${BASE32},hotp,6\n`;
    expect(statuses(await read(service, ImportFormat.OATH_CSV, csv))).toEqual([
      ...["IMPORTED", "IMPORTED", "REFUSED: line 3, type: not a TOTP"],
    ]);

    const key = (user: string, secret: string) => `<pskc:KeyPackage><pskc:DeviceInfo><pskc:SerialNo>S4</pskc:SerialNo>
      </pskc:DeviceInfo><pskc:Key Id="1" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:totp"><pskc:AlgorithmParameters>
      <pskc:ResponseFormat Length="6" Encoding="DECIMAL"/></pskc:AlgorithmParameters><pskc:Data><pskc:Secret>${secret}
      </pskc:Secret><pskc:TimeInterval><pskc:PlainValue>30</pskc:PlainValue></pskc:TimeInterval></pskc:Data>
      <pskc:UserId>${user}</pskc:UserId></pskc:Key></pskc:KeyPackage>`;
    const plain = `<pskc:PlainValue>${SECRET.toString("base64")}</pskc:PlainValue>`;
    const xml = `<?xml version="1.0"?><pskc:KeyContainer Version="1.0" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">
      ${key("pskc&amp;co", plain)}${key("enc", "<pskc:EncryptedValue/>")}</pskc:KeyContainer>`;
    expect(statuses(await read(service, ImportFormat.PSKC, xml))).toEqual([
      ...["IMPORTED", "REFUSED: line 6, secret: an encrypted key"],
    ]);
    expect(statuses(await read(service, ImportFormat.PSKC, `<!DOCTYPE x>${xml}`))).toEqual([
      "REFUSED: line 1, document: a document type declaration",
    ]);
    for (const user of ["goo", "csv", "q,uoted", "pskc&co"]) await verify(service, user, await codeNow(service));
  });

  test("more than the cap, a user in a cool-down, a wrong scope and too many at once are refused", async () => {
    const service = await serviceForTest(engine);
    const many = Array.from({ length: 6 }, () => app("ann", { secret: randomBytes(20) }));
    expect(statuses(await bring(service, many))).toEqual([
      ...Array(5).fill("IMPORTED"),
      "REFUSED: as many apps as allowed are enrolled",
    ]);
    const cool = { userId: "bob", reason: "lost", coolDown: { seconds: 3600n, nanos: 0 } };
    await service.admin.resetUserMfa(cool, await adminOf(service));
    expect(statuses(await bring(service, [app("bob")]))).toEqual(["REFUSED: a reset keeps the user from enrolling"]);
    const wrong = service.internal.importFactors(
      { source: { case: "factors", value: { factors: [app("kim")] } } },
      await service.backend("mfa.verify"),
    );
    expect(await failure(wrong)).toMatchObject({ reason: "ACCESS_DENIED" });
    const lines = Array.from({ length: 251 }, (_, n) => `u${n}\totpauth://totp/x?secret=${BASE32}`).join("\n");
    expect(await failure(read(service, ImportFormat.OTPAUTH_URIS, lines))).toMatchObject({ reason: "INVALID_FIELD" });
  });

  test("of a user who was erased a moment ago nothing comes back", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "forget-me-not");
    const erasure = { userId: "forget-me-not", erasureId: randomUUID() };
    await service.internal.eraseUser(erasure, await service.backend("mfa.erase"));
    const late = bring(service, [app("bob"), app("forget-me-not")]);
    expect(await failure(late)).toMatchObject({ reason: "CONFLICT" });
    expect(JSON.stringify(await everyRow(service.store))).not.toContain("forget-me-not");
    service.pass(60_000);
    expect(statuses(await bring(service, [app("bob"), app("forget-me-not")]))).toEqual(["IMPORTED", "IMPORTED"]);
  });

  test("of many imports of the same users at once each app comes once, whichever call brings it", async () => {
    const service = await serviceForTest(engine);
    const users = Array.from({ length: 10 }, (_, n) => app(`u${n}`, { secret: randomBytes(20) }));
    const calls = Array.from({ length: 8 }, (_, n) => bring(service, n % 2 ? users : users.toReversed()));
    const replies = (await Promise.allSettled(calls)).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
    expect(replies.reduce((sum, { importedCount }) => sum + importedCount, 0)).toBe(10);
    expect(await tally(calls)).toEqual({
      OK: replies.length,
      ...(replies.length < 8 && { CONFLICT: 8 - replies.length }),
    });
    expect(await bring(service, users)).toMatchObject({ skippedCount: 10 });
    const twins = [app("ann"), app("ann"), app("ann", {}, { unverified: true })];
    expect(statuses(await bring(service, twins))).toEqual(["IMPORTED", "SKIPPED", "SKIPPED"]);
  });
});

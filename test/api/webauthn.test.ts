import { randomBytes } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ChallengePurpose, ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { AttestationPolicy } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { WebAuthnAttachment, WebAuthnRequirement, WebAuthnTransport } from "../../gen/mfa/v1/webauthn_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { type Algorithm, enrollPasskey, Flag, logIn, makePasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { eventsOf } from "../support/report/records.ts";
import { serviceForTest, setTenant } from "../support/worlds/service.ts";

const MINUTE = 60_000;

/** Options as the browser gets them, read freely. */
// biome-ignore lint/suspicious/noExplicitAny: what a browser parses has no type here
const read = (options: JsonObject | undefined) => options as any;

describe.each(engines)("WebAuthn on $name", (engine) => {
  test("a user registers a passkey and proves it", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential, token } = await enrollPasskey(service, "ann");
    expect(credential).toMatchObject({
      displayName: "Passkey",
      rpId: "localhost",
      aaguid: "00000000-0000-0000-0000-000000000000",
      attachment: WebAuthnAttachment.PLATFORM,
      transports: [WebAuthnTransport.INTERNAL],
      discoverable: true,
      userVerified: true,
      backupEligible: false,
      backedUp: false,
      attested: false,
      cloneWarning: false,
      version: 1n,
    });
    expect(Buffer.from(credential.webauthnId).toString("base64url")).toBe(passkey.id);
    service.pass(MINUTE);
    const proof = await logIn(service, "ann", passkey);
    expect(proof).toMatchObject({ credentialId: credential.credentialId, userVerified: true });
    expect(Number(proof.verifyTime?.seconds) * 1000).toBe(service.clock.now.getTime());
    const { credentials } = await service.mfa.listWebAuthnCredentials({}, token);
    expect(Number(credentials[0]?.lastUseTime?.seconds) * 1000).toBe(service.clock.now.getTime());
    expect(await eventsOf(service.store)).toEqual(["FACTOR_ENROLLED UNSPECIFIED", "PROOF_SUCCEEDED UNSPECIFIED"]);
  });

  test.each([-7, -8, -257] as Algorithm[])("algorithm %i works", async (algorithm) => {
    const service = await serviceForTest(engine);
    const { passkey, credential } = await enrollPasskey(service, "ann", makePasskey({ algorithm }));
    expect(await logIn(service, "ann", passkey)).toMatchObject({ credentialId: credential.credentialId });
  });

  test("creation options are complete: pinned algorithms, a random handle, every credential excluded", async () => {
    const service = await serviceForTest(engine);
    const first = await enrollPasskey(service, "ann");
    const second = await enrollPasskey(service, "ann", makePasskey({ transports: ["usb", "nfc", "unheard-of"] }));
    const request = { displayName: "Work", userName: "ann@example.com", hints: ["security-key", "hybrid"] };
    const started = await service.mfa.startWebAuthnRegistration(request, first.token);
    const options = read(started.options);
    expect(options).toEqual({
      rp: { id: "localhost", name: "MFA Service" },
      user: { id: expect.any(String), name: "ann@example.com", displayName: "ann@example.com" },
      challenge: expect.any(String),
      pubKeyCredParams: [-8, -7, -257].map((alg) => ({ type: "public-key", alg })),
      timeout: 300_000,
      excludeCredentials: [
        { id: first.passkey.id, type: "public-key", transports: ["internal"] },
        { id: second.passkey.id, type: "public-key", transports: ["usb", "nfc"] },
      ],
      authenticatorSelection: { residentKey: "preferred", requireResidentKey: false, userVerification: "preferred" },
      hints: ["security-key", "hybrid"],
      attestation: "none",
      extensions: { credProps: true },
    });
    expect(Buffer.from(options.challenge, "base64url")).toHaveLength(32);
    expect(Buffer.from(options.user.id, "base64url")).toHaveLength(64);
    expect(Number(started.expireTime?.seconds) * 1000).toBe(service.clock.now.getTime() + 5 * MINUTE);

    const again = await service.mfa.startWebAuthnRegistration(request, first.token);
    expect(read(again.options).user.id).toBe(options.user.id);
    expect(read(again.options).challenge).not.toBe(options.challenge);
    const bob = await service.mfa.startWebAuthnRegistration({}, await service.user("bob"));
    expect(read(bob.options).user.id).not.toBe(options.user.id);
    expect(read(bob.options).user.name).toBe("bob");
  });

  test("ceremonies and credentials have ids, and password managers are told the user's handle", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    expect(ceremonyId).toMatch(/^[\w-]{22}$/);
    const response = makePasskey().create(options);
    const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
    expect(credential?.credentialId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect(credential?.lastUseTime).toBeUndefined();
    expect((await service.mfa.startWebAuthnAuthentication({}, token)).ceremonyId).toMatch(/^[\w-]{22}$/);
    const { signals } = await service.mfa.listWebAuthnCredentials({}, token);
    expect(signals.map(({ webauthnUserId }) => webauthnUserId)).toEqual([read(options).user.id]);
  });

  test("who has no credential gets options of the same shape, the same each time and for them alone", async () => {
    const service = await serviceForTest(engine);
    const { token } = await enrollPasskey(service, "ann");
    const optionsOf = async (token: string) => read((await service.mfa.startWebAuthnAuthentication({}, token)).options);
    const shapeOf = (options: unknown) => JSON.stringify(options, (_, v) => (typeof v === "string" ? "" : v));
    const real = await optionsOf(token);
    const bob = await service.user("bob");
    const [once, twice, other] = [
      await optionsOf(bob),
      await optionsOf(bob),
      await optionsOf(await service.user("cy")),
    ];
    expect(Object.keys(once)).toEqual(Object.keys(real));
    expect(Object.keys(once.allowCredentials[0])).toEqual(Object.keys(real.allowCredentials[0]));
    expect(twice.allowCredentials).toEqual(once.allowCredentials);
    expect(other.allowCredentials).not.toEqual(once.allowCredentials);
    expect(shapeOf({ ...once, allowCredentials: [] })).toBe(shapeOf({ ...real, allowCredentials: [] }));

    const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, bob);
    const guess = makePasskey({ id: Buffer.from(once.allowCredentials[0].id, "base64url") });
    const refused = await failure(
      service.mfa.finishWebAuthnAuthentication({ ceremonyId, response: guess.get(options) }, bob),
    );
    expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "SIGNATURE_REJECTED" });
  });

  test("who has no credential is named one or a few, as those who have some are", async () => {
    const service = await serviceForTest(engine);
    const counts = new Set<number>();
    for (let n = 0; n < 60; n++) {
      const token = await service.user(`nobody-${n}`);
      const named = read((await service.mfa.startWebAuthnAuthentication({}, token)).options).allowCredentials;
      expect(new Set(named.map(({ id }: { id: string }) => id)).size).toBe(named.length);
      counts.add(named.length);
    }
    expect([...counts].toSorted()).toEqual([1, 2, 3]);
  });

  test("several credentials have names of their own, are renamed, and deleted one by one", async () => {
    const service = await serviceForTest(engine);
    const yubikey = makePasskey({
      aaguid: Buffer.from("2fc0579f811347eab116bb5a8db9202a", "hex"),
      transports: ["usb"],
      attachment: "cross-platform",
      rk: false,
    });
    const one = await enrollPasskey(service, "ann");
    const two = await enrollPasskey(service, "ann", yubikey);
    const { token } = two;
    expect(two.credential).toMatchObject({ displayName: "YubiKey 5 NFC", authenticatorName: "YubiKey 5 NFC" });
    expect(two.credential).toMatchObject({ discoverable: false, attachment: WebAuthnAttachment.CROSS_PLATFORM });
    const { credentialId } = two.credential;
    const rename = { credentialId, displayName: "Key ring", version: 1n };
    const { credential, signals } = await service.mfa.updateWebAuthnCredential(rename, token);
    expect(credential).toMatchObject({ displayName: "Key ring", version: 2n });
    expect(signals).toMatchObject({
      rpId: "localhost",
      acceptedCredentialIds: [one.passkey.id, yubikey.id],
      userName: "ann",
    });

    expect((await failure(service.mfa.updateWebAuthnCredential(rename, token))).reason).toBe("STALE_VERSION");
    const same = { ...rename, version: 2n };
    expect((await failure(service.mfa.updateWebAuthnCredential(same, token))).reason).toBe("EMPTY_UPDATE");
    const nothing = { credentialId, version: 2n };
    expect((await failure(service.mfa.updateWebAuthnCredential(nothing, token))).reason).toBe("EMPTY_UPDATE");

    const deleted = await service.mfa.deleteWebAuthnCredential({ credentialId }, token);
    expect(deleted.signals?.acceptedCredentialIds).toEqual([one.passkey.id]);
    expect((await failure(service.mfa.deleteWebAuthnCredential({ credentialId }, token))).reason).toBe("NOT_FOUND");
    expect((await failure(logIn(service, "ann", yubikey))).reason).toBe("SIGNATURE_REJECTED");
    await expect(logIn(service, "ann", one.passkey)).resolves.toBeDefined();

    const last = { credentialId: one.credential.credentialId };
    expect((await failure(service.mfa.deleteWebAuthnCredential(last, token))).reason).toBe("LAST_FACTOR");
    await expect(service.mfa.getWebAuthnCredential(last, token)).resolves.toBeDefined();
    const gone = await service.mfa.deleteWebAuthnCredential({ ...last, confirmLastFactor: true }, token);
    expect(gone.signals).toMatchObject({ rpId: "localhost", acceptedCredentialIds: [] });
    expect((await service.mfa.listWebAuthnCredentials({}, token)).credentials).toEqual([]);
  });

  test("a new name of a passkey, an app or a phone ends no trust, no challenge and no epoch", async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service);
    await switchPushOn(service);
    const { credential } = await enrollPasskey(service, "ann");
    const { deviceId } = await enrollApp(service, "ann", "aal2");
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    const ann = await service.user("ann", "aal2");
    const { mfa } = service;
    await mfa.trustDevice({}, ann);
    const terms = { purpose: ChallengePurpose.STEP_UP, audience: "shop" };
    const { challenge } = await mfa.createChallenge({ terms }, ann);
    const before = (await mfa.getMfaStatus({}, ann)).status?.mfaEpoch;
    const displayName = "Mine";
    await mfa.updateWebAuthnCredential({ credentialId: credential.credentialId, displayName, version: 1n }, ann);
    await mfa.updateTotpDevice({ deviceId, displayName, version: 1n }, ann);
    await mfa.updatePushDevice({ deviceId: phone.id(), displayName, version: 1n }, ann);
    const { status } = await mfa.getMfaStatus({}, ann);
    expect([status?.mfaEpoch, status?.trustedDeviceCount]).toEqual([before, 1]);
    const { challengeId = "" } = challenge ?? {};
    expect((await mfa.getChallenge({ challengeId }, ann)).challenge?.state).toBe(ChallengeState.PENDING);
  });

  test("forgetting the kind tells password managers of every relying party", async () => {
    const service = await serviceForTest(engine);
    const { token, passkey } = await enrollPasskey(service, "ann");
    await enrollPasskey(service, "ann");
    const forget = { factorType: FactorType.WEBAUTHN, confirmLastFactor: true };
    const { deletedCount, webauthnSignals } = await service.mfa.deleteFactor(forget, token);
    expect(deletedCount).toBe(2);
    expect(webauthnSignals).toMatchObject([{ rpId: "localhost", acceptedCredentialIds: [], userName: "ann" }]);
    expect((await failure(logIn(service, "ann", passkey))).reason).toBe("SIGNATURE_REJECTED");
  });

  test("a list comes in pages, each with the signals of all", async () => {
    const service = await serviceForTest(engine);
    const ids: string[] = [];
    for (let n = 0; n < 3; n++) {
      ids.push((await enrollPasskey(service, "ann")).passkey.id);
      service.pass(1000);
    }
    const token = await service.user("ann", "aal2");
    const first = await service.mfa.listWebAuthnCredentials({ pageSize: 2 }, token);
    const second = await service.mfa.listWebAuthnCredentials({ pageToken: first.nextPageToken }, token);
    const listed = [...first.credentials, ...second.credentials].map(({ webauthnId }) =>
      Buffer.from(webauthnId).toString("base64url"),
    );
    expect(listed).toEqual(ids);
    for (const { signals } of [first, second]) expect(signals).toMatchObject([{ acceptedCredentialIds: ids }]);
  });

  test("somebody else's credential, and one of another tenant, answer like none", async () => {
    const service = await serviceForTest(engine);
    const { credential } = await enrollPasskey(service, "ann");
    const foreign = await service.mint({ audience: "mfa", subject: "ann", acr: "aal2", tenant: "other" });
    const { credentialId } = credential;
    for (const token of [await service.user("bob", "aal2"), foreign]) {
      const calls = [
        () => service.mfa.getWebAuthnCredential({ credentialId }, token),
        () => service.mfa.updateWebAuthnCredential({ credentialId, displayName: "Mine", version: 1n }, token),
        () => service.mfa.deleteWebAuthnCredential({ credentialId, confirmLastFactor: true }, token),
      ];
      for (const call of calls) expect((await failure(call())).reason).toBe("NOT_FOUND");
    }
  });

  test("a credential is registered once, to anyone of any tenant, and the first owner keeps it", async () => {
    const service = await serviceForTest(engine);
    const { passkey } = await enrollPasskey(service, "ann");
    const other = await service.mint({ audience: "mfa", subject: "ann", tenant: "other" });
    for (const token of [await service.user("bob"), other, await service.user("ann", "aal2")]) {
      const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
      // Another authenticator with the same id, as an excluded one would not answer.
      const copy = makePasskey({ id: Buffer.from(passkey.id, "base64url") });
      const refused = await failure(
        service.mfa.finishWebAuthnRegistration({ ceremonyId, response: copy.create(options) }, token),
      );
      expect(refused).toMatchObject({ code: status.ALREADY_EXISTS, reason: "DUPLICATE" });
    }
    await expect(logIn(service, "ann", passkey)).resolves.toBeDefined();
  });

  test("a counter of zero may stay zero; one that does not go on is refused and marks the credential", async () => {
    const service = await serviceForTest(engine);
    const synced = await enrollPasskey(service, "ann", makePasskey({ synced: true, counts: false }));
    for (let n = 0; n < 3; n++) await logIn(service, "ann", synced.passkey);
    const key = await enrollPasskey(service, "bob");
    await logIn(service, "bob", key.passkey, { counter: 40 });
    for (const counter of [40, 39, 0]) {
      const refused = await failure(logIn(service, "bob", key.passkey, { counter }));
      expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "CLONE_SUSPECTED" });
    }
    const { credentialId } = key.credential;
    const { credential } = await service.mfa.getWebAuthnCredential({ credentialId }, key.token);
    expect(credential?.cloneWarning).toBe(true);
    const events = await eventsOf(service.store);
    expect(events.slice(-2)).toEqual(["CLONE_SUSPECTED UNSPECIFIED", "PROOF_FAILED CLONE"]);
    await expect(logIn(service, "bob", key.passkey, { counter: 2 ** 32 - 1 })).resolves.toBeDefined();
  });

  test("a kind of attachment that is not heard of yet counts as none, as WebAuthn has it", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential } = await enrollPasskey(service, "ann", makePasskey({ attachment: "hologram" }));
    expect(credential.attachment).toBe(WebAuthnAttachment.UNSPECIFIED);
    await expect(logIn(service, "ann", passkey)).resolves.toBeDefined();
  });

  test("a change of the backup state is noted, a change of eligibility refused", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential, token } = await enrollPasskey(service, "ann", makePasskey({ synced: true }));
    const show = () => service.mfa.getWebAuthnCredential({ credentialId: credential.credentialId }, token);
    expect((await show()).credential).toMatchObject({ backupEligible: true, backedUp: true });
    await logIn(service, "ann", passkey, { flip: Flag.BS });
    expect((await show()).credential).toMatchObject({ backupEligible: true, backedUp: false });
    const flipped = await failure(logIn(service, "ann", passkey, { flip: Flag.BE | Flag.BS }));
    expect(flipped.reason).toBe("BACKUP_ELIGIBILITY_CHANGED");
  });

  test("who could not verify the user at registration is not believed to do so later", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential } = await enrollPasskey(service, "ann", makePasskey({ flags: Flag.UP }));
    expect(credential.userVerified).toBe(false);
    expect((await logIn(service, "ann", passkey, { flip: Flag.UV })).userVerified).toBe(false);
  });

  test("failures lock WebAuthn and nothing else; a lock of codes leaves WebAuthn alone", async () => {
    const service = await serviceForTest(engine);
    const { passkey } = await enrollPasskey(service, "ann");
    const wrong = { signature: () => randomBytes(70) };
    const token = await service.user("ann");
    const open = await service.mfa.startWebAuthnAuthentication({}, token);
    for (let n = 0; n < 5; n++) {
      expect((await failure(logIn(service, "ann", passkey, wrong))).reason).toBe("SIGNATURE_REJECTED");
    }
    service.pass(1);
    const locked = await failure(logIn(service, "ann", passkey));
    expect(locked).toMatchObject({ reason: "LOCKED", retryAfterMs: MINUTE - 1 });
    const backend = await service.backend("mfa.verify");
    const code = service.internal.verifyUserTotpCode({ userId: "ann", code: "123456" }, backend);
    expect((await failure(code)).reason).toBe("CODE_REJECTED");
    service.pass(MINUTE);
    // What was open when the lock came died with it; what is begun afterwards works.
    const late = { ceremonyId: open.ceremonyId, response: passkey.get(open.options) };
    expect((await failure(service.mfa.finishWebAuthnAuthentication(late, token))).reason).toBe("CHALLENGE_EXPIRED");
    await logIn(service, "ann", passkey);

    for (let n = 0; n < 5; n++) {
      await failure(service.internal.verifyUserTotpCode({ userId: "ann", code: "123456" }, backend));
    }
    const codes = service.internal.verifyUserTotpCode({ userId: "ann", code: "123456" }, backend);
    expect((await failure(codes)).reason).toBe("LOCKED");
    await expect(logIn(service, "ann", passkey)).resolves.toBeDefined();
  });

  test("a row that somebody else wrote into the database proves nothing", async () => {
    const service = await serviceForTest(engine);
    const mallory = await enrollPasskey(service, "mallory");
    await enrollPasskey(service, "ann");
    await service.execute("DELETE FROM webauthn_credentials WHERE user_id = 'ann'");
    await service.execute("UPDATE webauthn_credentials SET user_id = 'ann' WHERE user_id = 'mallory'");
    const refused = await failure(logIn(service, "ann", mallory.passkey, { userHandle: null }));
    expect(refused).toMatchObject({ code: status.DATA_LOSS, reason: "DATA_TAMPERED" });
  });

  test("backup codes come with a first factor where they are asked for, once", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const register = async () => {
      const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
      const response = makePasskey().create(options);
      return service.mfa.finishWebAuthnRegistration({ ceremonyId, response, generateBackupCodes: true }, token);
    };
    const first = await register();
    expect(first.backupCodes).toHaveLength(10);
    expect(first.credential?.primary).toBe(true);
    const confirmed = service.mfa.confirmBackupCodes({ setId: first.backupCodeSetId }, token);
    await expect(confirmed).resolves.toBeDefined();
    const second = await register();
    expect(second).toMatchObject({ backupCodes: [], backupCodeSetId: "" });
    expect(second.credential?.primary).toBe(false);
  });

  test("a first enrollment needs no second factor, a further one does", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    const [early, late] = [
      await service.mfa.startWebAuthnRegistration({}, token),
      await service.mfa.startWebAuthnRegistration({}, token),
    ];
    const finish = ({ ceremonyId, options }: typeof early) =>
      service.mfa.finishWebAuthnRegistration({ ceremonyId, response: makePasskey().create(options) }, token);
    await finish(early);
    expect((await failure(finish(late))).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    const again = service.mfa.startWebAuthnRegistration({}, token);
    expect((await failure(again)).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
  });
});

describe.each(engines)("a tenant's terms on $name", (engine) => {
  test("a relying party that is not the tenant's is refused, its own ones are kept apart", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, {
      webauthn: { rpIds: ["a.example", "b.example"], origins: ["https://a.example", "https://b.example"] },
    });
    const token = await service.user("ann", "aal2");
    const foreign = await failure(service.mfa.startWebAuthnRegistration({ rpId: "c.example" }, token));
    expect(foreign).toMatchObject({ reason: "POLICY_FORBIDS", metadata: { policy: "webauthn.rp_ids" } });

    const passkey = makePasskey();
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({ rpId: "b.example" }, token);
    const response = passkey.create(options, { origin: "https://b.example" });
    const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
    expect(credential?.rpId).toBe("b.example");
    const first = await service.mfa.startWebAuthnAuthentication({}, token);
    expect(read(first.options).rpId).toBe("a.example");
    expect(read(first.options).allowCredentials).not.toContainEqual(expect.objectContaining({ id: passkey.id }));
    // The right signature for the wrong party.
    const elsewhere = passkey.get(first.options, { origin: "https://a.example" });
    const crossed = service.mfa.finishWebAuthnAuthentication(
      { ceremonyId: first.ceremonyId, response: elsewhere },
      token,
    );
    expect((await failure(crossed)).reason).toBe("SIGNATURE_REJECTED");
    const second = await service.mfa.startWebAuthnAuthentication({ rpId: "b.example" }, token);
    const right = passkey.get(second.options, { origin: "https://b.example" });
    await expect(
      service.mfa.finishWebAuthnAuthentication({ ceremonyId: second.ceremonyId, response: right }, token),
    ).resolves.toBeDefined();
  });

  test("required user verification is asked for, and one who cannot is refused, also when it is required in between", async () => {
    const service = await serviceForTest(engine);
    const unverified = makePasskey({ flags: Flag.UP });
    const token = await service.user("ann", "aal2");
    const begun = await service.mfa.startWebAuthnRegistration({}, token);
    await setTenant(service, { webauthn: { userVerification: WebAuthnRequirement.REQUIRED } });
    const late = service.mfa.finishWebAuthnRegistration(
      { ceremonyId: begun.ceremonyId, response: unverified.create(begun.options) },
      token,
    );
    expect((await failure(late)).reason).toBe("SIGNATURE_REJECTED");
    const { passkey } = await enrollPasskey(service, "ann");
    const asked = await service.mfa.startWebAuthnAuthentication(
      { userVerification: WebAuthnRequirement.DISCOURAGED },
      token,
    );
    expect(read(asked.options).userVerification).toBe("required");
    expect((await failure(logIn(service, "ann", passkey, { flip: Flag.UV }))).reason).toBe("SIGNATURE_REJECTED");
    await expect(logIn(service, "ann", passkey)).resolves.toBeDefined();
  });

  test("a user may ask for more verification than the tenant", async () => {
    const service = await serviceForTest(engine);
    const { passkey, token } = await enrollPasskey(service, "ann");
    const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication(
      { userVerification: WebAuthnRequirement.REQUIRED },
      token,
    );
    const response = passkey.get(options, { flip: Flag.UV });
    const refused = await failure(service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token));
    expect(refused.reason).toBe("SIGNATURE_REJECTED");
  });

  test.each([
    { webauthn: { denySynced: true }, passkey: () => makePasskey({ synced: true }), policy: "deny_synced" },
    {
      webauthn: { attachment: WebAuthnAttachment.CROSS_PLATFORM },
      passkey: () => makePasskey({ attachment: "platform" }),
      policy: "attachment",
    },
    {
      webauthn: { discoverable: WebAuthnRequirement.REQUIRED },
      passkey: () => makePasskey({ rk: false }),
      policy: "discoverable",
    },
  ])("an authenticator that works and is not admitted is told so: $policy", async ({ webauthn, passkey, policy }) => {
    const service = await serviceForTest(engine);
    await setTenant(service, { webauthn });
    const refused = await failure(enrollPasskey(service, "ann", passkey()));
    expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "AUTHENTICATOR_NOT_ALLOWED" });
    expect(refused.metadata).toEqual({ policy: `webauthn.${policy}` });
    const { credentials } = await service.mfa.listWebAuthnCredentials({}, await service.user("ann", "aal2"));
    expect(credentials).toEqual([]);
  });

  test.each([
    { webauthn: { attachment: WebAuthnAttachment.CROSS_PLATFORM }, policy: "attachment" },
    { webauthn: { discoverable: WebAuthnRequirement.REQUIRED }, policy: "discoverable" },
    { webauthn: { denySynced: true }, policy: "deny_synced" },
  ])("a term that comes in between holds: $policy", async ({ webauthn, policy }) => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    await setTenant(service, { webauthn });
    const response = makePasskey({ rk: false, synced: true }).create(options);
    const refused = await failure(service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token));
    expect(refused).toMatchObject({
      reason: "AUTHENTICATOR_NOT_ALLOWED",
      metadata: { policy: `webauthn.${policy}` },
    });
  });

  test("what the tenant leaves open the user chooses, what it fixes not", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { webauthn: { attachment: WebAuthnAttachment.PLATFORM } });
    const token = await service.user("ann");
    const wish = { discoverable: WebAuthnRequirement.REQUIRED };
    const { options } = await service.mfa.startWebAuthnRegistration(wish, token);
    expect(read(options).authenticatorSelection).toMatchObject({
      authenticatorAttachment: "platform",
      residentKey: "required",
      requireResidentKey: true,
    });
    const other = { attachment: WebAuthnAttachment.CROSS_PLATFORM };
    const refused = await failure(service.mfa.startWebAuthnRegistration(other, token));
    expect(refused).toMatchObject({ reason: "POLICY_FORBIDS", metadata: { policy: "webauthn.attachment" } });
  });

  test("a model must be proven where the tenant lists any; without metadata that is said at once", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { webauthn: { attestation: AttestationPolicy.REQUIRED } });
    const refused = await failure(service.mfa.startWebAuthnRegistration({}, await service.user("ann")));
    expect(refused).toMatchObject({ reason: "POLICY_FORBIDS", metadata: { policy: "webauthn.attestation" } });
  });

  test("there are as many credentials as allowed and no more, whatever was begun before", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { webauthn: { maxCredentials: 1 } });
    const token = await service.user("ann", "aal2");
    const begun = await service.mfa.startWebAuthnRegistration({}, token);
    await enrollPasskey(service, "ann");
    const response = makePasskey().create(begun.options);
    const calls = [
      () => service.mfa.finishWebAuthnRegistration({ ceremonyId: begun.ceremonyId, response }, token),
      () => service.mfa.startWebAuthnRegistration({}, token),
    ];
    for (const call of calls) {
      expect(await failure(call())).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "1" } });
    }
  });
});

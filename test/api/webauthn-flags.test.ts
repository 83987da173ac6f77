import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType, Recommendation } from "../../gen/mfa/v1/factor_pb.js";
import { outboxMessages } from "../../src/outbox/outbox.table.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { logIn as askFor, backendOf } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { bring } from "../support/actors/importer.ts";
import { enrollPasskey, Flag, logIn, makePasskey } from "../support/actors/passkey.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { changesOf, eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const reason = "moved to another password manager";
const TURNED = { flip: Flag.BE | Flag.BS };

/** Imports a passkey as an old system knew it, which kept what `more` says. */
async function importPasskey(
  service: ServiceUnderTest,
  passkey: ReturnType<typeof makePasskey>,
  { userId = "ann", ...more }: { readonly userId?: string; readonly backupEligible?: boolean } = {},
) {
  const userHandle = randomBytes(32);
  const webauthn = {
    ...{ webauthnId: Buffer.from(passkey.id, "base64url"), publicKey: passkey.publicKey, rpId: "localhost" },
    ...{ webauthnUserId: userHandle.toString("base64url"), signCount: 0n, ...more },
  };
  const { results } = await bring(service, [{ userId, kind: { case: "webauthn", value: webauthn } }]);
  return { factorId: results[0]?.factorId ?? "", with: { userHandle } };
}

describe.each(engines)("backup flags and counters on $name", (engine) => {
  test("an imported passkey without backup flags says them by its first proof, and is held to them then", async () => {
    const service = await serviceForTest(engine);
    for (const synced of [true, false]) {
      const passkey = makePasskey({ synced });
      const userId = synced ? "ann" : "bob";
      const imported = await importPasskey(service, passkey, { userId });
      const credentialId = imported.factorId;
      const token = await service.user(userId, "aal2");
      const shown = async () => (await service.mfa.getWebAuthnCredential({ credentialId }, token)).credential;
      expect(await shown()).toMatchObject({ backupEligible: false, backedUp: false });
      await expect(logIn(service, userId, passkey, imported.with)).resolves.toMatchObject({ credentialId });
      expect(await shown()).toMatchObject({ backupEligible: synced, backedUp: synced });
      await expect(logIn(service, userId, passkey, imported.with)).resolves.toBeDefined();
      const turned = await failure(logIn(service, userId, passkey, { ...imported.with, ...TURNED }));
      expect(turned.reason).toBe("BACKUP_ELIGIBILITY_CHANGED");
    }
  });

  test("an imported passkey is not taken for bound to its device before it has said so", async () => {
    const service = await serviceForTest(engine);
    await importPasskey(service, makePasskey());
    const backend = await backendOf(service);
    const asked = askFor("ann", { strength: AuthenticationStrength.DEVICE_BOUND });
    const { challenge } = await service.internal.createUserChallenge(asked, backend);
    expect(challenge?.factors).toEqual([]);
  });

  test("a flag that an import states is held against the first proof", async () => {
    const service = await serviceForTest(engine);
    const passkey = makePasskey({ synced: true });
    const imported = await importPasskey(service, passkey, { backupEligible: false });
    const refused = await failure(logIn(service, "ann", passkey, imported.with));
    expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "BACKUP_ELIGIBILITY_CHANGED" });
  });

  test("a passkey whose flag changed is refused for that reason, which event, audit and status tell, and locks nobody", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential, token } = await enrollPasskey(service, "ann");
    for (let n = 0; n < 12; n++) {
      const refused = await failure(logIn(service, "ann", passkey, TURNED));
      expect(refused).toMatchObject({
        code: status.FAILED_PRECONDITION,
        reason: "BACKUP_ELIGIBILITY_CHANGED",
        metadata: { credential_id: credential.credentialId },
      });
    }
    expect(new Set((await eventsOf(service.store)).slice(1))).toEqual(new Set(["PROOF_FAILED BACKUP_ELIGIBILITY"]));
    const changes = (await changesOf(service.store)).map(({ action }) => action);
    expect(changes.filter((action) => action === "webauthn.backup_eligibility_changed")).toHaveLength(1);
    const { credentialId } = credential;
    expect((await service.mfa.getWebAuthnCredential({ credentialId }, token)).credential).toMatchObject({
      backupEligible: false,
      backupEligibilityChanged: true,
    });
    const { status: found } = await service.mfa.getMfaStatus({}, token);
    expect(found?.recommendations[0]).toBe(Recommendation.REVIEW_BACKUP_ELIGIBILITY);
    // As it was at first, it is taken.
    await expect(logIn(service, "ann", passkey)).resolves.toBeDefined();
  });

  test("a counter that goes back to zero is refused for that reason, and locks nobody", async () => {
    const service = await serviceForTest(engine);
    const { passkey } = await enrollPasskey(service, "ann");
    await logIn(service, "ann", passkey, { counter: 51 });
    for (let n = 0; n < 12; n++) {
      const refused = await failure(logIn(service, "ann", passkey, { counter: 0 }));
      expect(refused).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "CLONE_SUSPECTED" });
    }
    const changes = (await changesOf(service.store)).map(({ action }) => action);
    expect(changes.filter((action) => action === "webauthn.clone_suspected")).toHaveLength(1);
    await expect(logIn(service, "ann", passkey, { counter: 52 })).resolves.toBeDefined();
  });

  test("a log-in goes on by another factor after its passkey was refused for its flags", async () => {
    const service = await serviceForTest(engine);
    const { passkey } = await enrollPasskey(service, "ann");
    const app = await enrollApp(service, "ann", "aal2");
    service.pass(60_000);
    const backend = await backendOf(service);
    const type = FactorType.WEBAUTHN;
    const created = await service.internal.createUserChallenge({ ...askFor("ann"), prepareFactorType: type }, backend);
    const challengeId = created.challenge?.challengeId ?? "";
    const options = created.preparation?.kind.case === "webauthnOptions" ? created.preparation.kind.value : {};
    const answering = { userId: "ann", challengeId, client: { ip: "203.0.113.7" } };
    const answered = { case: "webauthn", value: passkey.get(options, TURNED) } as const;
    const refused = await failure(
      service.internal.verifyUserChallenge({ ...answering, proof: { kind: answered } }, backend),
    );
    expect(refused.reason).toBe("BACKUP_ELIGIBILITY_CHANGED");
    const { challenge } = await service.internal.getUserChallenge({ userId: "ann", challengeId }, backend);
    expect(challenge?.factors.map((factor) => factor.type)).toContain(FactorType.TOTP);
    const next = await service.internal.createUserChallenge(askFor("ann"), backend);
    expect(next.challenge?.factors.map((factor) => factor.type)).toEqual([FactorType.TOTP, FactorType.WEBAUTHN]);
    const code = { case: "totpCode", value: await app.code() } as const;
    await expect(
      service.internal.verifyUserChallenge({ ...answering, proof: { kind: code } }, backend),
    ).resolves.toBeDefined();
  });

  test("a passkey whose flag changed does not keep its authenticator from being registered anew", async () => {
    const service = await serviceForTest(engine);
    const { passkey, token } = await enrollPasskey(service, "ann");
    await failure(logIn(service, "ann", passkey, TURNED));
    const { options } = await service.mfa.startWebAuthnRegistration({}, token);
    expect(options?.excludeCredentials).toEqual([]);
  });

  test("an administrator accepts a changed passkey anew, once and for what it says then", async () => {
    const service = await serviceForTest(engine);
    const { passkey, credential } = await enrollPasskey(service, "ann");
    const { credentialId } = credential;
    await logIn(service, "ann", passkey, { counter: 51 });
    await failure(logIn(service, "ann", passkey, { ...TURNED, counter: 52 }));
    await failure(logIn(service, "ann", passkey, { counter: 0 }));
    const root = await adminOf(service);
    const accepted = await service.admin.acceptUserWebAuthnCredential({ userId: "ann", credentialId, reason }, root);
    expect(accepted.credential).toMatchObject({ cloneWarning: false, backupEligibilityChanged: false });
    await expect(logIn(service, "ann", passkey, { ...TURNED, counter: 0 })).resolves.toBeDefined();
    expect((await failure(logIn(service, "ann", passkey, { counter: 0 }))).reason).toBe("BACKUP_ELIGIBILITY_CHANGED");
    const entry = (await changesOf(service.store)).find(({ action }) => action === "webauthn.accepted_anew");
    expect(entry).toMatchObject({ actorId: "root", targetId: credentialId, reason });
    expect(entry?.before).toMatchObject({ counter: 51, cloneWarning: true, backupEligibilityChanged: true });
    expect(await eventsOf(service.store)).toContain("FACTOR_UPDATED UNSPECIFIED");
  });

  test("accepting a passkey anew ends trust in the user's devices, and tells them", async () => {
    const service = await serviceForTest(engine);
    const { credential, token, aal1 } = await enrollPasskey(service, "ann");
    await allowTrust(service);
    const { trustToken } = await service.mfa.trustDevice({}, token);
    const { credentialId } = credential;
    await service.admin.acceptUserWebAuthnCredential({ userId: "ann", credentialId, reason }, await adminOf(service));
    const { deviceTrust } = await service.mfa.checkDeviceTrust({ trustToken }, aal1);
    expect(deviceTrust?.trusted).toBe(false);
    const notices = (await rowsIn(service.store, outboxMessages)).map(({ kind }) => kind);
    expect(notices).toContain("factor_changed");
  });

  test("nobody accepts a passkey of their own, one that is not there, or without the scope", async () => {
    const service = await serviceForTest(engine);
    const { credential } = await enrollPasskey(service, "ann");
    const { credentialId } = credential;
    const asked = { userId: "ann", credentialId, reason };
    const accept = (request: object, token: string) =>
      failure(service.admin.acceptUserWebAuthnCredential({ ...asked, ...request }, token));
    expect((await accept({}, await adminOf(service, "mfa.reset", { subject: "ann" }))).reason).toBe("SELF_ACTION");
    expect((await accept({ userId: "bob" }, await adminOf(service))).reason).toBe("NOT_FOUND");
    expect((await accept({ reason: "" }, await adminOf(service))).reason).toBe("INVALID_FIELD");
    expect((await accept({}, await adminOf(service, "mfa.read"))).code).toBe(status.PERMISSION_DENIED);
  });
});

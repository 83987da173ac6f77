import { createECDH, generateKeyPairSync } from "node:crypto";
import jsqr from "jsqr";
import { PNG } from "pngjs";
import { describe, expect, test } from "vitest";
import { frame, readPairing } from "../../examples/push-device/phone.mjs";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { PushChannel, PushDeviceState, PushKeyAlgorithm } from "../../gen/mfa/v1/push_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { newPhone, pairPhone, reasonOf, switchPushOn } from "../support/actors/push-phones.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow, PLACED } from "../support/engine/rows.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const subscription = {
  endpoint: "https://updates.push.services.mozilla.com/wpush/v2/abc",
  p256dh: createECDH("prime256v1").generateKeys(),
  auth: Buffer.alloc(16, 9),
};

describe.each(engines)("paired phones on $name", (engine) => {
  const start = async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service, { maxDevices: 2 });
    return service;
  };
  const pairing = async () => {
    const service = await start();
    const token = await service.user("ann");
    return { service, token, started: await service.mfa.startPushDeviceEnrollment({ displayName: "My phone" }, token) };
  };

  test("the QR code holds what the text says, and the page's name for the phone wins", async () => {
    const { service, started } = await pairing();
    const { width, height, data } = PNG.sync.read(Buffer.from(started.qrPng));
    const read = jsqr.default(new Uint8ClampedArray(data), width, height)?.data ?? "";
    expect(read).toBe(started.pairingUri);
    expect(readPairing(read)).toMatchObject({ token: started.pairingToken, issuer: "MFA Service" });
    const { device, issuer } = await newPhone(service).pair(started.pairingToken);
    expect(device).toMatchObject({ displayName: "My phone", channel: PushChannel.POLL, channelGone: false });
    expect(issuer).toBe("MFA Service");
  });

  test("a pairing token is good for ten minutes, once, and dies with a newer one", async () => {
    const { service, token, started } = await pairing();
    const newer = await service.mfa.startPushDeviceEnrollment({}, token);
    expect(await reasonOf(newPhone(service).pair(started.pairingToken))).toBe("INVALID_CREDENTIAL");
    service.pass(10 * MINUTE);
    expect(await reasonOf(newPhone(service).pair(newer.pairingToken))).toBe("INVALID_CREDENTIAL");
    const last = await service.mfa.startPushDeviceEnrollment({}, await service.user("ann"));
    const phones = Array.from({ length: 20 }, () => newPhone(service).pair(last.pairingToken));
    const outcomes = await Promise.all(phones.map(reasonOf));
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
    const { devices } = await service.mfa.listPushDevices({}, await service.user("ann", "aal2"));
    expect(devices.map(({ state }) => state)).toEqual([PushDeviceState.ACTIVE]);
    expect(await reasonOf(newPhone(service).pair(last.pairingToken))).toBe("INVALID_CREDENTIAL");
  });

  test("a phone that does not prove its key is not paired, nor with a key of another kind", async () => {
    const { service, started } = await pairing();
    const { pairingToken } = started;
    const authorization = `Device ${pairingToken}`;
    const spki = (key: ReturnType<typeof generateKeyPairSync>["publicKey"]) =>
      (key as import("node:crypto").KeyObject).export({ format: "der", type: "spki" });
    const phone = newPhone(service);
    const address = { kind: { case: "poll" as const, value: true } };
    const right = { pairingToken, publicKey: phone.publicKey, address, keyAlgorithm: PushKeyAlgorithm.ES256 };
    const before = await everyRow(service.store, PLACED);
    for (const fields of [
      { ...right, signature: Buffer.alloc(70) },
      {
        ...right,
        signature: phone.answer({ pushChallengeId: pairingToken, nonce: "" as never, actionDigest: "" as never }, ""),
      },
      { ...right, keyAlgorithm: PushKeyAlgorithm.ED25519, signature: Buffer.alloc(64) },
      {
        ...right,
        publicKey: spki(generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey),
        signature: Buffer.alloc(70),
      },
      { ...right, publicKey: Buffer.concat([phone.publicKey, Buffer.of(0)]), signature: Buffer.alloc(70) },
      { ...right, publicKey: Buffer.alloc(91, 1), signature: Buffer.alloc(70) },
      {
        ...right,
        keyAlgorithm: PushKeyAlgorithm.ED25519,
        publicKey: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.alloc(32)]),
        signature: Buffer.concat([Buffer.of(1), Buffer.alloc(63)]),
      },
    ]) {
      const call = service.mfa.finishPushDeviceEnrollment(fields, undefined, { authorization });
      expect((await failure(call)).reason).toBe("SIGNATURE_REJECTED");
    }
    expect(await everyRow(service.store, PLACED)).toEqual(before);
    expect(frame("ab", "c")).not.toEqual(frame("a", "bc"));
    expect(await reasonOf(phone.pair(pairingToken))).toBe("OK");
  });

  test("one user's token does not pair under another's credential", async () => {
    const { service, started } = await pairing();
    const bobs = await service.mfa.startPushDeviceEnrollment({}, await service.user("bob"));
    const phone = newPhone(service);
    const fields = { pairingToken: started.pairingToken, publicKey: phone.publicKey, signature: Buffer.alloc(70) };
    const address = { kind: { case: "poll" as const, value: true } };
    const call = service.mfa.finishPushDeviceEnrollment(
      { ...fields, address, keyAlgorithm: PushKeyAlgorithm.ES256 },
      undefined,
      { authorization: `Device ${bobs.pairingToken}` },
    );
    expect((await failure(call)).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("needs a second factor from who has one, and lets in by ticket who has none", async () => {
    const service = await start();
    const { holder } = await ticketOffice(service);
    const byTicket = await service.mfa.startPushDeviceEnrollment({}, undefined, await holder("ann"));
    const phone = newPhone(service);
    await phone.pair(byTicket.pairingToken);
    const again = service.mfa.startPushDeviceEnrollment({}, await service.user("ann"));
    expect((await failure(again)).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
    await enrollApp(service, "bob");
    const bobs = service.mfa.startPushDeviceEnrollment({}, await service.user("bob"));
    expect((await failure(bobs)).reason).toBe("INSUFFICIENT_USER_AUTHENTICATION");
  });

  test("a pairing begun without a factor is not finished beside one that came in between", async () => {
    const { service, started } = await pairing();
    await enrollApp(service, "ann");
    expect(await reasonOf(newPhone(service).pair(started.pairingToken))).toBe("CHALLENGE_EXPIRED");
    const status = await service.mfa.getMfaStatus({ factorType: FactorType.PUSH }, await service.user("ann"));
    expect(status.status?.factors[0]?.enabled).toBe(false);
  });

  test("there is a cap, and where approvals are off none is paired", async () => {
    const service = await start();
    await pairPhone(service, "ann");
    await pairPhone(service, "ann", { acr: "aal2" });
    const third = await failure(service.mfa.startPushDeviceEnrollment({}, await service.user("ann", "aal2")));
    expect(third).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "2" } });
    const off = await service.mint({ audience: "mfa", subject: "ann", tenant: "acme" });
    expect((await failure(service.mfa.startPushDeviceEnrollment({}, off))).reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("users list, rename and revoke their phones; what a revoked one signs is refused for good", async () => {
    const service = await start();
    const phone = await pairPhone(service, "ann");
    const token = await service.user("ann", "aal2");
    const deviceId = phone.id();
    const renamed = await service.mfa.updatePushDevice({ deviceId, displayName: "Old phone", version: 1n }, token);
    expect(renamed.device).toMatchObject({ displayName: "Old phone", version: 2n, primary: true });
    const stale = service.mfa.updatePushDevice({ deviceId, displayName: "x", version: 1n }, token);
    expect(await failure(stale)).toMatchObject({ reason: "STALE_VERSION", metadata: { version: "2" } });
    const same = service.mfa.updatePushDevice({ deviceId, version: 2n }, token);
    expect((await failure(same)).reason).toBe("EMPTY_UPDATE");

    expect((await failure(service.mfa.revokePushDevice({ deviceId }, token))).reason).toBe("LAST_FACTOR");
    expect(await phone.pending()).toEqual([]);
    for (let n = 0; n < 2; n++) {
      const revoked = await service.mfa.revokePushDevice({ deviceId, confirmLastFactor: true }, token);
      expect(revoked.device?.state).toBe(PushDeviceState.REVOKED);
    }
    expect(await reasonOf(phone.pending())).toBe("INVALID_CREDENTIAL");
    const { devices } = await service.mfa.listPushDevices({}, token);
    expect(devices.map(({ state }) => state)).toEqual([PushDeviceState.REVOKED]);
    const foreign = service.mfa.revokePushDevice({ deviceId }, await service.user("bob", "aal2"));
    expect((await failure(foreign)).reason).toBe("NOT_FOUND");
  });

  test("a phone that is still to be paired is in the list, by no address and no key", async () => {
    const { service, started } = await pairing();
    const token = await service.user("ann", "aal2");
    const listed = async () => (await service.mfa.listPushDevices({}, token)).devices;
    const [pending] = await listed();
    expect(pending).toMatchObject({ displayName: "My phone", state: PushDeviceState.PENDING });
    expect(pending?.lastUseTime).toBeUndefined();
    const phone = newPhone(service);
    await phone.pair(started.pairingToken, { address: { kind: { case: "webPush", value: subscription } } });
    const [device, ...more] = await listed();
    expect(more).toEqual([]);
    expect(device).toMatchObject({ state: PushDeviceState.ACTIVE, deviceId: started.device?.deviceId });
    expect(device?.deviceId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    const text = JSON.stringify(device, (_, value) => (typeof value === "bigint" ? String(value) : value));
    for (const secret of ["wpush", started.pairingToken, phone.publicKey.toString("base64"), phone.publicKey.join()]) {
      expect(text).not.toContain(secret);
    }
  });

  test("pages of phones follow each other", async () => {
    const service = await start();
    const token = await service.user("ann", "aal2");
    const ids = [await pairPhone(service, "ann"), await pairPhone(service, "ann", { acr: "aal2" })].map((one) =>
      one.id(),
    );
    const first = await service.mfa.listPushDevices({ pageSize: 1 }, token);
    const second = await service.mfa.listPushDevices({ pageSize: 1, pageToken: first.nextPageToken }, token);
    expect([...first.devices, ...second.devices].map(({ deviceId }) => deviceId)).toEqual(ids);
    expect(second.nextPageToken).toBe("");
  });

  test("a phone says where it is told; the address is sealed, and only push services are called", async () => {
    const service = await start();
    const phone = await pairPhone(service, "ann", { address: { kind: { case: "webPush", value: subscription } } });
    const token = await service.user("ann", "aal2");
    const channel = async () => (await service.mfa.listPushDevices({}, token)).devices[0]?.channel;
    expect(await channel()).toBe(PushChannel.WEB_PUSH);
    await phone.rotate({ kind: { case: "fcmToken", value: "fcm-token-of-ann" } });
    expect(await channel()).toBe(PushChannel.FCM);
    const kept = JSON.stringify([await everyRow(service.store), service.log]);
    for (const secret of ["wpush", "fcm-token-of-ann"]) expect(kept).not.toContain(secret);
    for (const endpoint of [
      "https://127.0.0.1/x",
      "https://internal.example/x",
      "https://updates.push.services.mozilla.com:8443/x",
      "https://evil@updates.push.services.mozilla.com/x",
      "https://updates.push.services.mozilla.com.evil.example/x",
      "https://push.apple.com.evil.example/x",
    ]) {
      const moved = phone.rotate({ kind: { case: "webPush", value: { ...subscription, endpoint } } });
      expect(await reasonOf(moved), endpoint).toBe("DESTINATION_REFUSED");
    }
    // Of the right length, but on no curve: nothing could ever be encrypted to it.
    const p256dh = Buffer.alloc(65, 4);
    const unusable = phone.rotate({ kind: { case: "webPush", value: { ...subscription, p256dh } } });
    expect(await reasonOf(unusable)).toBe("DESTINATION_REFUSED");
    expect(await channel()).toBe(PushChannel.FCM);
    expect(await tally([service.mfa.rotatePushDeviceToken({}, token)])).toEqual({ ACCESS_DENIED: 1 });
  });

  test("each tenant has one key for Web Push, whoever asks first", async () => {
    const service = await start();
    const phone = await pairPhone(service, "ann");
    const user = await service.user("bob");
    const acme = await service.mint({ audience: "mfa", subject: "ann", tenant: "acme" });
    const keyOf = async (token: string) => (await service.mfa.getVapidPublicKey({}, token)).publicKey;
    const keys = await Promise.all(Array.from({ length: 20 }, () => keyOf(user)));
    expect(new Set(keys).size).toBe(1);
    const point = Buffer.from(keys[0] ?? "", "base64url");
    expect([point.length, point[0]]).toEqual([65, 4]);
    expect((await phone.ask(MfaService.method.getVapidPublicKey, {})).publicKey).toBe(keys[0]);
    expect(await keyOf(acme)).not.toBe(keys[0]);
  });

  test("a key that somebody wrote into the database opens nothing", async () => {
    const service = await start();
    const phone = await pairPhone(service, "ann");
    const thief = newPhone(service);
    const hex = thief.publicKey.toString("hex");
    const value = engine.name === "sqlite" ? `x'${hex}'` : `'\\x${hex}'`;
    await service.execute(`UPDATE push_devices SET public_key = ${value} WHERE device_id = '${phone.id()}'`);
    thief.state.deviceId = phone.id();
    for (const one of [thief, phone]) expect(await reasonOf(one.pending())).toBe("DATA_TAMPERED");
  });

  test("a phone that was moved to another user in the database is nobody's", async () => {
    const service = await start();
    const phone = await pairPhone(service, "ann");
    await service.execute(`UPDATE push_devices SET user_id = 'bob' WHERE device_id = '${phone.id()}'`);
    expect(await reasonOf(phone.pending())).toBe("DATA_TAMPERED");
    await service.execute(`UPDATE push_devices SET user_id = 'ann' WHERE device_id = '${phone.id()}'`);
    expect(await phone.pending()).toEqual([]);
  });

  test("status, lists and the first choice know paired phones", async () => {
    const service = await start();
    const phone = await pairPhone(service, "ann");
    const token = await service.user("ann", "aal2");
    const { status } = await service.mfa.getMfaStatus({}, token);
    expect(status).toMatchObject({ enrolled: true, primaryFactorType: FactorType.PUSH });
    const { factors } = await service.mfa.listFactors({ factorType: FactorType.PUSH }, token);
    expect(factors).toMatchObject([{ factorId: phone.id(), displayName: "Simulated phone", primary: true }]);
  });
});

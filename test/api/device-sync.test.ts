import { createHash, randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { rounds } from "../support/engine/races.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const sealed = (size = 100) => {
  const blob = randomBytes(size);
  return { blob, checksum: createHash("sha256").update(blob).digest() };
};

describe.each(engines)("device sync on $name", (engine) => {
  const begin = async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    return { service, token: await service.user("ann", "aal2") };
  };

  test("an app stores what nobody else can read, goes on from it, and reads the last three versions", async () => {
    const { service, token } = await begin();
    const blobs = [sealed(), sealed(49_152), sealed(), sealed()];
    let syncedDeviceId = "";
    for (const [version, { blob, checksum }] of blobs.entries()) {
      const request = { syncedDeviceId, blob, checksum, version: BigInt(version), displayName: version ? "" : "Phone" };
      const { device } = await service.mfa.syncDevice(request, token);
      syncedDeviceId = device?.syncedDeviceId ?? "";
      expect(device).toMatchObject({ displayName: "Phone", version: BigInt(version + 1), size: blob.length });
    }
    const { devices } = await service.mfa.listSyncedDevices({}, token);
    expect(devices).toMatchObject([{ syncedDeviceId, version: 4n, size: 100, displayName: "Phone" }]);
    expect(Buffer.from(devices[0]?.checksum ?? [])).toEqual(blobs[3]?.checksum);
    for (const version of [2, 3, 4]) {
      const { blob } = await service.mfa.getSyncedDevice({ syncedDeviceId, version: BigInt(version) }, token);
      expect(Buffer.from(blob)).toEqual(blobs[version - 1]?.blob);
    }
    const newest = await service.mfa.getSyncedDevice({ syncedDeviceId }, token);
    expect(newest.device?.version).toBe(4n);
    for (const version of [1n, 5n]) {
      const gone = await failure(service.mfa.getSyncedDevice({ syncedDeviceId, version }, token));
      expect(gone.reason).toBe("NOT_FOUND");
    }
  });

  test("an outdated version, another checksum, too much, and what is somebody else's are refused", async () => {
    const { service, token } = await begin();
    const first = sealed();
    const { device } = await service.mfa.syncDevice(first, token);
    const syncedDeviceId = device?.syncedDeviceId ?? "";
    await service.mfa.syncDevice({ ...sealed(), syncedDeviceId, version: 1n }, token);
    for (const version of [0n, 1n, 9n]) {
      const stale = await failure(service.mfa.syncDevice({ ...first, syncedDeviceId, version }, token));
      expect(stale).toMatchObject({ code: status.ABORTED, reason: "STALE_VERSION", metadata: { version: "2" } });
    }
    const wrong = { ...sealed(), checksum: sealed().checksum };
    expect(await failure(service.mfa.syncDevice(wrong, token))).toMatchObject({ reason: "INVALID_FIELD" });
    expect((await failure(service.mfa.syncDevice(sealed(49_153), token))).reason).toBe("INVALID_FIELD");
    await enrollApp(service, "bob");
    const bob = await service.user("bob", "aal2");
    const refused = [
      await failure(service.mfa.syncDevice({ ...first, syncedDeviceId, version: 2n }, bob)),
      await failure(service.mfa.getSyncedDevice({ syncedDeviceId }, bob)),
      await failure(service.mfa.deleteSyncedDevice({ syncedDeviceId }, bob)),
    ];
    for (const refusal of refused) expect(refusal).toMatchObject({ code: status.NOT_FOUND, reason: "NOT_FOUND" });
    expect((await service.mfa.getSyncedDevice({ syncedDeviceId }, token)).device?.version).toBe(2n);
  });

  test("a user has at most ten apps, and what is deleted is gone in every version", async () => {
    const { service, token } = await begin();
    const ids: string[] = [];
    for (let n = 0; n < 10; n++) {
      const { device } = await service.mfa.syncDevice(sealed(), token);
      ids.push(device?.syncedDeviceId ?? "");
    }
    const full = await failure(service.mfa.syncDevice(sealed(), token));
    expect(full).toMatchObject({ reason: "LIMIT_REACHED", metadata: { limit: "10" } });
    const [syncedDeviceId = ""] = ids;
    await service.mfa.deleteSyncedDevice({ syncedDeviceId }, token);
    expect((await failure(service.mfa.getSyncedDevice({ syncedDeviceId }, token))).reason).toBe("NOT_FOUND");
    const page = await service.mfa.listSyncedDevices({ pageSize: 5 }, token);
    const rest = await service.mfa.listSyncedDevices({ pageSize: 5, pageToken: page.nextPageToken }, token);
    const listed = [...page.devices, ...rest.devices].map((device) => device.syncedDeviceId);
    expect(listed).toEqual(ids.slice(1));
  });

  test("of 50 concurrent syncs from one version one wins", { repeats: rounds - 1 }, async () => {
    const { service, token } = await begin();
    const { device } = await service.mfa.syncDevice(sealed(), token);
    const syncedDeviceId = device?.syncedDeviceId ?? "";
    const calls = Array.from({ length: 50 }, () =>
      service.mfa.syncDevice({ ...sealed(), syncedDeviceId, version: 1n }, token),
    );
    expect(await tally(calls)).toEqual({ OK: 1, STALE_VERSION: 49 });
  });
});

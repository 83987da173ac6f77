import { describe, expect, test } from "vitest";
import { type TombstoneRow, tombstoneRepository } from "../../src/erasure/tombstones/tombstones.repository.ts";
import {
  type TrustedDeviceRow,
  trustedDeviceRepository,
} from "../../src/trusted-devices/trusted-devices.repository.ts";
import { boundForTest, engines } from "../support/engine/engines.ts";

const now = new Date("2026-03-01T12:00:00.000Z");
const later = new Date(now.getTime() + 60_000);

describe.each(engines)("what is done once on $name", (engine) => {
  test("an erasure is finished once: its receipt keeps what it counted, and its time", async () => {
    const store = await boundForTest(engine);
    const key = { tenantId: "dev", userDigest: "digest", erasureId: "erasure" };
    const counts = { removed: {}, pseudonymisedCount: 0, erasedBefore: false, eraseTime: now };
    const begun: TombstoneRow = { ...key, ...counts, receiptId: "receipt", state: "begun" };
    const write = <T>(work: (rows: ReturnType<typeof tombstoneRepository>) => Promise<T>) =>
      store.write((tx) => work(tombstoneRepository(tx)));
    await write((rows) => rows.insert(begun));
    const done = { ...key, removed: { totp_devices: 2 }, pseudonymisedCount: 3, erasedBefore: false, eraseTime: now };
    expect(await write((rows) => rows.finish(done))).toMatchObject({ state: "done", removed: { totp_devices: 2 } });
    expect(await write((rows) => rows.finish({ ...done, removed: {}, eraseTime: later }))).toBeUndefined();
    await write((rows) => rows.note({ ...key, removed: {} }));
    const [kept] = await write((rows) => rows.list(key));
    expect(kept).toMatchObject({ state: "done", removed: { totp_devices: 2 }, eraseTime: now });
  });

  test("of two who present one secret of a client one rotates it", async () => {
    const store = await boundForTest(engine);
    const key = { tenantId: "dev", userId: "ann", trustedDeviceId: "client" };
    const [first, second] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    const row = {
      ...key,
      ...{ seriesDigest: Buffer.alloc(32, 9), secretDigest: first, previousDigest: first, counter: 1 },
      ...{ displayName: "", userAgent: "", ip: "", location: "", application: "", mfaEpoch: 1 },
      ...{ createTime: now, lastUseTime: now, rotateTime: now, expireTime: later },
    };
    const write = <T>(work: (rows: ReturnType<typeof trustedDeviceRepository>) => Promise<T>) =>
      store.write((tx) => work(trustedDeviceRepository(tx)));
    await write((rows) => rows.insert(row as TrustedDeviceRow));
    const rotation = { ...key, secretDigest: second, previousDigest: first, counter: 1, now };
    expect(await write((rows) => rows.rotate(rotation))).toMatchObject({ counter: 2 });
    expect(await write((rows) => rows.rotate(rotation))).toBeUndefined();
  });
});

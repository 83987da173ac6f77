import type { KeyObject } from "node:crypto";
import type { Call } from "../../core/call.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner, Store, Tx } from "../../db/store.ts";
import type { SettingsOf } from "../../tenant-settings/settings.ts";
import type { ChallengeOutcomes, FactorSet } from "../factor.ts";
import { pairedKey } from "./device-key.ts";
import { createPairing } from "./pairing.ts";
import { pushProver } from "./push.prover.ts";
import type { PushChannel } from "./push.table.ts";
import { type Address, createAddresses, type PushWays } from "./push-address.ts";
import { createAnswers } from "./push-answers.ts";
import { pushDeviceRepository } from "./push-devices.repository.ts";
import { createPushDevices } from "./push-devices.ts";
import { createHistory } from "./push-history.ts";
import { createRequests } from "./push-requests.ts";
import { createVapidKeys } from "./vapid-keys.ts";

/** Dependencies of approvals on a phone. */
export interface PushOptions {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  readonly settingsOf: SettingsOf;
  readonly factorSet: FactorSet;
  /** Whether the user has a second factor, as the unit sees it. */
  readonly hasFactor: (tx: Tx, owner: Owner) => Promise<boolean>;
  /** What answers do to the challenges behind them. */
  readonly challenges: ChallengeOutcomes;
  readonly ways: PushWays;
  /** Where an address is, for people; empty where it is not known. */
  readonly locate: (ip: string) => string;
  /** Where phones find this service, for the QR code; empty leaves it to the app. */
  readonly address: string;
}

/** Where a message to a phone goes, at the moment of its delivery. */
export interface PushTarget {
  readonly channel: PushChannel;
  readonly address: Address;
  readonly addressVersion: number;
}

/** Approvals on a paired phone: how phones come into use, are asked, answer, and end. */
export function createPush(options: PushOptions) {
  const { store, keyring, clock, settingsOf, factorSet, challenges, ways } = options;
  const addresses = createAddresses(keyring, ways);
  const pairing = createPairing({ ...options, addresses });
  const requests = createRequests(options);

  return {
    pairing,
    devices: createPushDevices(factorSet, addresses),
    answers: createAnswers(options),
    history: createHistory(challenges),
    prover: pushProver(requests, { challenges, settingsOf }),
    vapidKeyOf: createVapidKeys(options),

    /** What the door knows of phones. */
    register: {
      async keyOf(deviceId: string): Promise<{ owner: Owner; publicKey: KeyObject } | undefined> {
        const row = await store.read((tx) => pushDeviceRepository(tx).findActive(deviceId));
        const publicKey = row && pairedKey(keyring, row);
        return publicKey && { owner: { tenantId: row.tenantId, userId: row.userId }, publicKey };
      },
      async pendingOf(token: string): Promise<{ owner: Owner; deviceId: string } | undefined> {
        const row = await store.read((tx) => pairing.findPending(tx, token, clock()));
        return row && { owner: { tenantId: row.tenantId, userId: row.userId }, deviceId: row.deviceId };
      },
    },

    /** Why a user's phone cannot be asked; undefined when it can. */
    async refuse(call: Call, owner: Owner, deviceId: string): Promise<Refusal | undefined> {
      const active = await call.read((tx) => pushDeviceRepository(tx).listActive(owner));
      if (active.length === 0) return new Refusal("NOT_ENROLLED");
      const isOwn = deviceId === "" || active.some((device) => device.deviceId === deviceId);
      return isOwn ? undefined : new Refusal("NOT_FOUND");
    },

    /** Where a device is told at present; undefined when it is not, or the tenant has approvals off by now. */
    async targetOf(owner: Owner, deviceId: string): Promise<PushTarget | undefined> {
      if (!(await options.settingsOf(owner.tenantId)).push.enabled) return undefined;
      const row = await store.read((tx) => pushDeviceRepository(tx).find({ ...owner, deviceId }, clock()));
      if (row?.state !== "active" || row.channelGone || !row.sealedAddress) return undefined;
      const { channel, addressVersion, sealedAddress } = row;
      return { channel, addressVersion, address: await addresses.open(owner, deviceId, sealedAddress) };
    },

    /** Takes a device's address out of use that its provider reported gone; the device stays and polls. */
    async retire(owner: Owner, deviceId: string, addressVersion: number): Promise<void> {
      await store.write((tx) => pushDeviceRepository(tx).retire({ ...owner, deviceId, addressVersion }, clock()));
    },
  };
}

/** Approvals on a paired phone. */
export type Push = ReturnType<typeof createPush>;

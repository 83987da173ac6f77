import type { Owner } from "../db/store.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import type { DeliveryOutcome, Outgoing, Provider } from "./provider.ts";

/** The destination of a message to a phone. */
export interface PushDestination {
  readonly channel: string;
  /** The channel's address fields by name. Secret. */
  readonly address: Readonly<Record<string, string>>;
  /** Which address of the device it is. */
  readonly addressVersion: number;
}

/** The register of phones' addresses. */
export interface PushRegister {
  /** Returns a device's present destination; undefined without one. */
  readonly targetOf: (owner: Owner, deviceId: string) => Promise<PushDestination | undefined>;
  /** Removes an address that is gone. The device stays. */
  readonly retire: (owner: Owner, deviceId: string, addressVersion: number) => Promise<void>;
}

/** The payload for a phone: the id of a waiting request. Never its content or number. */
export interface PushNote {
  readonly pushChallengeId: string;
  readonly address: PushDestination["address"];
}

/** A push provider. */
export interface PushCarrier {
  readonly name: string;
  readonly channel: Exclude<Channel, "notice" | "sms" | "email">;
  carry(note: PushNote, message: Outgoing, signal: AbortSignal): Promise<DeliveryOutcome>;
}

const text = (value: unknown) => (typeof value === "string" ? value : "");

/** Makes a provider that looks up the address at the attempt and removes it when it is gone. */
export const pushProvider = (carrier: PushCarrier, { targetOf, retire }: PushRegister): Provider => ({
  name: carrier.name,
  channel: carrier.channel,
  async send(message, signal) {
    const { owner, data } = message;
    const deviceId = text(data.deviceId);
    const target = await targetOf(owner, deviceId);
    if (target?.channel !== carrier.channel) return { outcome: "gone", error: "NO_ADDRESS" };
    // `challengeId` is how messages called it that an older version left waiting.
    const pushChallengeId = text(data.pushChallengeId ?? data.challengeId);
    const note = { pushChallengeId, address: target.address };
    const outcome = await carrier.carry(note, message, signal);
    if (outcome.outcome === "gone") await retire(owner, deviceId, target.addressVersion);
    return outcome;
  },
});

/** Returns the whole seconds until a message expires; at least one. */
export const secondsLeft = ({ expireTime }: Outgoing, now: Date): number =>
  Math.max(1, Math.floor((expireTime.getTime() - now.getTime()) / 1000));

/** The payload of every push provider. */
export const payloadOf = ({ pushChallengeId }: PushNote): Readonly<Record<string, string>> => ({
  push_challenge_id: pushChallengeId,
});

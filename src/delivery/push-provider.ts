import type { Owner } from "../core/caller.ts";
import type { Channel } from "../outbox/outbox.table.ts";
import type { Outcome, Outgoing, Provider } from "./provider.ts";

/** Where a message to a phone goes. */
export interface PushTarget {
  readonly channel: string;
  /** What the channel needs, by name. Secret. */
  readonly address: Readonly<Record<string, string>>;
  /** Which address of the device it is. */
  readonly addressVersion: number;
}

/** What the ways to phones know of them. */
export interface PushRegister {
  /** Where a device is told at present; undefined when it is not. */
  readonly targetOf: (owner: Owner, deviceId: string) => Promise<PushTarget | undefined>;
  /** Takes an address out of use that is gone. The device stays. */
  readonly retire: (owner: Owner, deviceId: string, addressVersion: number) => Promise<void>;
}

/** What a phone is told: that something waits, by its id. Never what it is, nor a number. */
export interface PushNote {
  readonly challengeId: string;
  readonly address: PushTarget["address"];
}

/** A way to phones. */
export interface PushCarrier {
  readonly name: string;
  readonly channel: Exclude<Channel, "notice" | "sms" | "email">;
  carry(note: PushNote, message: Outgoing, signal: AbortSignal): Promise<Outcome>;
}

const text = (value: unknown) => (typeof value === "string" ? value : "");

/** A way to phones as a provider: looks up the address when the message goes, and retires it when it is gone. */
export const pushProvider = (carrier: PushCarrier, { targetOf, retire }: PushRegister): Provider => ({
  name: carrier.name,
  channel: carrier.channel,
  async send(message, signal) {
    const { owner, data } = message;
    const deviceId = text(data.deviceId);
    const target = await targetOf(owner, deviceId);
    if (target?.channel !== carrier.channel) return { outcome: "gone", error: "NO_ADDRESS" };
    const note = { challengeId: text(data.challengeId), address: target.address };
    const outcome = await carrier.carry(note, message, signal);
    if (outcome.outcome === "gone") await retire(owner, deviceId, target.addressVersion);
    return outcome;
  },
});

/** The whole seconds until a message is worth nothing any more; at least one. */
export const secondsLeft = ({ expireTime }: Outgoing, now: Date): number =>
  Math.max(1, Math.floor((expireTime.getTime() - now.getTime()) / 1000));

/** What every way carries. */
export const payloadOf = ({ challengeId }: PushNote): Readonly<Record<string, string>> => ({
  challenge_id: challengeId,
});

import { ECDH } from "node:crypto";
import type { PushAddress } from "../../../gen/mfa/v1/push_pb.js";
import { Refusal } from "../../core/refusal.ts";
import type { Cell, Keyring } from "../../crypto/keyring.ts";
import type { Owner } from "../../db/store.ts";
import type { PushChannel } from "./push.table.ts";

/** By which ways phones can be told at present, and where. */
export interface PushWays {
  /** The channels that anybody carries. */
  readonly carried: ReadonlySet<Exclude<PushChannel, "poll">>;
  /** The hosts of push services: a page must not make us call any other. "*.example" stands for the names below. */
  readonly webPushHosts: readonly string[];
}

/** An address as it was opened. */
export type Address = Readonly<Record<string, string>>;

const cellOf = ({ tenantId, userId }: Owner, deviceId: string): Cell => ({
  tenantId,
  userId,
  row: deviceId,
  column: "push_devices.sealed_address",
});

/** Whether a push service's URL is one that may be called: https, its usual port, a host that is listed. */
export function isPushService(url: string, hosts: readonly string[]): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, port, username, password } = new URL(url);
  if (protocol !== "https:" || username !== "" || password !== "") return false;
  return hosts.some((host) => {
    const [, name = host, own = ""] = /^(.*?)(?::(\d+))?$/.exec(host) ?? [];
    if (port !== own) return false;
    return name.startsWith("*.") ? hostname.endsWith(name.slice(1)) : hostname === name;
  });
}

/** Whether bytes are an uncompressed point on P-256; anything else could never be encrypted to. */
function isPoint(bytes: Uint8Array): boolean {
  try {
    ECDH.convertKey(bytes, "prime256v1");
    return bytes[0] === 4;
  } catch {
    return false;
  }
}

function read(
  kind: PushAddress["kind"],
  hosts: readonly string[],
): { channel: PushChannel; address?: Address } | undefined {
  switch (kind.case) {
    case "poll":
      return { channel: "poll" };
    case "webPush": {
      const { endpoint, p256dh, auth } = kind.value;
      if (!isPushService(endpoint, hosts) || !isPoint(p256dh)) return undefined;
      const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
      return { channel: "web-push", address: { endpoint, p256dh: base64(p256dh), auth: base64(auth) } };
    }
    case "fcmToken":
      return { channel: "fcm", address: { token: kind.value } };
    case "apnsToken":
      return { channel: "apns", address: { token: kind.value.toLowerCase() } };
    case "webhookTarget":
      return { channel: "push-webhook", address: { token: kind.value } };
    case undefined:
      return undefined;
  }
}

/** How addresses of phones are kept: sealed. */
export function createAddresses(keyring: Pick<Keyring, "seal" | "open">, { carried, webPushHosts }: PushWays) {
  return {
    /** Reads and seals an address. Outside of units. Refused where nobody carries anything there. */
    async seal(owner: Owner, deviceId: string, asked: PushAddress | undefined) {
      const found = asked && read(asked.kind, webPushHosts);
      if (!found || (found.channel !== "poll" && !carried.has(found.channel))) {
        return new Refusal("DESTINATION_REFUSED");
      }
      const { channel, address } = found;
      if (!address) return { channel, sealedAddress: null };
      const plain = Buffer.from(JSON.stringify(address));
      const sealedAddress = await keyring.seal(plain, cellOf(owner, deviceId));
      plain.fill(0);
      return { channel, sealedAddress };
    },

    /** Opens an address. Outside of units. */
    async open(owner: Owner, deviceId: string, sealed: Buffer): Promise<Address> {
      const plain = await keyring.open(sealed, cellOf(owner, deviceId));
      const address: Address = JSON.parse(plain.toString());
      plain.fill(0);
      return address;
    },
  };
}

import { createHash, generateKeyPairSync } from "node:crypto";
import { isoCBOR } from "@simplewebauthn/server/helpers";
import type { Keyring } from "../../crypto/keyring.ts";
import type { Owner } from "../../db/store.ts";
import type { Descriptor } from "./ceremony-options.ts";
import type { Known } from "./verification.ts";

/** What real credentials look like: passkey managers make short ids, security keys longer ones. */
const looks = [
  { bytes: 16, transports: ["hybrid", "internal"] },
  { bytes: 20, transports: ["hybrid", "internal"] },
  { bytes: 32, transports: ["internal"] },
  { bytes: 32, transports: ["hybrid", "internal"] },
  { bytes: 48, transports: ["nfc", "usb"] },
  { bytes: 64, transports: ["usb"] },
] as const;

/** How many a user has: most one, some two, few three. */
const counts = [1, 1, 1, 1, 1, 2, 2, 3] as const;

/**
 * What options name for a user without credentials, the same each time: whether there are any must not show, nor at which
 * relying party (WebAuthn §14.6.2).
 */
export function decoyCredentials(keyring: Keyring, { tenantId, userId }: Owner, rpId: string): readonly Descriptor[] {
  const seed = keyring.digest("webauthn-decoy/v1", tenantId, userId, rpId);
  const stretch = (label: string) => createHash("sha512").update(seed).update(label).digest();
  const count = counts[(stretch("count")[0] ?? 0) % counts.length] ?? 1;
  return Array.from({ length: count }, (_, n) => {
    const look = looks[(stretch(`look ${n}`)[0] ?? 0) % looks.length] ?? looks[0];
    return { webauthnId: stretch(`id ${n}`).subarray(0, look.bytes), transports: look.transports };
  });
}

/** Judged in place of a credential that is not there, so that the answer takes as long. Its private half is gone. */
export const decoyKnown: Known = (() => {
  const { x = "", y = "" } = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
  const bytes = (coordinate: string) => new Uint8Array(Buffer.from(coordinate, "base64url"));
  const cose = new Map<number, number | Uint8Array>([
    [1, 2],
    [3, -7],
    [-1, 1],
    [-2, bytes(x)],
    [-3, bytes(y)],
  ]);
  return {
    webauthnId: Buffer.alloc(0),
    publicKey: Buffer.from(isoCBOR.encode(cose as never)),
    userHandle: Buffer.alloc(0),
  };
})();

import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { type JWTPayload, SignJWT } from "jose";
import type { Owner } from "../../../src/db/store.ts";
import type { Devices } from "../../../src/rpc/access/device-authentication.ts";

/** What a phone's signature says, where it is not what it should say. */
export interface Said {
  readonly payload?: JWTPayload;
  readonly header?: Record<string, unknown>;
}

/** Phones with keys of their own, and the register that knows their public halves. */
export function phones() {
  const known = new Map<string, NonNullable<Awaited<ReturnType<Devices["keyOf"]>>>>();
  const pending = new Map<string, NonNullable<Awaited<ReturnType<Devices["pendingOf"]>>>>();
  const devices: Devices = {
    keyOf: async (deviceId) => known.get(deviceId),
    pendingOf: async (token) => pending.get(token),
  };
  return {
    devices,
    /** A token by which a user may pair a phone. */
    pair: (owner: Owner) => {
      const token = randomBytes(16).toString("base64url");
      pending.set(token, { owner, deviceId: randomUUID() });
      return token;
    },
    /** A paired phone. */
    phone: (owner: Owner, alg: "ES256" | "EdDSA" = "ES256") => {
      const { privateKey, publicKey } =
        alg === "ES256" ? generateKeyPairSync("ec", { namedCurve: "P-256" }) : generateKeyPairSync("ed25519");
      const deviceId = randomUUID();
      known.set(deviceId, { owner, publicKey });
      return {
        deviceId,
        /** The header of a call to an RPC ("mfa.v1.MfaService/…"). */
        sign: async (rpc: string, now: Date, { payload, header }: Said = {}) => {
          const iat = Math.floor(now.getTime() / 1000);
          const claims = { sub: deviceId, aud: rpc, iat, jti: randomBytes(16).toString("base64url"), ...payload };
          const signed = new SignJWT(claims).setProtectedHeader({
            alg,
            typ: "mfa-device+jwt",
            kid: deviceId,
            ...header,
          });
          return `Device ${await signed.sign(privateKey, { crit: { x: true } })}`;
        },
        revoke: () => known.delete(deviceId),
      };
    },
  };
}

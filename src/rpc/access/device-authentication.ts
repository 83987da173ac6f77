import type { KeyObject } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { decodeProtectedHeader, errors, jwtVerify } from "jose";
import { Principal } from "../../../gen/mfa/v1/options_pb.js";
import type { Caller } from "../../core/caller.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Owner } from "../../db/store.ts";
import type { Writer } from "../../erasure/tombstones/tombstones.ts";
import { idempotencyKeyRepository } from "../../idempotency/keys.repository.ts";
import { SKEW_MS } from "./authorization.ts";
import type { Credential, Showing, VerifyCredential } from "./credentials.ts";

/** The push factor's register of devices. */
export interface Devices {
  /** The public key of a paired device (P-256 or Ed25519), and whose it is; undefined when it may not call. */
  keyOf(deviceId: string): Promise<{ readonly owner: Owner; readonly publicKey: KeyObject } | undefined>;
  /** Returns the pending device of a pairing token; undefined for an invalid one. */
  pendingOf(pairingToken: string): Promise<{ readonly owner: Owner; readonly deviceId: string } | undefined>;
}

/** Where there are no push devices. */
export const noDevices: Devices = { keyOf: async () => undefined, pendingOf: async () => undefined };

const TYPE = "mfa-device+jwt";
const ALGORITHMS = ["ES256", "EdDSA"];
const MAX_AGE_S = 60;
/** Longer than the validity of any signature. */
const REMEMBERED_MS = 5 * 60_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const JTI = /^[\w-]{16,64}$/;
/** 128 bits, base64url; a signature has dots. */
const PAIRING_TOKEN = /^[\w-]{22}$/;

const fullName = ({ parent, name }: DescMethod) => `${parent.typeName}/${name}`;

/** Pairing is the one RPC of a device that has no key with us yet: its request brings the pairing token. */
const isPairing = ({ input }: DescMethod) => "pairingToken" in input.field;

const callerOf = ({ tenantId, userId }: Owner, deviceId: string): Caller => ({
  principal: Principal.DEVICE,
  tenantId,
  subject: userId,
  acr: "aal1",
  authTime: undefined,
  sessionId: "",
  scopes: new Set(),
  deviceId,
});

async function verify(token: string, devices: Devices, { method, now }: Showing) {
  const deviceId = decodeProtectedHeader(token).kid ?? "";
  const device = UUID.test(deviceId) ? await devices.keyOf(deviceId) : undefined;
  if (!device) return undefined;
  const { payload } = await jwtVerify(token, device.publicKey, {
    algorithms: ALGORITHMS,
    typ: TYPE,
    subject: deviceId,
    clockTolerance: SKEW_MS / 1000,
    maxTokenAge: MAX_AGE_S,
    currentDate: now,
    requiredClaims: ["jti"],
  });
  // One audience, as a text: a signature for several RPCs could be taken to another.
  if (payload.aud !== fullName(method) || !JTI.test(payload.jti ?? "")) return undefined;
  return { owner: device.owner, deviceId, jti: payload.jti ?? "" };
}

/**
 * Paired push devices: for each call a JWT of type "mfa-device+jwt" (RFC 7519, ES256 or EdDSA) by the device's own key,
 * with `kid` and `sub` the device's id, `aud` the RPC's full name, `iat` not older than 60 seconds, and a `jti` that is
 * good once. For pairing, in its place, the pairing token alone. Whose device it is, `devices` says.
 */
export function createDeviceAuthentication(
  writerOf: (owner: Owner, now: Date) => Writer,
  devices: Devices,
): VerifyCredential {
  /** Of a credential for pairing where that is not what is called, and the other way round. */
  const asDue = (credential: Credential, pairing: boolean, { method }: Showing): Credential => {
    const confirm = async () => {
      if (isPairing(method) !== pairing) throw new Refusal("ACCESS_DENIED");
      await credential.confirm?.();
    };
    return { caller: credential.caller, confirm };
  };

  return async (credential, showing) => {
    if (PAIRING_TOKEN.test(credential)) {
      const pending = await devices.pendingOf(credential);
      return pending && asDue({ caller: callerOf(pending.owner, pending.deviceId) }, true, showing);
    }
    const device = await verify(credential, devices, showing).catch((error: unknown) => {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
      throw error;
    });
    if (!device) return undefined;
    const { owner, deviceId, jti } = device;
    const { now } = showing;
    const spend = async () => {
      const name = { tenantId: owner.tenantId, subject: owner.userId, rpc: TYPE, requestId: `${deviceId}/${jti}` };
      const expireTime = new Date(now.getTime() + REMEMBERED_MS);
      const claim = { ...name, userId: owner.userId, bodyDigest: null, sealedReply: null, expireTime };
      if (!(await writerOf(owner, now).write((tx) => idempotencyKeyRepository(tx).claim(claim, now))))
        throw new Refusal("INVALID_CREDENTIAL");
    };
    return asDue({ caller: callerOf(owner, deviceId), confirm: spend }, false, showing);
  };
}

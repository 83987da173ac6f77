import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { isoCBOR } from "@simplewebauthn/server/helpers";
import type { ServiceUnderTest } from "../worlds/service.ts";

/** The page that ceremonies of tests run in. */
export const ORIGIN = "http://localhost:11006";

/** The algorithms of COSE that authenticators are made with here. */
export type Algorithm = -7 | -8 | -257;

/** The bits of authenticator data (WebAuthn §6.1). */
export const Flag = { UP: 0x01, UV: 0x04, BE: 0x08, BS: 0x10, AT: 0x40, ED: 0x80 } as const;

type Cbor = Map<number | string, unknown> | Uint8Array | string | number;
const cbor = (value: Cbor): Buffer => Buffer.from(isoCBOR.encode(value as never));
const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();
const b64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const fromB64 = (text = ""): Uint8Array => new Uint8Array(Buffer.from(text, "base64url"));

/** A key that an authenticator holds. */
export interface Key {
  readonly algorithm: Algorithm;
  readonly cose: Map<number | string, unknown>;
  readonly privateKey: KeyObject;
}

/** A fresh key. */
export function makeKey(algorithm: Algorithm, { curve = "P-256", modulusLength = 2048 } = {}): Key {
  const pair =
    algorithm === -8
      ? generateKeyPairSync("ed25519")
      : algorithm === -7
        ? generateKeyPairSync("ec", { namedCurve: curve })
        : generateKeyPairSync("rsa", { modulusLength });
  const { x, y, n, e } = pair.publicKey.export({ format: "jwk" });
  const curves: Record<string, number> = { "P-256": 1, "P-384": 2 };
  const rest: [number, unknown][] =
    algorithm === -8
      ? [
          [1, 1],
          [3, -8],
          [-1, 6],
          [-2, fromB64(x)],
        ]
      : algorithm === -7
        ? [
            [1, 2],
            [3, -7],
            [-1, curves[curve]],
            [-2, fromB64(x)],
            [-3, fromB64(y)],
          ]
        : [
            [1, 3],
            [3, -257],
            [-1, fromB64(n)],
            [-2, fromB64(e)],
          ];
  return { algorithm, cose: new Map(rest), privateKey: pair.privateKey };
}

/** Signs as the algorithm has it. */
export const signWith = ({ algorithm, privateKey }: Pick<Key, "algorithm" | "privateKey">, data: Uint8Array): Buffer =>
  sign(algorithm === -8 ? null : "sha256", data, privateKey);

/** What an answer does otherwise than an honest authenticator in an honest browser. */
export interface Deviation {
  readonly origin?: string;
  readonly clientData?: Readonly<Record<string, unknown>>;
  readonly rpId?: string;
  /** Bits to turn over. */
  readonly flip?: number;
  readonly counter?: number;
  /** Put behind the authenticator data, inside the signature. */
  readonly trailing?: Uint8Array;
  readonly userHandle?: Uint8Array | null;
  readonly signature?: (good: Buffer) => Buffer;
  readonly attestation?: (parts: AttestationParts) => Map<string, unknown> | Buffer;
  /** Changes the finished answer. */
  readonly answer?: (answer: JsonObject) => void;
}

/** What an attestation is made of. */
export interface AttestationParts {
  readonly authData: Buffer;
  readonly clientDataHash: Buffer;
  readonly key: Key;
}

/** A passkey or security key in software: everything about it can be bent. */
export function makePasskey({
  algorithm = -7 as Algorithm,
  key = makeKey(algorithm),
  id = randomBytes(32) as Uint8Array,
  aaguid = Buffer.alloc(16) as Uint8Array,
  synced = false,
  counts = true,
  flags = Flag.UP | Flag.UV,
  transports = ["internal"],
  attachment = "platform" as string | undefined,
  rk = true as boolean | undefined,
} = {}) {
  let counter = counts ? 1 : 0;
  let userHandle: Uint8Array | undefined;
  const ownFlags = flags | (synced ? Flag.BE | Flag.BS : 0);

  const clientDataOf = (type: string, challenge: unknown, { origin = ORIGIN, clientData }: Deviation): Buffer =>
    Buffer.from(JSON.stringify({ type, challenge, origin, crossOrigin: false, ...clientData }));

  const authDataOf = (rpId: string, added: number, attested: Uint8Array, deviation: Deviation): Buffer => {
    const head = Buffer.alloc(5);
    head[0] = (ownFlags | added) ^ (deviation.flip ?? 0);
    head.writeUInt32BE(deviation.counter ?? counter, 1);
    return Buffer.concat([sha256(deviation.rpId ?? rpId), head, attested, deviation.trailing ?? Buffer.alloc(0)]);
  };

  const finished = (response: JsonObject, deviation: Deviation): JsonObject => {
    const answer: JsonObject = {
      id: b64(id),
      rawId: b64(id),
      type: "public-key",
      response,
      clientExtensionResults: rk === undefined ? {} : { credProps: { rk } },
      ...(attachment && { authenticatorAttachment: attachment }),
    };
    deviation.answer?.(answer);
    return answer;
  };

  return {
    id: b64(id),
    /** COSE_Key. */
    publicKey: cbor(key.cose),
    get counter() {
      return counter;
    },
    /** RegistrationResponseJSON for creation options. */
    create(options: JsonObject | undefined, deviation: Deviation = {}): JsonObject {
      const { rp, user, challenge } = options as { rp: { id: string }; user: { id: string }; challenge: string };
      userHandle = fromB64(user.id);
      const clientData = clientDataOf("webauthn.create", challenge, deviation);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(id.byteLength);
      const attested = Buffer.concat([aaguid, length, id, cbor(key.cose)]);
      const authData = authDataOf(rp.id, Flag.AT, attested, deviation);
      const parts = { authData, clientDataHash: sha256(clientData), key };
      const object = deviation.attestation?.(parts) ?? attestationObject("none", new Map(), authData);
      const attestation = object instanceof Map ? cbor(object) : object;
      return finished(
        { clientDataJSON: b64(clientData), attestationObject: b64(attestation), transports: [...transports] },
        deviation,
      );
    },
    /** AuthenticationResponseJSON for request options. */
    get(options: JsonObject | undefined, deviation: Deviation = {}): JsonObject {
      const { rpId, challenge } = options as { rpId: string; challenge: string };
      if (counts) counter++;
      const clientData = clientDataOf("webauthn.get", challenge, deviation);
      const authData = authDataOf(rpId, 0, Buffer.alloc(0), deviation);
      const good = signWith(key, Buffer.concat([authData, sha256(clientData)]));
      const handle = deviation.userHandle === undefined ? userHandle : deviation.userHandle;
      return finished(
        {
          clientDataJSON: b64(clientData),
          authenticatorData: b64(authData),
          signature: b64(deviation.signature?.(good) ?? good),
          ...(handle && { userHandle: b64(handle) }),
        },
        deviation,
      );
    },
  };
}

/** An attestation object as browsers write it. */
export const attestationObject = (format: string, statement: Map<string, unknown>, authData: Buffer) =>
  new Map<string, unknown>([
    ["fmt", format],
    ["attStmt", statement],
    ["authData", new Uint8Array(authData)],
  ]);

/** An authenticator of a test. */
export type Passkey = ReturnType<typeof makePasskey>;

/** Registers a passkey for a user; answers the credential and tokens of both levels. */
export async function enrollPasskey(service: ServiceUnderTest, user: string, passkey = makePasskey()) {
  const token = await service.user(user, "aal2");
  const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
  const response = passkey.create(options);
  const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
  if (!credential) throw new Error("no credential");
  return { passkey, credential, token, aal1: await service.user(user) };
}

/** Logs in with a passkey, or with what deviates from it. */
export async function logIn(service: ServiceUnderTest, user: string, passkey: Passkey, deviation: Deviation = {}) {
  const token = await service.user(user);
  const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, token);
  const response = passkey.get(options, deviation);
  return service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token);
}

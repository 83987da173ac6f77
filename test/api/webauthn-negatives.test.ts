// What authenticators, browsers and people between them can do wrong: each is refused with its one reason, spends its
// ceremony, and leaves nothing behind.
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { JsonObject } from "@bufbuild/protobuf";
import { isoCBOR } from "@simplewebauthn/server/helpers";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Store } from "../../src/db/store.ts";
import { webauthnCredentials } from "../../src/factors/webauthn/webauthn.table.ts";
import { type CallFailed, failure } from "../support/actors/grpc-client.ts";
import {
  attestationObject,
  type Deviation,
  Flag,
  makeKey,
  makePasskey,
  type Passkey,
  signWith,
} from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { attestationIssuer } from "../support/fakes/attestation.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const rows = async (store: Store) => ({ credentials: await rowsIn(store, webauthnCredentials) });

interface Vector {
  readonly name: string;
  readonly passkey?: () => Passkey;
  readonly deviation?: Deviation | ((world: World) => Deviation);
  readonly response?: (good: JsonObject) => unknown;
  readonly reason?: string;
}

/** What a vector may refer to. */
interface World {
  /** A challenge of the same user that is still open, of the other purpose. */
  readonly otherChallenge: string;
  /** Another user's passkey. */
  readonly foreign: Passkey;
  readonly foreignHandle: Buffer;
}

const origins = [
  "http://app.localhost:11006",
  "http://localhost:11007",
  "http://localhost",
  "https://localhost:11006",
  "http://localhost.evil.example:11006",
  "http://xn--lcalhost-c2a:11006",
  "http://LOCALHOST:11006",
  "http://localhost:11006/",
  "null",
  "",
];

const long = (text: string) => text.padEnd(2000, "A");

/** What is wrong with either kind of answer alike. */
const common: Vector[] = [
  ...origins.map((origin) => ({ name: `origin ${JSON.stringify(origin)}`, deviation: { origin } })),
  { name: "the type of the other ceremony", deviation: { clientData: { type: "webauthn.other" } } },
  { name: "another challenge", deviation: { clientData: { challenge: randomBytes(32).toString("base64url") } } },
  { name: "an empty challenge", deviation: { clientData: { challenge: "" } } },
  { name: "no challenge", deviation: { clientData: { challenge: undefined } } },
  { name: "a challenge that is no text", deviation: { clientData: { challenge: [1] } } },
  {
    name: "an open challenge of the user's for something else",
    deviation: (w) => ({ clientData: { challenge: w.otherChallenge } }),
  },
  { name: "an embedded page that does not name the page around it", deviation: { clientData: { crossOrigin: true } } },
  { name: "an embedded page", deviation: { clientData: { crossOrigin: true, topOrigin: "http://localhost:11006" } } },
  {
    name: "a page around a page that is not embedded",
    deviation: { clientData: { topOrigin: "http://localhost:11006" } },
  },
  { name: "the hash of another relying party", deviation: { rpId: "evil.example" } },
  { name: "a relying party above", deviation: { rpId: "host" } },
  { name: "no user present", deviation: { flip: Flag.UP } },
  { name: "backed up without being eligible", deviation: { flip: Flag.BS } },
  { name: "bytes behind the authenticator data", deviation: { trailing: Buffer.from([0xa0]) } },
  { name: "extensions announced and not there", deviation: { flip: Flag.ED } },
  {
    name: "an id that is not the raw id",
    deviation: { answer: (a) => void Object.assign(a, { id: randomBytes(32).toString("base64url") }) },
  },
  { name: "another type of credential", deviation: { answer: (a) => void Object.assign(a, { type: "password" }) } },
  { name: "no type", deviation: { answer: (a) => void delete a.type } },
  {
    name: "an id that is no base64url",
    deviation: { answer: (a) => void Object.assign(a, { id: "!!", rawId: "!!" }) },
  },
  {
    name: "a raw id that is no text and cannot be made one",
    deviation: { answer: (a) => void Object.assign(a, { rawId: { toString: 1 } }) },
  },
  { name: "ids in a list", deviation: { answer: (a) => void Object.assign(a, { id: [a.id], rawId: [a.rawId] }) } },
  { name: "no response inside", deviation: { answer: (a) => void delete a.response } },
  { name: "an empty object", response: () => ({}) },
  {
    name: "client data that is no JSON",
    response: (good) => patch(good, { clientDataJSON: Buffer.from("{").toString("base64url") }),
  },
  {
    name: "client data that is null",
    response: (good) => patch(good, { clientDataJSON: Buffer.from("null").toString("base64url") }),
  },
  { name: "client data that is a number", response: (good) => patch(good, { clientDataJSON: 7 }) },
  { name: "a token binding that is none", deviation: { clientData: { tokenBinding: "present" } } },
];

const patch = (good: JsonObject, changes: JsonObject): JsonObject => ({
  ...good,
  response: { ...(good.response as JsonObject), ...changes },
});

const bytes = (value: Uint8Array) => new Uint8Array(value);
const selfSigned = (sign: (data: Buffer) => Buffer, alg = -7) => ({
  attestation: ({ authData, clientDataHash }: { authData: Buffer; clientDataHash: Buffer }) =>
    attestationObject(
      "packed",
      new Map<string, unknown>([
        ["alg", alg],
        ["sig", bytes(sign(Buffer.concat([authData, clientDataHash])))],
      ]),
      authData,
    ),
});

const registrations: Vector[] = [
  { name: "a credential id too long", passkey: () => makePasskey({ id: randomBytes(1024) }) },
  { name: "a credential id too short", passkey: () => makePasskey({ id: randomBytes(15) }) },
  { name: "an empty credential id", passkey: () => makePasskey({ id: Buffer.alloc(0) }) },
  {
    name: "an id beside the one that the authenticator signed",
    deviation: {
      answer: (a) => {
        const id = randomBytes(32).toString("base64url");
        Object.assign(a, { id, rawId: id });
      },
    },
  },
  { name: "no attested credential", deviation: { flip: Flag.AT } },
  { name: "a key of an algorithm not offered", passkey: () => makePasskey({ key: renamed(-7, -35) }) },
  {
    name: "a key on a curve of another algorithm",
    passkey: () => makePasskey({ key: makeKey(-7, { curve: "P-384" }) }),
  },
  { name: "a key whose type is not its algorithm's", passkey: () => makePasskey({ key: renamed(-7, -257) }) },
  { name: "a point off the curve", passkey: () => makePasskey({ key: withBytes(-7, -3) }) },
  { name: "a short modulus", passkey: () => makePasskey({ key: makeKey(-257, { modulusLength: 1024 }) }) },
  { name: "a public exponent of one", passkey: () => makePasskey({ key: withBytes(-257, -2, Buffer.from([1])) }) },
  { name: "an Ed25519 key of all zeros", passkey: () => makePasskey({ key: withBytes(-8, -2, Buffer.alloc(32)) }) },
  { name: "a key without an algorithm", passkey: () => makePasskey({ key: renamed(-7, undefined) }) },
  {
    name: "an unknown format of attestation",
    deviation: { attestation: ({ authData }) => attestationObject("other", new Map(), authData) },
  },
  {
    name: "a statement where there is to be none",
    deviation: {
      attestation: ({ authData }) => attestationObject("none", new Map([["sig", bytes(randomBytes(8))]]), authData),
    },
  },
  {
    name: "a packed attestation without a signature",
    deviation: { attestation: ({ authData }) => attestationObject("packed", new Map([["alg", -7]]), authData) },
  },
  { name: "a self attestation signed by another key", deviation: selfSigned((data) => signWith(makeKey(-7), data)) },
  {
    name: "a self attestation with bytes behind its signature",
    deviation: {
      attestation: ({ authData, clientDataHash, key }) => {
        const good = signWith(key, Buffer.concat([authData, clientDataHash]));
        const sig = bytes(Buffer.concat([good, Buffer.alloc(2)]));
        return attestationObject(
          "packed",
          new Map<string, unknown>([
            ["alg", -7],
            ["sig", sig],
          ]),
          authData,
        );
      },
    },
  },
  { name: "a self attestation that is junk", deviation: selfSigned(() => randomBytes(70)) },
  { name: "an attestation that is no CBOR", deviation: { attestation: () => Buffer.from("ffffffff", "hex") } },
  {
    name: "an attestation that is a CBOR array",
    deviation: { attestation: () => Buffer.from(isoCBOR.encode([1, 2] as never)) },
  },
  { name: "an attestation without authenticator data", deviation: { attestation: () => new Map([["fmt", "none"]]) } },
  { name: "an attestation nested beyond all measure", deviation: { attestation: () => Buffer.alloc(20_000, 0x81) } },
  {
    name: "bytes behind the attestation",
    deviation: {
      attestation: ({ authData }) =>
        Buffer.concat([isoCBOR.encode(attestationObject("none", new Map(), authData) as never), Buffer.from([0xa0])]),
    },
  },
  {
    name: "authenticator data cut short",
    deviation: { attestation: ({ authData }) => attestationObject("none", new Map(), authData.subarray(0, 60)) },
  },
  {
    name: "authenticator data of 36 bytes",
    deviation: { attestation: ({ authData }) => attestationObject("none", new Map(), authData.subarray(0, 36)) },
  },
  {
    name: "an answer to an authentication",
    response: (good) => patch(good, { attestationObject: null, signature: "AAAA", authenticatorData: "AAAA" }),
  },
  {
    name: "certificates that are none",
    deviation: {
      attestation: ({ authData }) =>
        attestationObject(
          "packed",
          new Map<string, unknown>([
            ["alg", -7],
            ["sig", bytes(randomBytes(70))],
            ["x5c", [1]],
          ]),
          authData,
        ),
    },
  },
];

const authentications: Vector[] = [
  { name: "a signature of another key", deviation: { signature: () => signWith(makeKey(-7), randomBytes(10)) } },
  {
    name: "a signature with one bit turned",
    deviation: { signature: (good) => Buffer.from(good.map((b, n) => (n === 40 ? b ^ 1 : b))) },
  },
  { name: "bytes behind the signature", deviation: { signature: (good) => Buffer.concat([good, Buffer.alloc(2)]) } },
  { name: "an empty signature", response: (good) => patch(good, { signature: "" }) },
  { name: "a signature in another form", deviation: { signature: () => randomBytes(64) } },
  {
    name: "a signature of endless numbers",
    deviation: { signature: () => Buffer.from(`30820400${"ff".repeat(300)}`, "hex") },
  },
  { name: "another user's handle", deviation: (w) => ({ userHandle: w.foreignHandle }) },
  { name: "a handle that is nobody's", deviation: { userHandle: randomBytes(64) } },
  { name: "another user's passkey", response: () => undefined },
  { name: "a credential that nobody has", passkey: () => makePasskey() },
  { name: "eligibility turned on", deviation: { flip: Flag.BE }, reason: "BACKUP_ELIGIBILITY_CHANGED" },
  {
    name: "eligibility and backup turned on",
    deviation: { flip: Flag.BE | Flag.BS },
    reason: "BACKUP_ELIGIBILITY_CHANGED",
  },
  {
    name: "authenticator data changed after signing",
    response: (good) =>
      patch(good, {
        authenticatorData: Buffer.concat([
          createHash("sha256").update("localhost").digest(),
          Buffer.from([5, 0, 0, 0, 9]),
        ]).toString("base64url"),
      }),
  },
  { name: "authenticator data that is too short", response: (good) => patch(good, { authenticatorData: "AAAA" }) },
  { name: "a handle that is no text", response: (good) => patch(good, { userHandle: 7 }) },
  { name: "a very long id", deviation: { answer: (a) => void Object.assign(a, { id: long("A"), rawId: long("A") }) } },
  { name: "a counter that went back", deviation: { counter: 0 }, reason: "CLONE_SUSPECTED" },
];

/** A key that calls itself something else. */
function renamed(algorithm: -7 | -257, name: number | undefined) {
  const key = makeKey(algorithm);
  if (name === undefined) key.cose.delete(3 as never);
  else key.cose.set(3, name);
  return key;
}

/** A key with other bytes in one place. */
function withBytes(algorithm: -7 | -8 | -257, place: number, value: Uint8Array = Buffer.alloc(32, 1)) {
  const key = makeKey(algorithm);
  key.cose.set(place, bytes(value));
  return key;
}

async function world(service: ServiceUnderTest) {
  const token = await service.user("ann", "aal2");
  const register = async (token: string, passkey: Passkey) => {
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    await service.mfa.finishWebAuthnRegistration({ ceremonyId, response: passkey.create(options) }, token);
    return Buffer.from((options as { user: { id: string } } | undefined)?.user.id ?? "", "base64url");
  };
  const [own, foreign] = [makePasskey(), makePasskey()];
  await register(token, own);
  const foreignHandle = await register(await service.user("bob", "aal2"), foreign);
  return { token, own, foreign, foreignHandle };
}

async function expectNothing(
  service: ServiceUnderTest,
  refused: CallFailed,
  vector: Vector,
  before: Awaited<ReturnType<typeof rows>>,
) {
  expect(refused.reason, vector.name).toBe(vector.reason ?? "SIGNATURE_REJECTED");
  const after = await rows(service.store);
  const seen = ({ credentials }: typeof before) =>
    credentials.map(({ cloneWarning: _c, eligibilityChanged: _e, updateTime: _u, ...row }) => row);
  expect(seen(after)).toEqual(seen(before));
  for (const text of [JSON.stringify(refused.metadata), refused.message])
    expect(text).not.toMatch(/expected|Unexpected/);
}

describe.each(engines)("negative vectors on $name", (engine) => {
  test.each([...common, ...registrations])(
    "a registration with $name is refused, spends its ceremony and leaves no row",
    async (vector) => {
      const service = await serviceForTest(engine);
      const { token, ...rest } = await world(service);
      const other = await service.mfa.startWebAuthnAuthentication({}, token);
      const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
      const { deviation = {} } = vector;
      const w = { ...rest, otherChallenge: String(other.options?.challenge) };
      const passkey = vector.passkey?.() ?? makePasskey();
      const bent = passkey.create(options, typeof deviation === "function" ? deviation(w) : deviation);
      const response = (vector.response ? vector.response(bent) : bent) as JsonObject;
      const before = await rows(service.store);
      const refused = await failure(service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token));
      await expectNothing(service, refused, vector, before);
      const again = service.mfa.finishWebAuthnRegistration(
        { ceremonyId, response: makePasskey().create(options) },
        token,
      );
      expect((await failure(again)).reason).toBe("CHALLENGE_EXPIRED");
    },
  );

  test.each([...common, ...authentications])(
    "an authentication with $name is refused, spends its ceremony and proves nothing",
    async (vector) => {
      const service = await serviceForTest(engine);
      const { token, own, ...rest } = await world(service);
      const other = await service.mfa.startWebAuthnRegistration({}, token);
      const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, token);
      const { deviation = {} } = vector;
      const w = { ...rest, otherChallenge: String(other.options?.challenge) };
      const bent = (vector.passkey?.() ?? own).get(options, typeof deviation === "function" ? deviation(w) : deviation);
      const response = (vector.response ? (vector.response(bent) ?? rest.foreign.get(options)) : bent) as JsonObject;
      const before = await rows(service.store);
      const refused = await failure(service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token));
      await expectNothing(service, refused, vector, before);
      const again = service.mfa.finishWebAuthnAuthentication({ ceremonyId, response: own.get(options) }, token);
      expect((await failure(again)).reason).toBe("CHALLENGE_EXPIRED");
    },
  );

  test("a ceremony ends after five minutes, and with its first answer, good or bad", async () => {
    const service = await serviceForTest(engine);
    const { token, own } = await world(service);
    const start = () => service.mfa.startWebAuthnAuthentication({}, token);
    const finish = (ceremonyId: string, response: JsonObject) =>
      service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token);
    const [old, used] = [await start(), await start()];
    await finish(used.ceremonyId, own.get(used.options));
    expect((await failure(finish(used.ceremonyId, own.get(used.options)))).reason).toBe("CHALLENGE_EXPIRED");
    service.pass(5 * 60_000);
    expect((await failure(finish(old.ceremonyId, own.get(old.options)))).reason).toBe("CHALLENGE_EXPIRED");
    const fresh = await start();
    service.pass(5 * 60_000 - 1);
    await expect(finish(fresh.ceremonyId, own.get(fresh.options))).resolves.toBeDefined();
    const begun = await service.mfa.startWebAuthnRegistration({}, await service.user("ann", "aal2"));
    service.pass(5 * 60_000);
    const response = makePasskey().create(begun.options);
    const late = { ceremonyId: begun.ceremonyId, response };
    const registering = service.mfa.finishWebAuthnRegistration(late, await service.user("ann", "aal2"));
    expect((await failure(registering)).reason).toBe("CHALLENGE_EXPIRED");
  });

  test("a ceremony of another user, tenant, session or purpose is none", async () => {
    const service = await serviceForTest(engine);
    const { token, own } = await world(service);
    const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, token);
    const response = own.get(options);
    const claims = { audience: "mfa", subject: "ann", acr: "aal2" } as const;
    const others = [
      await service.user("bob", "aal2"),
      await service.mint({ ...claims, tenant: "other" }),
      await service.mint({ ...claims, session: "another" }),
    ];
    for (const other of others) {
      const refused = await failure(service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, other));
      expect(refused.reason).toBe("CHALLENGE_EXPIRED");
    }
    const registering = service.mfa.finishWebAuthnRegistration(
      {
        ceremonyId,
        response: makePasskey().create({
          rp: { id: "localhost" },
          user: { id: "AAAA" },
          challenge: String(options?.challenge),
        }),
      },
      token,
    );
    expect((await failure(registering)).reason).toBe("CHALLENGE_EXPIRED");
    await expect(service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token)).resolves.toBeDefined();
  });

  test("no certificate of a stranger's makes the service fetch anything", async () => {
    const service = await serviceForTest(engine);
    const asked: string[] = [];
    const trap = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end();
    }).listen(0, "127.0.0.1");
    await once(trap, "listening");
    onTestFinished(() => void trap.close());
    const issuer = attestationIssuer({ crl: `http://127.0.0.1:${(trap.address() as AddressInfo).port}/crl` });
    const token = await service.user("ann", "aal2");
    for (const format of ["packed", "android-key", "fido-u2f", "tpm", "apple", "android-safetynet"]) {
      const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
      const response = makePasskey().create(options, { attestation: issuer.attest(format) });
      await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token).catch(() => {});
    }
    expect(asked).toEqual([]);
  });
});

import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { WebAuthnTransport } from "../../gen/mfa/v1/webauthn_pb.js";
import {
  type AttestationParts,
  attestationObject,
  enrollPasskey,
  logIn,
  makePasskey,
} from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

/** Registers a passkey whose answer is changed on its way. */
async function register(
  service: Awaited<ReturnType<typeof serviceForTest>>,
  deviation: Parameters<ReturnType<typeof makePasskey>["create"]>[1],
) {
  const token = await service.user("ann", "aal2");
  const passkey = makePasskey();
  const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
  const response = passkey.create(options, deviation);
  const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
  return { passkey, credential };
}
const inResponse = (members: JsonObject) => (answer: JsonObject) => {
  answer.response = { ...(answer.response as JsonObject), ...members };
};

describe.each(engines)("odd answers of browsers and password managers on $name", (engine) => {
  test.each<[string, JsonObject["transports"], WebAuthnTransport[]]>([
    ["with null", ["usb", null], [WebAuthnTransport.USB]],
    ["with numbers and objects", [1, {}, "nfc"], [WebAuthnTransport.NFC]],
    ["of null", null, []],
    ["of a text", "usb", []],
    ["of an object", {}, []],
  ])("transports %s are read as far as they are texts", async (_, transports, expected) => {
    const service = await serviceForTest(engine);
    const { credential } = await register(service, { answer: inResponse({ transports: transports ?? null }) });
    expect(credential?.transports).toEqual(expected);
  });

  test.each<[string, JsonObject["extensions"]]>([
    ["null", null],
    ["a list", []],
    ["a text", "none"],
    ["of an odd credProps", { credProps: "yes" }],
    ["of an odd rk", { credProps: { rk: "true" } }],
    ["of others", { largeBlob: { supported: true }, prf: null, appid: true }],
  ])("extension results that are %s are ignored", async (_, results) => {
    const service = await serviceForTest(engine);
    const answer = (whole: JsonObject) => {
      whole.clientExtensionResults = results ?? null;
    };
    const { passkey, credential } = await register(service, { answer });
    expect(credential?.credentialId).not.toBe("");
    await expect(logIn(service, "ann", passkey, { answer })).resolves.toBeDefined();
  });

  test("an empty user handle is none", async () => {
    const service = await serviceForTest(engine);
    const { passkey } = await enrollPasskey(service, "ann");
    await expect(logIn(service, "ann", passkey, { answer: inResponse({ userHandle: "" }) })).resolves.toBeDefined();
  });

  test.each<[string, (parts: AttestationParts) => unknown]>([
    [
      "android-key",
      () =>
        new Map<string, unknown>([
          ["alg", -7],
          ["sig", new Uint8Array(70)],
          ["x5c", [new Uint8Array(9)]],
        ]),
    ],
    [
      "android-safetynet",
      () =>
        new Map<string, unknown>([
          ["ver", "1"],
          ["response", new Uint8Array(9)],
        ]),
    ],
    [
      "compound",
      () => [
        new Map<string, unknown>([
          ["fmt", "packed"],
          ["attStmt", new Map()],
        ]),
      ],
    ],
  ])("a statement of the kind %s is taken as none where none was asked for", async (format, statement) => {
    const service = await serviceForTest(engine);
    const attestation = (parts: AttestationParts) =>
      attestationObject(format, statement(parts) as Map<string, unknown>, parts.authData);
    const { passkey, credential } = await register(service, { attestation });
    expect(credential).toMatchObject({ attested: false });
    await expect(logIn(service, "ann", passkey)).resolves.toBeDefined();
  });

  test.each([
    ["of one byte each", "a".repeat(255), 64],
    ["of two bytes each", "ä".repeat(127), 64],
    ["of joined characters", "👩‍👩‍👧‍👦".repeat(10), 50],
  ])(
    "a user id of 255 bytes, characters %s, gives a name of at most 64 bytes, cut between characters",
    async (_, id, bytes) => {
      const service = await serviceForTest(engine);
      const token = await service.user(id, "aal2");
      const { options } = await service.mfa.startWebAuthnRegistration({}, token);
      const { name } = (options?.user ?? {}) as { name: string };
      expect(Buffer.byteLength(name)).toBe(bytes);
      expect(id.startsWith(name)).toBe(true);
      const userName = "b".repeat(128);
      const named = await service.mfa.startWebAuthnRegistration({ userName }, token);
      expect(named.options?.user).toMatchObject({ name: userName });
    },
  );
});

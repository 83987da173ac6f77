// Authenticators and verifiers that share no code with the service.

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import * as emulation from "nid-webauthn-emulator";
import { describe, expect, test } from "vitest";
import { type Algorithm, type Deviation, Flag, logIn, makePasskey, ORIGIN } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import { root, run } from "./process.ts";

interface Emulator {
  createJSON(origin: string, options: unknown): JsonObject;
  getJSON(origin: string, options: unknown): JsonObject;
}

/** A CommonJS package, whose exports end up in different places depending on who loads it. */
const exported = <T>(name: string): T => {
  const places = [emulation, (emulation as { default: unknown }).default] as Record<string, unknown>[];
  return places.map((place) => place[name]).find((found) => typeof found === "function") as T; // or the test fails
};
const WebAuthnEmulator = exported<new (authenticator: object) => Emulator>("default");
const AuthenticatorEmulator = exported<new (options: object) => object>("AuthenticatorEmulator");

const pythons = ["/usr/bin/python3", "python3"];

async function findPython(): Promise<string | undefined> {
  for (const python of pythons) {
    const { code } = await run(python, ["-c", "import fido2.server"]).catch(() => ({ code: -1 }));
    if (code === 0) return python;
  }
  return undefined;
}

describe.each(engines)("an authenticator by Nikkei on $name", (engine) => {
  test.each(["ES256", "RS256", "EdDSA"])("registers and logs in with %s", async (algorithm) => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const authenticator = new WebAuthnEmulator(new AuthenticatorEmulator({ algorithmIdentifiers: [algorithm] }));
    const registration = await service.mfa.startWebAuthnRegistration({}, token);
    const created = authenticator.createJSON(ORIGIN, registration.options);
    const { ceremonyId } = registration;
    const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response: created }, token);
    for (let n = 0; n < 2; n++) {
      const started = await service.mfa.startWebAuthnAuthentication({}, token);
      const response = authenticator.getJSON(ORIGIN, started.options);
      const proven = await service.mfa.finishWebAuthnAuthentication(
        { ceremonyId: started.ceremonyId, response },
        token,
      );
      expect(proven.credentialId).toBe(credential?.credentialId);
    }
  });
});

/** What an answer does otherwise, and whether it is good all the same. */
const answers: readonly { readonly name: string; readonly deviation?: Deviation; readonly good?: true }[] = [
  { name: "as it should be", good: true },
  { name: "another origin", deviation: { origin: "http://localhost:1" } },
  { name: "another challenge", deviation: { clientData: { challenge: randomBytes(32).toString("base64url") } } },
  { name: "another type", deviation: { clientData: { type: "webauthn.create" } } },
  { name: "another relying party", deviation: { rpId: "evil.example" } },
  { name: "nobody present", deviation: { flip: Flag.UP } },
  { name: "nobody verified", deviation: { flip: Flag.UV } },
  {
    name: "another signature",
    deviation: { signature: (good) => Buffer.from(good.map((b, n) => (n === 40 ? b ^ 1 : b))) },
  },
];

test.each([-7, -8, -257] as Algorithm[])(
  "python-fido2, where present, judges as the service does: algorithm %i",
  async (algorithm) => {
    const python = await findPython();
    if (python === undefined) {
      // Not a skip: the absence is what was looked for and found, and the log says what was not tried.
      process.stderr.write(
        `\n*** PYTHON-FIDO2 WAS NOT EXERCISED: none of ${pythons.join(", ")} imports fido2.server ***\n` +
          "*** On Debian: apt-get install python3-fido2 ***\n\n",
      );
      return;
    }
    const [sqlite] = engines as [(typeof engines)[number]];
    const service = await serviceForTest(sqlite);
    const token = await service.user("ann", "aal2");
    const passkey = makePasskey({ algorithm });
    const challengeOf = (options: JsonObject | undefined) => String(options?.challenge);

    const registration = await service.mfa.startWebAuthnRegistration({}, token);
    const created = passkey.create(registration.options);
    await service.mfa.finishWebAuthnRegistration({ ceremonyId: registration.ceremonyId, response: created }, token);
    const authentications: { challenge: string; response: JsonObject }[] = [];
    const ours: boolean[] = [];
    for (const { deviation = {} } of answers) {
      const request = { userVerification: 3 };
      const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication(request, token);
      const response = passkey.get(options, deviation);
      authentications.push({ challenge: challengeOf(options), response });
      const finished = service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, token);
      ours.push(
        await finished.then(
          () => true,
          () => false,
        ),
      );
      // So that the failures do not add up to a lock.
      await logIn(service, "ann", passkey);
    }
    const asked = {
      ...{ origin: ORIGIN, rpId: "localhost" },
      registration: { challenge: challengeOf(registration.options), response: created },
      authentications,
    };
    const judged = execFileSync(python, ["test/interop/webauthn_verifier.py"], {
      cwd: root,
      input: JSON.stringify(asked),
    });
    expect(ours).toEqual(answers.map(({ good = false }) => good));
    expect(JSON.parse(judged.toString())).toEqual({
      registered: true,
      credentialId: Buffer.from(passkey.id, "base64url").toString("hex"),
      authenticated: ours,
    });
  },
);

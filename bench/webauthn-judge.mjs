// Judges one and the same answer of an authenticator over and over, without a service: by bare node:crypto, by the
// library, by the service's own wrapper around it. A process of its own, asked by messages like the servers.
import { createHash, createPublicKey, verify } from "node:crypto";
import { once } from "node:events";
import { verifyAuthenticationResponse } from "@simplewebauthn/server";
import { isoCBOR } from "@simplewebauthn/server/helpers";
import { digestOf, verifyAuthentication } from "../src/factors/webauthn/verification.ts";
import { makeKey, makePasskey, ORIGIN } from "../test/support/actors/passkey.ts";
import { load } from "./load.mjs";

const rpId = "localhost";
const challenge = Buffer.alloc(32, 7).toString("base64url");
const key = makeKey(-7);
const passkey = makePasskey({ key, rk: undefined });
const response = passkey.get({ rpId, challenge });
const publicKey = new Uint8Array(isoCBOR.encode(key.cose));
const keyObject = createPublicKey(key.privateKey);
const bytesOf = (text) => Buffer.from(text, "base64url");
const expected = {
  challengeDigest: digestOf(challenge),
  rpId,
  origins: [ORIGIN],
  userVerification: "preferred",
};
const known = { webauthnId: bytesOf(passkey.id), publicKey, backupEligible: false, userHandle: Buffer.alloc(0) };

const judges = {
  /** The signature and nothing else, with a key that is imported already. */
  crypto: async () => {
    const clientDataHash = createHash("sha256").update(bytesOf(response.response.clientDataJSON)).digest();
    const signed = Buffer.concat([bytesOf(response.response.authenticatorData), clientDataHash]);
    return verify("sha256", signed, keyObject, bytesOf(response.response.signature)) || undefined;
  },
  library: () =>
    verifyAuthenticationResponse({
      response,
      expectedChallenge: challenge,
      expectedOrigin: ORIGIN,
      expectedRPID: rpId,
      credential: { id: passkey.id, publicKey, counter: 0 },
    }),
  wrapper: () => verifyAuthentication(response, expected, known),
};

process.on("message", async ({ id, ask, by }) => {
  const judge = judges[ask];
  if (!judge) return process.exit(0);
  const before = { cpu: process.cpuUsage(), loop: performance.eventLoopUtilization() };
  const call = async () => {
    if (!(await judge())) throw new Error(`${ask} refused a good answer`);
  };
  const measured = await load(call, by);
  const cpu = process.cpuUsage(before.cpu);
  const loop = performance.eventLoopUtilization(before.loop).active * 1000;
  process.send({ id, answer: { ...measured, cpu: cpu.user + cpu.system, loop } });
});
process.send({});
await once(process, "disconnect");
process.exit(0);

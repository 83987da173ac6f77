import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { AttestationPolicy, type WebAuthnSettings } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { readMetadata } from "../../src/factors/webauthn/metadata.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { type AttestationParts, attestationObject, makeKey, makePasskey, signWith } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { attestationIssuer, metadataPublisher } from "../support/fakes/attestation.ts";
import { serviceForTest, setTenant } from "../support/worlds/service.ts";

const MODEL = "2fc0579f-8113-47ea-b116-bb5a8db9202a";
const OTHER = "ee882879-721c-4913-9775-3dfcce97072a";
const BROKEN = "fa2b99dc-9e39-4257-8f92-4a30d23c4118";
const aaguidOf = (model: string) => Buffer.from(model.replaceAll("-", ""), "hex");

type Terms = Partial<Omit<WebAuthnSettings, `$${string}`>>;

const REQUIRED: Terms = { attestation: AttestationPolicy.REQUIRED };

/** A service that knows a maker's models, in a tenant with terms. */
async function knowing(engine: (typeof engines)[number], terms: Terms, issuer = attestationIssuer()) {
  const folder = mkdtempSync(join(tmpdir(), "mfa-metadata-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const publisher = metadataPublisher();
  const models = {
    [MODEL]: { root: issuer.root },
    [OTHER]: { root: issuer.root },
    [BROKEN]: { root: issuer.root, status: "USER_KEY_REMOTE_COMPROMISE" },
  };
  const metadataFile = join(folder, "blob.jwt");
  writeFileSync(metadataFile, publisher.blob(models));
  const webauthn = { metadataFile, metadataRootsFile: publisher.rootFile };
  const service = await serviceForTest(engine, { webauthn, now: new Date(Date.now() + 1000) });
  await setTenant(service, { webauthn: terms });
  const register = async (attestation?: (parts: AttestationParts) => Map<string, unknown>, model = MODEL) => {
    const token = await service.user("ann", "aal2");
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    const deviation = attestation ? { attestation } : {};
    const response = makePasskey({ aaguid: aaguidOf(model) }).create(options, deviation);
    const { credential } = await service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
    return { credential, options };
  };
  return { service, issuer, register };
}

const notAllowed = (policy: string) => ({
  reason: "AUTHENTICATOR_NOT_ALLOWED",
  metadata: { policy: `webauthn.${policy}` },
});

describe.each(engines)("attestation on $name", (engine) => {
  test("a model that proves itself is admitted where it must, with its root in the chain or without", async () => {
    const { issuer, register } = await knowing(engine, REQUIRED);
    for (const withRoot of [true, false]) {
      const { credential, options } = await register(issuer.attest("packed", { withRoot }));
      expect(options?.attestation).toBe("direct");
      expect(credential).toMatchObject({ attested: true, aaguid: MODEL, displayName: "YubiKey 5 NFC" });
    }
  });

  test("one that does not prove itself is refused: none, itself, another maker's, a compromised model, an unknown one", async () => {
    const { issuer, register } = await knowing(engine, REQUIRED);
    const stranger = attestationIssuer();
    const asCa = attestationIssuer({ ca: true });
    expect(await failure(register())).toMatchObject(notAllowed("attestation"));
    const signedBy = (own: boolean) => (parts: AttestationParts) => {
      const signer = own ? parts.key : makeKey(-7);
      const sig = signWith(signer, Buffer.concat([parts.authData, parts.clientDataHash]));
      const statement = new Map<string, unknown>([
        ["alg", -7],
        ["sig", new Uint8Array(sig)],
      ]);
      return attestationObject("packed", statement, parts.authData);
    };
    expect(await failure(register(signedBy(true)))).toMatchObject(notAllowed("attestation"));
    expect((await failure(register(signedBy(false)))).reason).toBe("SIGNATURE_REJECTED");
    expect(await failure(register(stranger.attest()))).toMatchObject(notAllowed("attestation"));
    expect((await failure(register(asCa.attest()))).reason).toBe("SIGNATURE_REJECTED");
    expect(await failure(register(issuer.attest(), BROKEN))).toMatchObject(notAllowed("attestation"));
    expect(await failure(register(issuer.attest(), "00000000-0000-0000-0000-000000000001"))).toMatchObject(
      notAllowed("attestation"),
    );
  });

  test("models are allowed and denied by what they prove", async () => {
    const allowing = await knowing(engine, { allowedAaguids: [MODEL.toUpperCase()] });
    expect((await allowing.register(allowing.issuer.attest())).credential?.attested).toBe(true);
    const other = allowing.register(allowing.issuer.attest(), OTHER);
    expect(await failure(other)).toMatchObject(notAllowed("allowed_aaguids"));
    expect(await failure(allowing.register())).toMatchObject(notAllowed("attestation"));
    const denying = await knowing(engine, { deniedAaguids: [MODEL] });
    expect(await failure(denying.register(denying.issuer.attest()))).toMatchObject(notAllowed("denied_aaguids"));
    expect((await denying.register(denying.issuer.attest(), OTHER)).credential?.attested).toBe(true);
  });

  test("where nothing is asked, an attestation that comes all the same is checked and proves no model", async () => {
    const { issuer, register } = await knowing(engine, {});
    const { credential, options } = await register(issuer.attest());
    expect(options?.attestation).toBe("none");
    expect(credential?.attested).toBe(false);
  });
});

describe("metadata", () => {
  const now = () => new Date(Date.now() + 1000);

  test("is read from a blob of its publisher, and from no other", async () => {
    const [maker, publisher, other] = [attestationIssuer(), metadataPublisher(), metadataPublisher()];
    const blob = publisher.blob({ [MODEL]: { root: maker.root }, [BROKEN]: { root: maker.root, status: "REVOKED" } });
    const metadata = await readMetadata(blob, now(), [publisher.root]);
    expect(metadata.find(MODEL)).toMatchObject({ compromised: false });
    expect(metadata.find(BROKEN)).toMatchObject({ compromised: true });
    expect(metadata.find(OTHER)).toBeUndefined();
    expect(metadata.nextUpdate).toEqual(new Date("2030-01-01T00:00:00Z"));
    await expect(readMetadata(blob, now(), [other.root])).rejects.toThrow("no known root");
    await expect(readMetadata(blob, now())).rejects.toThrow("no known root");
    await expect(readMetadata(blob, now(), [])).rejects.toThrow("no known root");
    const [head, body, signature] = blob.split(".");
    const bent = JSON.parse(Buffer.from(body ?? "", "base64url").toString());
    const tampered = Buffer.from(JSON.stringify({ ...bent, no: 2 })).toString("base64url");
    await expect(readMetadata(`${head}.${tampered}.${signature}`, now(), [publisher.root])).rejects.toThrow();
    await expect(readMetadata(blob, new Date("2060-01-01"), [publisher.root])).rejects.toThrow("no known root");
  });

  test("that cannot be used stops the start, and says which file", async () => {
    const [sqlite] = engines as [(typeof engines)[number]];
    const metadataFile = "/nowhere/blob.jwt";
    await expect(serviceForTest(sqlite, { webauthn: { metadataFile } })).rejects.toThrow(`metadata in ${metadataFile}`);
  });
});

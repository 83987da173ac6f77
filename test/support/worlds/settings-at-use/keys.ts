import { expect } from "vitest";
import { FactorType } from "../../../../gen/mfa/v1/factor_pb.js";
import { AttestationPolicy } from "../../../../gen/mfa/v1/tenant_settings_pb.js";
import { WebAuthnAttachment, WebAuthnRequirement } from "../../../../gen/mfa/v1/webauthn_pb.js";
import { failure } from "../../actors/grpc-client.ts";
import { begunLogIn } from "../../actors/log-in.ts";
import { enrollPasskey, Flag, makePasskey, type Passkey } from "../../actors/passkey.ts";
import { askPhone, newPhone, pairPhone, switchPushOn } from "../../actors/push-phones.ts";
import { type ServiceUnderTest, setTenant } from "../service.ts";
import { expectForbidden, expectInUse, type Line, type Lines } from "./line.ts";

const { WEBAUTHN } = FactorType;
const MODEL = "2fc0579f-8113-47ea-b116-bb5a8db9202a";

type Terms = NonNullable<Parameters<typeof setTenant>[1]["webauthn"]>;

const bySignature =
  (passkey: Passkey) =>
  ({ options }: Awaited<ReturnType<typeof begunLogIn>>) => ({
    case: "webauthn" as const,
    value: passkey.get(options),
  });

/** Terms that no longer admit a passkey of before. */
const refuses =
  (terms: Terms, passkey: () => Passkey = makePasskey, reason = "AUTHENTICATOR_NOT_ALLOWED"): Line =>
  async (service) => {
    const enrolled = await enrollPasskey(service, "ann", passkey());
    const forbid = () => setTenant(service, { webauthn: terms });
    await expectForbidden(service, WEBAUTHN, { answer: bySignature(enrolled.passkey), forbid, reason });
  };

/** Passkeys and security keys. */
const passkeys: Lines = {
  "webauthn.rp_ids": refuses(
    { rpIds: ["example.com"], origins: ["https://example.com"] },
    makePasskey,
    "POLICY_FORBIDS",
  ),
  "webauthn.deny_synced": refuses({ denySynced: true }, () => makePasskey({ synced: true })),
  "webauthn.attachment": refuses({ attachment: WebAuthnAttachment.CROSS_PLATFORM }),
  "webauthn.attestation": refuses({ attestation: AttestationPolicy.REQUIRED }),
  "webauthn.allowed_aaguids": refuses({ allowedAaguids: [MODEL] }),
  "webauthn.denied_aaguids": refuses({ deniedAaguids: [MODEL] }),
  "webauthn.origins": async (service) => {
    const { passkey } = await enrollPasskey(service, "ann");
    const begun = await begunLogIn(service, WEBAUTHN);
    const answer = bySignature(passkey)(begun);
    await setTenant(service, { webauthn: { rpIds: ["localhost"], origins: ["https://localhost"] } });
    expect((await failure(begun.prove(answer))).reason).toBe("SIGNATURE_REJECTED");
  },
  "webauthn.user_verification": async (service) => {
    const { passkey } = await enrollPasskey(service, "ann", makePasskey({ flags: Flag.UP }));
    const proven = await begunLogIn(service, WEBAUTHN);
    await proven.prove(bySignature(passkey)(proven));
    const open = await begunLogIn(service, WEBAUTHN);
    await setTenant(service, { webauthn: { userVerification: WebAuthnRequirement.REQUIRED } });
    expect((await failure(proven.redeem())).reason).toBe("FACTOR_NOT_ALLOWED");
    expect((await failure(open.prove(bySignature(passkey)(open)))).reason).toBe("SIGNATURE_REJECTED");
  },
  "webauthn.discoverable": async (service) => {
    const { passkey } = await enrollPasskey(service, "ann", makePasskey({ rk: false }));
    await setTenant(service, { webauthn: { discoverable: WebAuthnRequirement.REQUIRED } });
    await expectInUse(service, WEBAUTHN, bySignature(passkey));
  },
  "webauthn.passkey_alone": async (service) => {
    await setTenant(service, { webauthn: { passkeyAlone: true } });
    const { passkey } = await enrollPasskey(service, "ann");
    const begun = await begunLogIn(service, WEBAUTHN);
    await begun.prove(bySignature(passkey)(begun));
    await setTenant(service, { webauthn: { passkeyAlone: false } });
    expect((await begun.redeem()).assertion?.amr).not.toContain("urn:mfa:amr:passkey-alone");
  },
  "webauthn.max_credentials": async (service) => {
    const { passkey, token } = await enrollPasskey(service, "ann");
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    const response = makePasskey().create(options);
    await setTenant(service, { webauthn: { maxCredentials: 1 } });
    const more = await failure(service.mfa.finishWebAuthnRegistration({ ceremonyId, response }, token));
    expect(more.reason).toBe("LIMIT_REACHED");
    await expectInUse(service, WEBAUTHN, bySignature(passkey));
  },
};

async function waiting(service: ServiceUnderTest, settings: object = {}) {
  await switchPushOn(service, settings);
  const phone = await pairPhone(service, "ann");
  const page = await askPhone(service, "ann", { audience: "shop" });
  const [request] = await phone.pending();
  if (!request) throw new Error("nothing waits");
  const redeem = async () =>
    service.internal.redeemChallenge(
      { userId: "ann", challengeId: page.challengeId, sessionId: "web", client: { ip: "203.0.113.7" } },
      await service.backend("mfa.challenge mfa.verify"),
    );
  return { phone, page, request, redeem };
}
const reasonOf = (call: Promise<unknown>) =>
  call.then(
    () => "OK",
    ({ reason }: { reason?: string }) => reason,
  );

/** Approvals on a phone. */
const push: Lines = {
  "push.enabled": async (service) => {
    const asked = await waiting(service);
    await setTenant(service, { push: { enabled: false } });
    expect(await reasonOf(asked.phone.approve(asked.request, asked.page.number))).toBe("FACTOR_NOT_ALLOWED");
    await setTenant(service, { push: { enabled: true } });
    await asked.phone.approve(asked.request, asked.page.number);
    await setTenant(service, { push: { enabled: false } });
    expect((await failure(asked.redeem())).reason).toBe("FACTOR_NOT_ALLOWED");
    expect((await failure(askPhone(service, "ann"))).reason).toBe("FACTOR_NOT_ALLOWED");
  },
  "push.number_digits": async (service) => {
    const asked = await waiting(service);
    await setTenant(service, { push: { enabled: true, numberDigits: 6 } });
    expect(await reasonOf(asked.phone.approve(asked.request, asked.page.number))).toBe("CHALLENGE_EXPIRED");
    await setTenant(service, { push: { enabled: true, numberDigits: 2 } });
    await asked.phone.approve(asked.request, asked.page.number);
    await setTenant(service, { push: { enabled: true, numberDigits: 6 } });
    expect((await failure(asked.redeem())).reason).toBe("FACTOR_NOT_ALLOWED");
    await setTenant(service, { push: { enabled: true, numberDigits: 2 } });
    await asked.redeem();
  },
  "push.lock_when_reported": async (service) => {
    const asked = await waiting(service);
    await setTenant(service, { push: { enabled: true, lockWhenReported: true } });
    await asked.phone.deny(asked.request, "NOT_ME");
    const { status } = await service.mfa.getMfaStatus({}, await service.user("ann"));
    expect(status?.lock?.codesLocked).toBe(true);
  },
  "push.max_devices": async (service) => {
    const { phone } = await waiting(service);
    service.pass(3 * 60_000);
    const token = await service.user("ann", "aal2");
    const { pairingToken } = await service.mfa.startPushDeviceEnrollment({}, token);
    await setTenant(service, { push: { enabled: true, maxDevices: 1 } });
    expect(await reasonOf(newPhone(service).pair(pairingToken))).toBe("LIMIT_REACHED");
    await askPhone(service, "ann");
    expect(await phone.pending()).toHaveLength(1);
  },
};

/** The lines of settings about what signs: passkeys and phones. */
export const keyLines: Lines = { ...passkeys, ...push };

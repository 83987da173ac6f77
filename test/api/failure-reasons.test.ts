import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { EventType, FailureReason } from "../../gen/mfa/v1/event_pb.js";
import { LockProfile } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { allowTransfers } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { codesFor, enrollPhone, newestCode, phone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const { PROOF_FAILED, PROOF_REPLAYED } = EventType;

/** The refused proofs that events tell of: why, and how many attempts were left. */
async function refusals({ internal, mint }: ServiceUnderTest): Promise<[reason: string, left: number][]> {
  const token = await mint({ audience: "mfa-internal", subject: "shop", scope: "mfa.events.read" });
  const { events } = await internal.listEvents({ filter: { types: [PROOF_FAILED, PROOF_REPLAYED] } }, token);
  return events.map(({ failureReason, attemptsRemaining }) => [FailureReason[failureReason], attemptsRemaining]);
}

const sent = async (service: ServiceUnderTest, userId: string, token: string) => {
  const { delivery } = await service.mfa.sendSmsCode({}, token);
  return { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, userId) };
};

const texted = async (service: ServiceUnderTest) => {
  await switchOn(service);
  const { token } = await enrollPhone(service, "ann");
  return { token, typed: await sent(service, "ann", token) };
};

/** Leads to one refusal more, of a proof that is wrong for this reason. */
type Refuse = (service: ServiceUnderTest) => Promise<unknown>;

const cases: [reason: keyof typeof FailureReason, how: string, refuse: Refuse][] = [
  [
    "WRONG",
    "a code that is nobody's",
    async (service) => {
      const app = await enrollApp(service, "ann");
      return service.mfa.verifyTotpCode({ code: await wrongCode(app) }, app.token);
    },
  ],
  [
    "REPLAYED",
    "an app's code once more",
    async (service) => {
      const app = await enrollApp(service, "ann");
      const code = await app.code();
      await service.mfa.verifyTotpCode({ code }, app.token);
      return service.mfa.verifyTotpCode({ code }, app.token);
    },
  ],
  [
    "REPLAYED",
    "a code that was sent once more",
    async (service) => {
      const { token, typed } = await texted(service);
      await service.mfa.verifySmsCode(typed, token);
      return service.mfa.verifySmsCode(typed, token);
    },
  ],
  [
    "EXPIRED",
    "a code that was sent too long ago",
    async (service) => {
      const { typed } = await texted(service);
      service.pass(5 * MINUTE);
      return service.mfa.verifySmsCode(typed, await service.user("ann", "aal2"));
    },
  ],
  [
    "LOCKED",
    "a code that was sent before a lock",
    async (service) => {
      const app = await enrollApp(service, "ann");
      const { token, typed } = await texted(service);
      const code = await wrongCode(app);
      for (let n = 0; n < 5; n++) await failure(service.mfa.verifyTotpCode({ code }, token));
      service.pass(MINUTE);
      return service.mfa.verifySmsCode(typed, await service.user("ann", "aal2"));
    },
  ],
  [
    "WRONG_CHALLENGE",
    "a code for another way",
    async (service) => {
      const { typed } = await texted(service);
      const email = await service.user("ann", "aal2");
      const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, email);
      const code = await newestCode(service, "ann");
      await service.mfa.finishEmailEnrollment({ challengeId: delivery?.challengeId ?? "", code }, email);
      return service.mfa.verifyEmailCode(typed, email);
    },
  ],
  [
    "WRONG_CHALLENGE",
    "the code of an enrollment as a proof",
    async (service) => {
      const { token } = await texted(service);
      service.pass(MINUTE);
      const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phone(1) }, token);
      const [message] = await codesFor(service, "ann");
      const typed = { challengeId: delivery?.challengeId ?? "", code: message?.code ?? "" };
      return service.mfa.verifySmsCode(typed, token);
    },
  ],
  [
    "WRONG_CHALLENGE",
    "a passkey's signature for another action",
    async (service) => {
      await allowTransfers(service);
      const { passkey, aal1 } = await enrollPasskey(service, "ann");
      const action = { type: "transfer.create", parameters: { to: "bob" } };
      const { options } = await service.mfa.startWebAuthnAuthentication({ action }, aal1);
      const proof = { kind: { case: "webauthn" as const, value: passkey.get(options) } };
      const other = { ...action, parameters: { to: "eve" } };
      return service.mfa.stepUp({ audience: "shop", action: other, proof }, aal1);
    },
  ],
  [
    "DISABLED_FACTOR",
    "an app's code where all apps are disabled",
    async (service) => {
      const app = await enrollApp(service, "ann");
      const off = { deviceId: app.deviceId, confirmLastFactor: true };
      await service.mfa.disableTotpDevice(off, await service.user("ann", "aal2"));
      const asked = { userId: "ann", code: await app.code() };
      return service.internal.verifyUserTotpCode(asked, await service.backend("mfa.verify"));
    },
  ],
  [
    "DISABLED_FACTOR",
    "a code that was sent to a number that was disabled since",
    async (service) => {
      const { token, typed } = await texted(service);
      await service.mfa.disableSms({ confirmLastFactor: true }, token);
      return service.mfa.verifySmsCode(typed, token);
    },
  ],
  [
    "SIGNATURE",
    "a signature that does not verify",
    async (service) => {
      const { passkey, aal1 } = await enrollPasskey(service, "ann");
      const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, aal1);
      const response = passkey.get(options, { origin: "https://evil.example" });
      return service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, aal1);
    },
  ],
];

describe.each(engines)("events of refused proofs on $name", (engine) => {
  test.each(cases)("say %s of %s, and callers hear no more than no", async (reason, _, refuse) => {
    const service = await serviceForTest(engine);
    const heard = await failure(refuse(service));
    expect(heard.reason).toMatch(/^(CODE|SIGNATURE)_REJECTED$/);
    expect([heard.code, heard.metadata]).toEqual([status.PERMISSION_DENIED, {}]);
    expect((await refusals(service)).at(-1)).toEqual([reason, 4]);
  });

  test.each([
    ["STANDARD", [4, 3, 2, 1, 0]],
    ["PCI", [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]],
  ] as const)(
    "count down to the lock by the profile %s, and none is left behind while it lasts",
    async (profile, left) => {
      const service = await serviceForTest(engine);
      await setTenant(service, { lockProfile: LockProfile[profile] });
      const app = await enrollApp(service, "ann");
      const code = await wrongCode(app);
      for (let n = 0; n <= left.length; n++) await failure(service.mfa.verifyTotpCode({ code }, app.token));
      expect((await refusals(service)).map(([, remaining]) => remaining)).toEqual(left);
    },
  );

  test("count down to the limit of a day, where that is nearer", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const code = await wrongCode(app);
    for (let n = 0; n < 20; n++) {
      // A right code in between begins the count to the lock anew, and leaves the day's.
      if (n % 3 === 0) await service.mfa.verifyTotpCode({ code: await app.code() }, await service.user("ann"));
      await failure(service.mfa.verifyTotpCode({ code }, await service.user("ann")));
      service.pass(MINUTE);
    }
    const left = (await refusals(service)).map(([, remaining]) => remaining);
    expect(left.slice(0, 6)).toEqual([4, 3, 2, 4, 3, 2]);
    expect(left.slice(-5)).toEqual([4, 3, 2, 1, 0]);
  });
});

import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { backendOf, logIn } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollPhone, newestCode, otherThan, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey, Flag, makePasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const client = { ip: "203.0.113.7" };

describe.each(engines)("a right proof that is refused for another reason on $name", (engine) => {
  test("is no failed attempt: a code that settings refuse locks nobody, not even as the last before a lock", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollPhone(service, "ann");
    const { delivery } = await service.mfa.sendSmsCode({}, token);
    const code = await newestCode(service, "ann");
    const type = (typed: string) =>
      service.mfa.verifySmsCode({ challengeId: delivery?.challengeId ?? "", code: typed }, token);
    for (let n = 0; n < 4; n++) expect((await failure(type(otherThan(code)))).reason).toBe("CODE_REJECTED");
    await switchOn(service, { sms: { enabled: true, allowedCountries: ["US"], dailyBudget: 1000 } });
    for (let n = 0; n < 3; n++) expect((await failure(type(code))).reason).toBe("DESTINATION_REFUSED");
    await switchOn(service);
    await type(code);
  });

  test("is no failed attempt: a passkey that is not bound to its device locks nobody where one is asked for", async () => {
    const service = await serviceForTest(engine);
    const strength = AuthenticationStrength.DEVICE_BOUND;
    const synced = await enrollPasskey(service, "ann", makePasskey({ synced: true }));
    const bound = await enrollPasskey(service, "ann");
    // Its user was not verified at registration, so that it is not believed later.
    const unverified = await enrollPasskey(service, "ann", makePasskey({ flags: Flag.UP }));
    const shop = await backendOf(service);
    const prove = async (passkey: typeof synced.passkey, flip = 0) => {
      const request = { ...logIn("ann", { strength }), prepareFactorType: FactorType.WEBAUTHN };
      const { challenge, preparation } = await service.internal.createUserChallenge(request, shop);
      const options = preparation?.kind.case === "webauthnOptions" ? preparation.kind.value : undefined;
      const proof = { kind: { case: "webauthn", value: passkey.get(options as never, { flip }) } } as const;
      const challengeId = challenge?.challengeId ?? "";
      return service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, shop);
    };
    for (let n = 0; n < 6; n++) expect((await failure(prove(synced.passkey))).reason).toBe("FACTOR_NOT_ALLOWED");
    expect((await failure(prove(unverified.passkey, Flag.UV))).reason).toBe("FACTOR_NOT_ALLOWED");
    await prove(bound.passkey);
  });
});

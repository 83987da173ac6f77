import type { DescMethod } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { methods } from "../../src/compose/services.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollPhone, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { policyAdmin } from "../support/worlds/risk.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const app = async (service: ServiceUnderTest) => ({ deviceId: (await enrollApp(service, "ann")).deviceId });

/** How a user comes to their only factor, and what names it to the RPC that takes it away. */
const ways: Record<string, (service: ServiceUnderTest) => Promise<object>> = {
  DisableTotpDevice: app,
  RevokeTotpDevice: app,
  DeleteTotpDevice: app,
  DisableTotp: async (service) => {
    await app(service);
    return {};
  },
  DisableUserTotp: async (service) => {
    await app(service);
    return { userId: "ann", reason: "left" };
  },
  DeleteFactor: async (service) => {
    await app(service);
    return { factorType: FactorType.TOTP };
  },
  DeleteWebAuthnCredential: async (service) => ({
    credentialId: (await enrollPasskey(service, "ann")).credential.credentialId,
  }),
  DisableSms: async (service) => {
    await enrollPhone(service, "ann");
    return {};
  },
  RevokePushDevice: async (service) => ({ deviceId: (await pairPhone(service, "ann")).id() }),
};

const named = methods.filter(({ input }) => input.field.confirmLastFactor).map((method): DescMethod => method);

test("each RPC that asks whether the last factor may go is tried here", () => {
  expect(named.map(({ name }) => name).sort()).toEqual(Object.keys(ways).sort());
});

describe.each(engines)("the last factor on $name", (engine) => {
  test.each(named)(
    "$name takes it only where the user says so, and never where a rule asks for one",
    async (method) => {
      const service = await serviceForTest(engine);
      await switchOn(service);
      await switchPushOn(service);
      const request = (await ways[method.name]?.(service)) ?? {};
      const remove = async (confirmLastFactor: boolean) => {
        const isBackend = method.parent.name === "InternalMfaService";
        const rpcs = (isBackend ? service.internal : service.mfa) as unknown as Record<
          string,
          (request: object, token: string) => Promise<object>
        >;
        const token = await (isBackend ? service.backend("mfa.factors.write") : service.user("ann", "aal2"));
        return rpcs[method.localName]?.({ ...request, confirmLastFactor }, token) ?? {};
      };
      const isEnrolled = async () => (await service.mfa.getMfaStatus({}, await service.user("ann"))).status?.enrolled;
      expect((await failure(remove(false))).reason).toBe("LAST_FACTOR");
      const asked = { selector: { everyone: true }, strength: AuthenticationStrength.ANY_FACTOR };
      const { rule } = await service.admin.createEnforcementRule(asked, await policyAdmin(service));
      const refused = await failure(remove(true));
      expect([refused.reason, refused.metadata.required]).toEqual(["LAST_FACTOR", "true"]);
      expect(await isEnrolled()).toBe(true);
      await service.admin.deleteEnforcementRule({ ruleId: rule?.ruleId ?? "" }, await policyAdmin(service));
      await remove(true);
      expect(await isEnrolled()).toBe(false);
    },
  );

  test("a factor that the tenant's settings refuse is none that is left", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { deviceId } = await enrollApp(service, "ann");
    await enrollPhone(service, "ann");
    await switchOn(service, { sms: {} });
    const token = await service.user("ann", "aal2");
    for (const take of [
      () => service.mfa.disableTotpDevice({ deviceId }, token),
      () => service.mfa.deleteFactor({ factorType: FactorType.TOTP }, token),
    ]) {
      expect((await failure(take())).reason).toBe("LAST_FACTOR");
    }
    await switchOn(service);
    await service.mfa.disableTotpDevice({ deviceId }, token);
  });
});

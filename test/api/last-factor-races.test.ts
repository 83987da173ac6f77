import { describe, expect, test } from "vitest";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { tally } from "../support/actors/grpc-client.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { holding } from "../support/engine/held-locks.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [, postgres] = engines as [EngineUnderTest, EngineUnderTest];

/** Enrolls another factor for Ann, who may have some, and answers how it is given up. */
type Giving = (service: ServiceUnderTest, acr: "aal1" | "aal2") => Promise<(token: string) => Promise<unknown>>;

const givings: Record<string, Giving> = {
  "an app that is disabled": async (service, acr) => {
    const { deviceId } = await enrollApp(service, "ann", acr);
    return (token) => service.mfa.disableTotpDevice({ deviceId }, token);
  },
  "an app that is revoked": async (service, acr) => {
    const { deviceId } = await enrollApp(service, "ann", acr);
    return (token) => service.mfa.revokeTotpDevice({ deviceId }, token);
  },
  "an app that is deleted": async (service, acr) => {
    const { deviceId } = await enrollApp(service, "ann", acr);
    return (token) => service.mfa.deleteTotpDevice({ deviceId }, token);
  },
  "a passkey that is deleted": async (service) => {
    const { credential } = await enrollPasskey(service, "ann");
    return (token) => service.mfa.deleteWebAuthnCredential({ credentialId: credential.credentialId }, token);
  },
  "a phone that is revoked": async (service, acr) => {
    const phone = await pairPhone(service, "ann", { acr });
    return (token) => service.mfa.revokePushDevice({ deviceId: phone.id() }, token);
  },
};

const names = Object.keys(givings);
const pairs = names.flatMap((one, n) => names.slice(n).map((other) => [one, other] as const));

describe("the last factor on PostgreSQL", () => {
  test.each(pairs)("of %s and %s at the same moment one stays", async (one, other) => {
    const service = await serviceForTest(postgres);
    await switchPushOn(service);
    const giveFirst = await givings[one]?.(service, "aal1");
    const giveOther = await givings[other]?.(service, "aal2");
    const token = await service.user("ann", "aal2");
    // Each change ends at the end of the trail, so neither has committed when the other asks what would be left.
    const trail = await holding(service, "SELECT * FROM audit_heads FOR UPDATE");
    const counted = tally([giveFirst?.(token) ?? Promise.reject(), giveOther?.(token) ?? Promise.reject()]);
    await trail.isWaitedFor(2);
    await trail.commit();
    expect(await counted).toEqual({ OK: 1, LAST_FACTOR: 1 });
    expect((await service.mfa.getMfaStatus({}, token)).status?.enrolled).toBe(true);
  });
});

import { describe, expect, test } from "vitest";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { inSession } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const client = { ip: "192.0.2.7", userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0" };
const HEADER = "mfa-backend-authorization";

/** A user with an app, in a tenant that lets clients be trusted, and the credential of a backend. */
async function trusting(engine: EngineUnderTest) {
  const service = await serviceForTest(engine);
  await allowTrust(service);
  await enrollApp(service, "ann");
  const user = await service.user("ann", "aal2");
  /** Trusts a client in a call with the user's token and these headers; returns what the user's list says of it. */
  const trust = async (headers: Record<string, string> = {}) =>
    (await service.mfa.trustDevice({ client }, user, headers)).device;
  return { service, user, trust, backend: { [HEADER]: `Bearer ${await service.backend("mfa.verify")}` } };
}

describe.each(engines)("a backend that calls with its user's token on $name", (engine) => {
  test("says where the user is by a credential of its own beside the token; from anybody else that is ignored", async () => {
    const { trust, backend } = await trusting(engine);
    const device = await trust(backend);
    expect(device).toMatchObject({ ip: client.ip });
    expect(device?.userAgent).toContain("Firefox");
    const byUser = await trust();
    expect(byUser?.ip).toBe("127.0.0.1");
    expect(byUser?.userAgent).not.toContain("Firefox");
  });

  test("has the phone show the user's browser and address, not its own", async () => {
    const { service, backend } = await trusting(engine);
    await switchPushOn(service);
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    await service.mfa.createPushChallenge({ client }, await inSession(service, "ann", "web"), backend);
    const [pending] = (await phone.pending()) as { context: { ip: string; userAgent: string } }[];
    expect(pending?.context).toMatchObject({ ip: client.ip, userAgent: "Firefox on Linux" });
  });

  test("is refused beside anything but a backend's credential of the user's tenant, and nothing is done", async () => {
    const { service, user, trust } = await trusting(engine);
    const abroad = { audience: "mfa-internal", subject: "shop", scope: "mfa.verify", tenant: "other" } as const;
    const admin = { audience: "mfa-admin", subject: "root", acr: "aal2", scope: "mfa.read" } as const;
    for (const credential of [
      `Bearer ${user}`,
      `Bearer ${await service.mint(abroad)}`,
      `Bearer ${await service.mint(admin)}`,
      "Bearer junk",
      "Ticket junk",
      "",
    ]) {
      expect((await failure(trust({ [HEADER]: credential }))).reason, credential).toBe("INVALID_CREDENTIAL");
    }
    expect((await service.mfa.listTrustedDevices({}, user)).devices).toEqual([]);
  });
});

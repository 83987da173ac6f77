import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import type { Store } from "../../src/db/store.ts";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

const sensitive = (service: ServiceUnderTest, token: string, deviceId: string) => ({
  start: () => service.mfa.startTotpEnrollment({}, token),
  finish: () => service.mfa.finishTotpEnrollment({ code: "123456" }, token),
  list: () => service.mfa.listTotpDevices({}, token),
  get: () => service.mfa.getTotpDevice({ deviceId }, token),
});

describe.each(engines)("step-up on $name", (engine) => {
  test("a user with a factor and a token from before it may only complete MFA", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    for (const call of Object.values(sensitive(service, app.token, app.deviceId))) {
      const refused = await failure(call());
      expect(refused).toMatchObject({
        code: status.UNAUTHENTICATED,
        reason: "INSUFFICIENT_USER_AUTHENTICATION",
        metadata: { acr_values: "aal2" },
      });
    }
    await service.mfa.verifyTotpCode({ code: await app.code() }, app.token);
    const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
    expect(devices).toHaveLength(1);
  });

  test("a first enrollment needs a first factor not older than five minutes", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    service.pass(5 * MINUTE + 1000);
    const refused = await failure(service.mfa.startTotpEnrollment({}, token));
    expect(refused).toMatchObject({
      code: status.UNAUTHENTICATED,
      reason: "INSUFFICIENT_USER_AUTHENTICATION",
      metadata: { acr_values: "aal1", max_age: "300" },
    });
    await service.mfa.startTotpEnrollment({}, await service.user("ann"));
  });

  test("a second device needs a second factor not older than five minutes", async () => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const token = await service.user("ann", "aal2");
    service.pass(5 * MINUTE + 1000);
    const refused = await failure(service.mfa.startTotpEnrollment({}, token));
    expect(refused).toMatchObject({ metadata: { acr_values: "aal2", max_age: "300" } });
    await service.mfa.startTotpEnrollment({}, await service.user("ann", "aal2"));
  });

  test("a pending device does not count as a factor", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann");
    await service.mfa.startTotpEnrollment({}, token);
    await expect(service.mfa.listTotpDevices({}, token)).resolves.toBeDefined();
  });

  test.each([
    ["a token", "INSUFFICIENT_USER_AUTHENTICATION"],
    ["a ticket", "CHALLENGE_EXPIRED"],
  ])(
    "a factor enrolled between the gate and the unit closes the door on a first enrollment by %s",
    async (by, reason) => {
      let meanwhile = async () => {};
      const interrupted: EngineUnderTest = {
        ...engine,
        open: async () => {
          const opened = await engine.open();
          const write: Store["write"] = async (work) => {
            await meanwhile();
            return opened.store.write(work);
          };
          return { ...opened, store: { ...opened.store, write } };
        },
      };
      const service = await serviceForTest(interrupted);
      const { holder } = await ticketOffice(service);
      const headers =
        by === "a ticket" ? await holder("ann") : { authorization: `Bearer ${await service.user("ann")}` };
      const { provisioning } = await service.mfa.startTotpEnrollment({}, undefined, headers);
      const code = await showCode(provisioning?.secret ?? "", service.clock.now);
      meanwhile = async () => {
        meanwhile = async () => {};
        const columns =
          "display_name, algorithm, digits, period_seconds, sealed_secret, last_step, create_time, update_time";
        await service.execute(
          `INSERT INTO totp_devices (tenant_id, user_id, device_id, state, ${columns})
         SELECT tenant_id, user_id, 'another', 'active', ${columns} FROM totp_devices`,
        );
        await service.bind();
      };
      const refused = await failure(service.mfa.finishTotpEnrollment({ code }, undefined, headers));
      expect(refused).toMatchObject({ reason, metadata: by === "a token" ? { acr_values: "aal2" } : {} });
      const { devices } = await service.mfa.listTotpDevices({}, await service.user("ann", "aal2"));
      expect(devices.map(({ state }) => state)).toEqual([TotpDeviceState.PENDING, TotpDeviceState.ACTIVE]);
    },
  );

  test("tokens of one kind are not accepted as another, nor without the scope", async () => {
    const service = await serviceForTest(engine);
    const [user, backend] = [await service.user("ann", "aal2"), await service.backend("mfa.verify")];
    const request = { userId: "ann", code: "123456" };
    for (const token of [user, await service.backend("mfa.other"), await service.backend("")]) {
      const refused = await failure(service.internal.verifyUserTotpCode(request, token));
      expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "ACCESS_DENIED" });
    }
    const refused = await failure(service.mfa.listTotpDevices({}, backend));
    expect(refused).toMatchObject({ code: status.PERMISSION_DENIED, reason: "ACCESS_DENIED" });
  });
});

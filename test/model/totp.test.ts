import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TotpDeviceState } from "../../gen/mfa/v1/totp_pb.js";
import { showCode } from "../support/actors/authenticator-app.ts";
import { CallFailed } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { isFull } from "../support/engine/races.ts";
import { type ModelDevice, type Outcome, UserModel } from "../support/models/totp.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
/** 500 runs in `npm test`, 10,000 in `npm run faults`; most on the engine that is quicker to run. */
const runs = { sqlite: 400, postgres: 100 };
const factor = isFull ? 20 : 1;

const who = fc.nat({ max: 2 });
const which = fc.nat({ max: 5 });
const confirmed = fc.boolean();
const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant("enroll"), who }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("logIn"), who, which, off: fc.constantFrom(-2, -1, 0, 0, 1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("replay"), who }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("guess"), who, times: fc.integer({ min: 1, max: 6 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("turn"),
      who,
      which,
      to: fc.constantFrom("active", "disabled", "revoked", "deleted"),
      confirmed,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("replace"), who, which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("clear"), who }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("besiege"), who, rows: fc.integer({ min: 1, max: 5 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("wait"), minutes: fc.constantFrom(0.5, 1, 2, 6, 61, 1441) }) },
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

const outcome = (call: Promise<unknown>): Promise<Outcome> =>
  call.then(
    () => "OK",
    (error: unknown) => {
      if (error instanceof CallFailed) return error.reason;
      throw error;
    },
  );

const wire: Record<ModelDevice["state"], TotpDeviceState> = {
  active: TotpDeviceState.ACTIVE,
  disabled: TotpDeviceState.DISABLED,
  revoked: TotpDeviceState.REVOKED,
};

let users = 0;

/** Three new users, each beside their model; every step is done to both and must answer alike. */
async function world(service: ServiceUnderTest) {
  const people = Array.from({ length: 3 }, () => ({ id: `user-${++users}`, model: new UserModel(), lastCode: "" }));
  const now = () => service.clock.now.getTime();
  const rpcs = {
    active: service.mfa.enableTotpDevice,
    disabled: service.mfa.disableTotpDevice,
    revoked: service.mfa.revokeTotpDevice,
    deleted: service.mfa.deleteTotpDevice,
  } as const;
  const scope = "mfa.lockout.write";

  const enroll = async (person: (typeof people)[number], token: string, replaces = "") => {
    const started = replaces
      ? await service.mfa.replaceTotpDevice({ deviceId: replaces }, token)
      : await service.mfa.startTotpEnrollment({}, token);
    const fresh = { id: started.device?.deviceId ?? "", secret: started.provisioning?.secret ?? "" };
    const code = await showCode(fresh.secret, service.clock.now);
    const real = await outcome(service.mfa.finishTotpEnrollment({ code }, token));
    expect(real).toBe(await person.model.enroll(now(), fresh, replaces));
  };

  const logIn = async (person: (typeof people)[number], code: string) => {
    const token = await service.user(person.id, "aal2");
    const real = await outcome(service.mfa.verifyTotpCode({ code }, token));
    expect(real).toBe(await person.model.verify(now(), code));
    person.lastCode = code;
  };

  return {
    async run(step: Action): Promise<void> {
      if (step.do === "wait") return service.pass((step as { minutes: number }).minutes * MINUTE);
      const person = people[(step as { who: number }).who] as (typeof people)[number];
      const { model, id } = person;
      const token = await service.user(id, "aal2");
      const device = model.devices[(step as { which?: number }).which ?? 0];
      if (step.do === "enroll") {
        if (model.hasRoom) return enroll(person, token);
        return expect(await outcome(service.mfa.startTotpEnrollment({}, token))).toBe("LIMIT_REACHED");
      }
      if (step.do === "guess") {
        for (let n = 0; n < (step as { times: number }).times; n++) await logIn(person, "000000");
      }
      if (step.do === "besiege") {
        for (let row = 0; row < (step as { rows: number }).rows; row++) {
          for (let n = 0; n < 5; n++) await logIn(person, "000000");
          if (Number.isFinite(model.lockedUntil)) service.pass(Math.max(0, model.lockedUntil - now()));
        }
      }
      if (step.do === "replay" && person.lastCode) await logIn(person, person.lastCode);
      if (step.do === "clear") {
        const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
        await service.admin.clearLockout({ userId: id, reason: "model" }, root);
        model.clear();
      }
      if (!device) return;
      if (step.do === "logIn") {
        const at = new Date(now() + (step as { off: number }).off * 30_000);
        await logIn(person, await showCode(device.secret, at));
      }
      if (step.do === "replace" && device.state !== "revoked") await enroll(person, token, device.id);
      if (step.do === "turn") {
        const { to, confirmed: confirmLastFactor } = step as { to: keyof typeof rpcs; confirmed: boolean };
        const real = await outcome(rpcs[to]({ deviceId: device.id, confirmLastFactor } as never, token));
        expect(real).toBe(model.turn(device, to, confirmLastFactor));
      }
    },

    /** The devices of the service are those of the models. */
    async compare(): Promise<void> {
      for (const { id, model } of people) {
        const { devices } = await service.mfa.listTotpDevices({}, await service.user(id, "aal2"));
        const real = devices
          .filter(({ state }) => state !== TotpDeviceState.PENDING)
          .map(({ deviceId, state, drift }) => [deviceId, state, Number(drift?.seconds ?? 0n)]);
        const expected = model.devices.map((one) => [one.id, wire[one.state], one.drift * 30]);
        expect(real).toEqual(expected);
      }
    },
  };
}

describe.each(engines)("TOTP and its locks on $name", (engine) => {
  test("answer as the model does, whatever three users do", { timeout: 3_600_000 }, async () => {
    const service = await serviceForTest(engine);
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 20 }), async (steps) => {
        const { run, compare } = await world(service);
        for (const step of steps) await run(step);
        await compare();
      }),
      { numRuns: runs[engine.name] * factor, endOnFailure: false },
    );
  });
});

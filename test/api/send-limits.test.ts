import { randomBytes } from "node:crypto";
import { status } from "@grpc/grpc-js";
import { pino } from "pino";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { FraudMode } from "../../gen/mfa/v1/tenant_settings_pb.js";
import { type Config, loadConfig } from "../../src/config/config.ts";
import { events } from "../../src/events/events.table.ts";
import { sendDecisions } from "../../src/factors/otp/otp.table.ts";
import { startServer } from "../../src/server.ts";
import { failure, grpcClient, tally } from "../support/actors/grpc-client.ts";
import {
  enrollEmail,
  enrollPhone,
  inboxOf,
  newestCode,
  otherThan,
  phone,
  switchOn,
} from "../support/actors/one-time-codes.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { httpPeer } from "../support/fakes/http-peer.ts";
import { type ServiceUnderTest, serviceForTest, UNLIMITED } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const sms = (more: object) => ({ sms: { enabled: true, allowedCountries: ["DE", "US"], ...more } });

const decisionsOf = ({ store }: ServiceUnderTest) => rowsIn(store, sendDecisions);

/** Starts to enroll a number, as a user of its own after a first factor only. */
const start = async (service: ServiceUnderTest, user: string, phoneNumber: string) =>
  service.mfa.startSmsEnrollment({ phoneNumber }, await service.user(user));

/** The service anew over what it left behind. */
async function restarted(service: ServiceUnderTest, engine: EngineUnderTest, delivery: Config["delivery"]) {
  await service.server.stop();
  const config = loadConfig(["--dev"], { MFA_DATA_DIR: service.dataDir, MFA_DATABASE_URL: service.url });
  const server = await startServer(
    { ...config, delivery, rates: UNLIMITED, listeners: [{ kind: "grpc", host: "127.0.0.1", port: 0 }] },
    { log: pino({ level: "silent" }), clock: () => service.clock.now, store: await engine.reopen(service) },
  );
  const client = grpcClient(MfaService, server.listeners[0]?.port ?? 0);
  onTestFinished(async () => {
    client.close();
    await server.stop();
  });
  return client.rpcs;
}

describe.each(engines)("limits on sending codes on $name", (engine) => {
  test("a user gets three codes in any ten minutes, by whatever way, then is told when the next", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann"); // the first
    await service.mfa.sendEmailCode({}, token);
    service.pass(MINUTE);
    await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
    service.pass(MINUTE);
    const refused = await failure(service.mfa.sendEmailCode({}, token));
    expect(refused).toMatchObject({ code: status.RESOURCE_EXHAUSTED, reason: "RATE_LIMITED" });
    // Ten minutes after the first, which was three minutes ago, and the second that it counts to.
    expect(refused.retryAfterMs).toBe(7 * MINUTE + 1000);
    service.pass(7 * MINUTE);
    expect((await failure(service.mfa.sendEmailCode({}, token))).reason).toBe("RATE_LIMITED");
    service.pass(1000);
    await service.mfa.sendEmailCode({}, token);
  });

  test("a user gets ten codes in any day, and an address five", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const outcomes: string[] = [];
    for (let n = 0; n < 14; n++) {
      const email = `ann${n % 3}@example.com`;
      const call = service.mfa.startEmailEnrollment({ email }, await service.user("ann"));
      outcomes.push(
        await call.then(
          () => "OK",
          (error) => error.reason,
        ),
      );
      service.pass(11 * MINUTE);
    }
    expect(outcomes).toEqual([...Array(10).fill("OK"), ...Array(4).fill("RATE_LIMITED")]);

    const others = [];
    for (let n = 0; n < 6; n++) {
      // Written otherwise it is the same address.
      const email = n % 2 === 0 ? "Eve@example.org" : "eve@EXAMPLE.org";
      others.push(service.mfa.startEmailEnrollment({ email }, await service.user(`user-${n}`)));
    }
    expect(await tally(others)).toEqual({ OK: 5, RATE_LIMITED: 1 });
  });

  test("the limits on people hold although the tenant only records", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service, sms({ fraudMode: FraudMode.RECORD_ONLY }));
    const calls = [];
    for (let n = 0; n < 8; n++) calls.push(start(service, `user-${n}`, phone()));
    expect(await tally(calls)).toEqual({ OK: 5, RATE_LIMITED: 3 });
  });

  test("of 1,000 sends to adjacent numbers by as many users a handful goes out, also after a restart", {
    timeout: 120_000,
  }, async () => {
    const carrier = await httpPeer();
    const secret = `whsec_${randomBytes(32).toString("base64")}`;
    const delivery = { sms: [{ kind: "webhook", url: carrier.url, secret }] } as const;
    const service = await serviceForTest(engine, { delivery });
    await switchOn(service);
    const block = (n: number) => `+491511234${String(n).padStart(4, "0")}`;
    const attack = (mfa: ServiceUnderTest["mfa"], from: number, count: number) =>
      Promise.all(Array.from({ length: count }, (_, n) => service.user(`user-${from + n}`))).then((tokens) =>
        tally(tokens.map((token, n) => mfa.startSmsEnrollment({ phoneNumber: block(from + n) }, token))),
      );
    // Nobody types a code in: five are enough to see that.
    expect(await attack(service.mfa, 0, 500)).toEqual({ OK: 5, RATE_LIMITED: 495 });
    await carrier.request(5);
    // Its pool is an ordinary one, that lets nobody wait for long: a hundred at a time.
    const mfa = await restarted(service, engine, delivery);
    for (let from = 500; from < 1000; from += 100) {
      expect(await attack(mfa, from, 100)).toEqual({ RATE_LIMITED: 100 });
    }
    expect(carrier.received).toHaveLength(5);
  });

  test("numbers in a row whose codes are typed in have the whole budget of their block", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const outcomes: string[] = [];
    for (let n = 0; n < 22; n++) {
      const token = await service.user(`user-${n}`);
      const phoneNumber = `+491511234${String(n).padStart(4, "0")}`;
      const started = await service.mfa.startSmsEnrollment({ phoneNumber }, token).catch((error) => error);
      outcomes.push(started.reason ?? "OK");
      if (started.reason) continue;
      const challengeId = started.delivery?.challengeId ?? "";
      await service.mfa.finishSmsEnrollment({ challengeId, code: await newestCode(service, `user-${n}`) }, token);
    }
    expect(outcomes).toEqual([...Array(20).fill("OK"), "RATE_LIMITED", "RATE_LIMITED"]);
  });

  test("a tenant's day ends with its budget, and begins again", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service, sms({ dailyBudget: 3 }));
    const calls = [];
    for (let n = 0; n < 5; n++) calls.push(start(service, `user-${n}`, phone(n)));
    expect(await tally(calls)).toEqual({ OK: 3, RATE_LIMITED: 2 });
    service.pass(25 * HOUR);
    await start(service, "user-9", phone(9));
  });

  test("notices by text message are messages of the tenant's day, and end with it", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service, sms({ dailyBudget: 3 }));
    const { token } = await enrollPhone(service, "ann"); // a code, and a notice
    const told = async (count: number) =>
      vi.waitUntil(async () => (await inboxOf(service, "ann")).length === count, { timeout: 20_000 });
    await told(2);
    await service.mfa.disableSms({ confirmLastFactor: true }, token);
    await told(3);
    expect((await failure(start(service, "bob", phone(1)))).reason).toBe("RATE_LIMITED");
    await service.mfa.enableSms({}, token);
    // Only then is it settled that nobody is told.
    const resolved = '"channel":"notice","kind":"factor_enabled"';
    await vi.waitUntil(() => service.log.some((line) => line.includes(resolved)), { timeout: 20_000 });
    service.pass(25 * HOUR);
    await service.mfa.disableSms({ confirmLastFactor: true }, await service.user("ann", "aal2"));
    await told(4);
    expect((await inboxOf(service, "ann")).filter(({ body }) => body.includes("switched on"))).toEqual([]);
  });

  test("one source gets thirty codes in an hour, for whomever", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const tokens = await Promise.all(Array.from({ length: 32 }, (_, n) => service.user(`user-${n}`)));
    const counts = await tally(
      tokens.map((token, n) => service.mfa.startEmailEnrollment({ email: `user-${n}@example.com` }, token)),
    );
    expect(counts).toEqual({ OK: 30, RATE_LIMITED: 2 });
  });

  test("a tenant that only records sends, and both decisions are recorded with their reasons, in no full number", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service, sms({ dailyBudget: 1, fraudMode: FraudMode.RECORD_ONLY }));
    await start(service, "ann", phone(0));
    await start(service, "bob", phone(1));
    await switchOn(service, sms({ dailyBudget: 1, fraudMode: FraudMode.DENY }));
    service.pass(MINUTE);
    expect((await failure(start(service, "eve", phone(2)))).reason).toBe("RATE_LIMITED");
    const decisions = await decisionsOf(service);
    expect(decisions).toMatchObject([
      { userId: "ann", decision: "allow", reasons: [], country: "DE", masked: "+49 *** ** 78", purpose: "enroll" },
      { userId: "bob", decision: "record", reasons: ["sms.tenant.day"] },
      { userId: "eve", decision: "deny", reasons: ["sms.tenant.day"], ip: "127.0.0.1" },
    ]);
    for (const n of [0, 1, 2]) expect(JSON.stringify(decisions)).not.toContain(phone(n).slice(3));
    const kinds = (await rowsIn(service.store, events)).map(({ type, userId }) => [type, userId]);
    expect(kinds).toContainEqual(["SEND_REFUSED", "eve"]);
    expect(await inboxOf(service, "eve")).toEqual([]);
  });

  test("asking for codes wins no guesses: failures count across codes, ways and challenges", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const { token } = await enrollEmail(service, "ann");
    let failures = 0;
    for (let n = 0; n < 2; n++) {
      const { delivery } = await service.mfa.sendEmailCode({}, token);
      const code = otherThan(await newestCode(service, "ann"));
      for (let guess = 0; guess < 3; guess++) {
        const refused = await failure(
          service.mfa.verifyEmailCode({ challengeId: delivery?.challengeId ?? "", code }, token),
        );
        if (refused.reason === "CODE_REJECTED") failures++;
      }
      service.pass(MINUTE / 2);
    }
    expect(failures).toBe(5);
  });
});

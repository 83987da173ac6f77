import { describe, expect, test } from "vitest";
import { FactorState } from "../../gen/mfa/v1/factor_pb.js";
import { subjectTables } from "../../src/erasure/subject-data.repository.ts";
import { retention } from "../../src/retention.ts";
import { applyRetention } from "../../src/schedule/retention.ts";
import { tables } from "../../src/schema.ts";
import { adminOf } from "../support/actors/administrators.ts";
import { enrollApp, showCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, redeem } from "../support/actors/backend.ts";
import { newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { makePasskey } from "../support/actors/passkey.ts";
import { newPhone, reasonOf, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const ROUNDS = 50;
const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

/** Begins an enrollment, and answers what finishes it. */
type Begin = (service: ServiceUnderTest, userId: string, token: string) => Promise<() => Promise<unknown>>;

const kinds: [kind: string, table: string, begin: Begin][] = [
  [
    "an app",
    "totp_devices",
    async ({ mfa, clock }, _, token) => {
      const { provisioning } = await mfa.startTotpEnrollment({}, token);
      const code = await showCode(provisioning?.secret ?? "", clock.now);
      return () => mfa.finishTotpEnrollment({ code }, token);
    },
  ],
  [
    "an address",
    "otp_addresses",
    async (service, userId, token) => {
      const { delivery } = await service.mfa.startEmailEnrollment({ email: `${userId}@example.com` }, token);
      const code = await newestCode(service, userId);
      return () => service.mfa.finishEmailEnrollment({ challengeId: delivery?.challengeId ?? "", code }, token);
    },
  ],
  [
    "a passkey",
    "webauthn_credentials",
    async ({ mfa }, _, token) => {
      const { ceremonyId, options } = await mfa.startWebAuthnRegistration({}, token);
      const response = makePasskey().create(options);
      return () => mfa.finishWebAuthnRegistration({ ceremonyId, response }, token);
    },
  ],
  [
    "a phone",
    "push_devices",
    async (service, _, token) => {
      const { pairingToken } = await service.mfa.startPushDeviceEnrollment({}, token);
      const phone = newPhone(service);
      return () => phone.pair(pairingToken);
    },
  ],
];

/** How who comes too late is refused; a pairing code is a credential. */
const late = ["NOT_FOUND", "ENROLLMENT_EXPIRED", "CHALLENGE_EXPIRED", "CODE_REJECTED", "INVALID_CREDENTIAL"];

/** The sweep of an instance whose clock is days ahead, so that to it everything that waits has ended. */
const sweep = ({ store, clock }: ServiceUnderTest) =>
  applyRetention(store, retention.expired_rows, new Date(clock.now.getTime() + 2 * DAY));

/** Both at once, each of them first every other time. */
const race = async (round: number, call: () => Promise<unknown>, sweeping: () => Promise<unknown>): Promise<string> => {
  const first = round % 2 === 0 ? reasonOf(call()) : undefined;
  const swept = sweeping();
  const outcome = await (first ?? reasonOf(call()));
  await swept;
  return outcome;
};

describe.each(engines)("a sweep of what has expired beside who is just in time on $name", (engine) => {
  test.each(kinds)("%s is enrolled whole or not at all, and stays", { timeout: 60_000 }, async (_, name, begin) => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await switchPushOn(service);
    const [table] = subjectTables(tables).filter((one) => one.name === name);
    if (!table) throw new Error("no such table");
    for (let round = 0; round < ROUNDS; round++) {
      const userId = `user-${round}`;
      const finish = await begin(service, userId, await service.user(userId));
      const outcome = await race(round, finish, () => sweep(service));
      await sweep(service);
      const admin = await adminOf(service);
      const { factors } = await service.admin.listUserFactors({ userId }, admin);
      const rows = await service.store.read((tx) => table.list(tx, { tenantId: "dev", userId }, 9));
      const whole = outcome === "OK" ? [FactorState.ACTIVE] : [];
      expect([factors.map(({ state }) => state), rows.length], `round ${round}: ${outcome}`).toEqual([
        whole,
        whole.length,
      ]);
      expect(["OK", ...late]).toContain(outcome);
      service.pass(10 * MINUTE);
    }
  });

  test("a proven challenge is redeemed, or gone and nothing stated of it", { timeout: 60_000 }, async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const shop = () => backendOf(service);
    let redeemed = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const challengeId = await createFor(service, "ann", await shop());
      await answer(service, await shop(), { userId: "ann", challengeId, code: await app.code() });
      const token = await shop();
      const outcome = await race(
        round,
        () => redeem(service, token, { challengeId }),
        () => sweep(service),
      );
      expect(["OK", "NOT_FOUND", "CHALLENGE_EXPIRED"]).toContain(outcome);
      if (outcome === "OK") redeemed += 1;
      expect(await reasonOf(redeem(service, token, { challengeId }))).toBe("NOT_FOUND");
      service.pass(MINUTE);
    }
    const events = await eventsOf(service.store);
    expect(events.filter((event) => event.startsWith("CHALLENGE_REDEEMED")).length).toBe(redeemed);
    expect(events.filter((event) => event.startsWith("CHALLENGE_ABANDONED"))).toEqual([]);
  });
});

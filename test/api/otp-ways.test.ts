// What holds of codes by text message holds of codes by e-mail, RPC by RPC.
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test, vi } from "vitest";
import { FactorState } from "../../gen/mfa/v1/factor_pb.js";
import { DeliveryState, type OtpDelivery, OtpPurpose } from "../../gen/mfa/v1/otp_pb.js";
import { failure } from "../support/actors/grpc-client.ts";
import {
  enrollEmail,
  enrollPhone,
  inboxOf,
  newestCode,
  otherThan,
  phone,
  switchOn,
} from "../support/actors/one-time-codes.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;

interface Proof {
  readonly challengeId: string;
  readonly code: string;
}

/** The RPCs of a way, and its addresses. */
const ways = {
  sms: ({ mfa }: ServiceUnderTest) => ({
    address: phone,
    start: (n: number, token: string) => mfa.startSmsEnrollment({ phoneNumber: phone(n) }, token),
    finish: (proof: Proof, token: string) => mfa.finishSmsEnrollment(proof, token),
    send: (challengeId: string, token: string) => mfa.sendSmsCode({ challengeId }, token),
    verify: (proof: Proof, token: string) => mfa.verifySmsCode(proof, token),
    disable: (token: string) => mfa.disableSms({ confirmLastFactor: true }, token),
    enable: (token: string) => mfa.enableSms({}, token),
  }),
  email: ({ mfa }: ServiceUnderTest) => ({
    address: (n: number) => `ann${n}@example.com`,
    start: (n: number, token: string) => mfa.startEmailEnrollment({ email: `ann${n}@example.com` }, token),
    finish: (proof: Proof, token: string) => mfa.finishEmailEnrollment(proof, token),
    send: (challengeId: string, token: string) => mfa.sendEmailCode({ challengeId }, token),
    verify: (proof: Proof, token: string) => mfa.verifyEmailCode(proof, token),
    disable: (token: string) => mfa.disableEmail({}, token),
    enable: (token: string) => mfa.enableEmail({}, token),
  }),
};

describe.each(engines)("both ways of sending codes on $name", (engine) => {
  const begin = async (name: keyof typeof ways) => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const way = ways[name](service);
    const ann = () => service.user("ann", "aal2");
    const proofOf = async ({ delivery }: { delivery?: OtpDelivery | undefined }, user = "ann") => ({
      challengeId: delivery?.challengeId ?? "",
      code: await newestCode(service, user),
    });
    const enroll = async (n: number) => {
      const { address } = await way.finish(await proofOf(await way.start(n, await ann())), await ann());
      service.pass(MINUTE);
      return address;
    };
    return { service, way, ann, proofOf, enroll };
  };
  const all = Object.keys(ways) as (keyof typeof ways)[];

  test.each(all)("wrong codes at an enrollment by %s lock, and while they do the right one is LOCKED", async (name) => {
    const { way, ann, proofOf, service } = await begin(name);
    const proof = await proofOf(await way.start(1, await ann()));
    const wrong = { ...proof, code: otherThan(proof.code) };
    for (let n = 0; n < 5; n++) {
      expect((await failure(way.finish(wrong, await ann()))).reason).toBe("CODE_REJECTED");
    }
    expect((await failure(way.finish(proof, await ann()))).reason).toBe("LOCKED");
    service.pass(10 * MINUTE);
    expect((await failure(way.finish(proof, await ann()))).reason).toBe("ENROLLMENT_EXPIRED");
  });

  test.each(all)("a code by %s is good once and for five minutes, and five wrong ones lock", async (name) => {
    const { service, way, ann, proofOf, enroll } = await begin(name);
    await enroll(1);
    const first = await proofOf(await way.send("", await ann()));
    await way.verify(first, await ann());
    expect((await failure(way.verify(first, await ann()))).reason).toBe("CODE_REJECTED");
    service.pass(10 * MINUTE);
    const late = await proofOf(await way.send("", await ann()));
    service.pass(5 * MINUTE - 1);
    expect((await failure(way.verify({ ...late, code: otherThan(late.code) }, await ann()))).reason).toBe(
      "CODE_REJECTED",
    );
    service.pass(1);
    expect((await failure(way.verify(late, await ann()))).reason).toBe("CODE_REJECTED");
    const locked = await proofOf(await way.send("", await ann()));
    // The spent one, the wrong one and the late one count too.
    for (let n = 0; n < 2; n++) {
      const wrong = { ...locked, code: otherThan(locked.code) };
      expect((await failure(way.verify(wrong, await ann()))).reason).toBe("CODE_REJECTED");
    }
    expect((await failure(way.verify(locked, await ann()))).reason).toBe("LOCKED");
  });

  test.each(all)(
    "a newer code by %s ends the older, at once only after a pause, and failures stay counted",
    async (name) => {
      const { service, way, ann, proofOf, enroll } = await begin(name);
      await enroll(1);
      const older = await proofOf(await way.send("", await ann()));
      for (let n = 0; n < 3; n++) await failure(way.verify({ ...older, code: otherThan(older.code) }, await ann()));
      expect((await failure(way.send(older.challengeId, await ann()))).reason).toBe("RATE_LIMITED");
      service.pass(MINUTE / 2);
      const newer = await proofOf(await way.send(older.challengeId, await ann()));
      expect(newer.challengeId).toBe(older.challengeId);
      if (newer.code !== older.code)
        expect((await failure(way.verify(older, await ann()))).reason).toBe("CODE_REJECTED");
      else await failure(way.verify({ ...newer, code: otherThan(newer.code) }, await ann()));
      await failure(way.verify({ ...newer, code: otherThan(newer.code) }, await ann()));
      expect((await failure(way.verify(newer, await ann()))).reason).toBe("LOCKED");
    },
  );

  test.each(all)("one in force goes on until the next is proved by %s, and both are told", async (name) => {
    const { service, way, ann, proofOf, enroll } = await begin(name);
    const first = await enroll(1);
    expect(first?.state).toBe(FactorState.ACTIVE);
    const started = await way.start(2, await ann());
    expect(started.address).toMatchObject({ state: FactorState.PENDING });
    expect([started.address?.verifyTime, started.address?.lastUseTime]).toEqual([undefined, undefined]);
    expect(started.address?.factorId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    expect((await failure(way.start(3, await ann()))).reason).toBe("RATE_LIMITED");
    const proof = await proofOf(started);
    const targets = async (isNotice: boolean) =>
      (await inboxOf(service, "ann")).filter(({ code }) => (code === "") === isNotice).map(({ target }) => target);
    service.pass(MINUTE);
    await way.send("", await ann());
    expect((await targets(false))[0]).toBe(way.address(1));
    await way.finish(proof, await ann());
    const told = await vi.waitUntil(
      async () => {
        const found = await targets(true);
        return found.length >= 3 && found.toSorted();
      },
      { timeout: 20_000 },
    );
    expect(told).toEqual([way.address(1), way.address(1), way.address(2)].toSorted());
  });

  test.each(all)("an address that somebody else has is enrolled by %s as any other is", async (name) => {
    const { service, way, enroll } = await begin(name);
    await enroll(1);
    const bob = await service.user("bob", "aal2");
    const taken = await way.start(1, bob);
    service.pass(MINUTE);
    const free = await way.start(2, bob);
    expect(Object.keys(taken.address ?? {})).toEqual(Object.keys(free.address ?? {}));
    expect(taken.address).toMatchObject({ state: FactorState.PENDING, type: free.address?.type });
    expect(taken.delivery).toMatchObject({
      deliveryState: DeliveryState.QUEUED,
      codeLength: free.delivery?.codeLength,
    });
    expect(await newestCode(service, "bob")).toMatch(/^\d{6}$/);
  });

  test.each(all)("a disabled address gets no code by %s until it is enabled again", async (name) => {
    const { service, way, ann, proofOf, enroll } = await begin(name);
    const address = await enroll(1);
    expect((await way.disable(await ann())).address).toMatchObject({
      state: FactorState.DISABLED,
      factorId: address?.factorId,
      maskedTarget: address?.maskedTarget,
    });
    expect((await failure(way.send("", await ann()))).reason).toBe("NOT_ENROLLED");
    expect((await way.enable(await ann())).address?.state).toBe(FactorState.ACTIVE);
    const sent = await way.send("", await ann());
    expect(sent.delivery?.deliveryState).toBe(DeliveryState.QUEUED);
    const proof = await proofOf(sent);
    expect(Object.values(sent.delivery ?? {})).not.toContain(proof.code);
    await way.verify(proof, await ann());
    const { address: used } = await way.disable(await ann());
    expect(used?.lastUseTime && timestampDate(used.lastUseTime)).toEqual(service.clock.now);
  });

  test("no code is sent for an enrollment but by what starts one", async () => {
    const { service, ann } = await begin("sms");
    const purpose = OtpPurpose.ENROLL;
    for (const send of [service.mfa.sendSmsCode, service.mfa.sendEmailCode]) {
      expect((await failure(send({ purpose }, await ann()))).reason).toBe("INVALID_FIELD");
    }
  });

  test("the status shows numbers and addresses masked, after a password alone", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollEmail(service, "ann");
    await enrollPhone(service, "ann");
    const { status } = await service.mfa.getMfaStatus({}, await service.user("ann"));
    expect(status?.factors.flatMap(({ maskedTargets }) => maskedTargets).toSorted()).toEqual([
      "+49 *** ** 78",
      "a***@example.com",
    ]);
    const text = JSON.stringify(status, (_, value) => (typeof value === "bigint" ? String(value) : value));
    for (const full of [phone(), phone().slice(3), "ann@example.com"]) expect(text).not.toContain(full);
  });
});

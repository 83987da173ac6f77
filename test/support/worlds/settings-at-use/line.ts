import { expect } from "vitest";
import type { FactorType } from "../../../../gen/mfa/v1/factor_pb.js";
import { failure } from "../../actors/grpc-client.ts";
import { type Answer, begunLogIn, offeredTo } from "../../actors/log-in.ts";
import type { ServiceUnderTest } from "../service.ts";

/** One setting: what was made before it changed, and what becomes of that when it is used afterwards. */
export type Line = (service: ServiceUnderTest) => Promise<void>;

/** Lines by setting, named as in the contract: "trusted_devices.enabled". */
export type Lines = Readonly<Record<string, Line>>;

/**
 * A kind that a setting forbids is forbidden in every step of a log-in: not offered, not taken as an answer to a
 * challenge of before, and not redeemed where it was proved before.
 */
export async function expectForbidden(
  service: ServiceUnderTest,
  type: FactorType,
  {
    answer,
    forbid,
    reason = "FACTOR_NOT_ALLOWED",
  }: {
    readonly answer: (begun: Awaited<ReturnType<typeof begunLogIn>>) => Promise<Answer> | Answer;
    readonly forbid: () => Promise<void>;
    /** Why an answer is refused. */
    readonly reason?: string;
  },
): Promise<void> {
  const proven = await begunLogIn(service, type);
  await proven.prove(await answer(proven));
  service.pass(60_000);
  const open = await begunLogIn(service, type);
  const prepared = await answer(open);
  await forbid();
  const { factors } = await offeredTo(service);
  expect(factors.filter((factor) => factor.type === type)).toEqual([]);
  expect((await failure(open.prove(prepared))).reason).toBe(reason);
  expect((await failure(proven.redeem())).reason).toBe("FACTOR_NOT_ALLOWED");
}

/** What a setting says of new instances only leaves those of before in use. */
export async function expectInUse(
  service: ServiceUnderTest,
  type: FactorType,
  answer: (begun: Awaited<ReturnType<typeof begunLogIn>>) => Promise<Answer> | Answer,
): Promise<void> {
  const { factors } = await offeredTo(service);
  expect(factors.map((factor) => factor.type)).toContain(type);
  const begun = await begunLogIn(service, type);
  await begun.prove(await answer(begun));
  expect((await begun.redeem()).assertion?.acr).toBe("aal2");
}

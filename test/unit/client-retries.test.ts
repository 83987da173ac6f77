// What the client sends again, and what never.
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { retrying } from "../../packages/client/src/retries.ts";

const refusal = (code: Code, reason: string, retryAfterMs?: number) => {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: "mfa.v1" } };
  const ms = retryAfterMs ?? 0;
  const delay = { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1e6 };
  const retry = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay: delay }) };
  return new ConnectError("no", code, undefined, [info, ...(retryAfterMs === undefined ? [] : [retry])]);
};

/** A peer that refuses a number of times; returns how often it was called and what came of it. */
async function attempts(rpc: "getUserMfaStatus" | "verifyUserTotpCode", error: ConnectError, times: number) {
  let calls = 0;
  const answer = () => {
    if (calls++ < times) throw error;
    return {};
  };
  const transport = createRouterTransport(
    ({ service }) => void service(InternalMfaService, { getUserMfaStatus: answer, verifyUserTotpCode: answer }),
    { transport: { interceptors: [retrying(2)] } },
  );
  const outcome = await createClient(InternalMfaService, transport)
    [rpc]({ userId: "ann" })
    .then(
      () => "answered",
      () => "refused",
    );
  return [calls, outcome];
}

test.each([
  [
    "what reads, while the service cannot be reached",
    "getUserMfaStatus",
    refusal(Code.Unavailable, "STORE_UNAVAILABLE"),
    2,
    [3, "answered"],
  ],
  [
    "no oftener than it was told",
    "getUserMfaStatus",
    refusal(Code.Unavailable, "STORE_UNAVAILABLE"),
    9,
    [3, "refused"],
  ],
  [
    "a proof that was refused before it was looked at",
    "verifyUserTotpCode",
    refusal(Code.ResourceExhausted, "OVERLOADED", 20),
    1,
    [2, "answered"],
  ],
  [
    "never a proof that may have been judged",
    "verifyUserTotpCode",
    refusal(Code.Unavailable, "STORE_UNAVAILABLE"),
    1,
    [1, "refused"],
  ],
  [
    "never what is refused for good",
    "getUserMfaStatus",
    refusal(Code.ResourceExhausted, "LOCKED", 20),
    1,
    [1, "refused"],
  ],
  [
    "nothing after a pause that is longer than a page waits",
    "getUserMfaStatus",
    refusal(Code.ResourceExhausted, "OVERLOADED", 6000),
    1,
    [1, "refused"],
  ],
] as const)("sends again: %s", async (_, rpc, error, times, expected) => {
  expect(await attempts(rpc, error, times)).toEqual(expected);
});

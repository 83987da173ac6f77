import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ProofSchema } from "../../../gen/mfa/v1/challenge_pb.js";
import type { FactorType } from "../../../gen/mfa/v1/factor_pb.js";
import type { ServiceUnderTest } from "../worlds/service.ts";
import { backendOf, logIn, redeem } from "./backend.ts";

const client = { ip: "203.0.113.7" };

/** An answer to a challenge. */
export type Answer = NonNullable<MessageInitShape<typeof ProofSchema>["kind"]>;

/** What is offered to ann when she logs in now. */
export async function offeredTo(service: ServiceUnderTest, userId = "ann", more: object = {}) {
  return service.internal.evaluateMfa({ userId, client, ...more }, await backendOf(service));
}

/** A log-in of ann's by challenge: created, then proved, then redeemed, so that a test can change something in between. */
export async function begunLogIn(service: ServiceUnderTest, prepareFactorType: FactorType, terms: object = {}) {
  const shop = await backendOf(service);
  const request = { ...logIn("ann", terms), prepareFactorType };
  const { challenge, preparation } = await service.internal.createUserChallenge(request, shop);
  const challengeId = challenge?.challengeId ?? "";
  const options = preparation?.kind.case === "webauthnOptions" ? preparation.kind.value : undefined;
  return {
    challengeId,
    options,
    number: preparation?.kind.case === "push" ? preparation.kind.value.number : "",
    prove: async (kind: Answer) =>
      service.internal.verifyUserChallenge(
        { userId: "ann", challengeId, proof: { kind }, client },
        await backendOf(service),
      ),
    redeem: async (more: object = {}) => redeem(service, await backendOf(service), { challengeId, ...more }),
  };
}

import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceUnderTest } from "../worlds/service.ts";
import { answer, backendOf, createFor, redeem } from "./backend.ts";

const client = { ip: "203.0.113.7" };

/** A backend that issues user tokens; the one that logs users in. */
export const issuerOf = (service: ServiceUnderTest, subject = "shop", tenant = "dev") =>
  service.mint({ audience: "mfa-internal", subject, scope: "mfa.tokens", tenant });

/** The assertion of a log-in of ann's with her app, for the backend. */
export async function assertionOf(
  service: ServiceUnderTest,
  app: { readonly code: () => Promise<string> },
  request: { sessionId?: string; nonce?: string } = {},
): Promise<string> {
  const shop = await backendOf(service);
  const challengeId = await createFor(service, "ann", shop, request);
  await answer(service, shop, { userId: "ann", challengeId, code: await app.code() });
  const { assertion } = await redeem(service, shop, { challengeId, ...request });
  service.pass(30_000);
  return assertion?.token ?? "";
}

/** A user token, after the first factor just now unless an assertion says more. */
export async function tokenFor(
  service: ServiceUnderTest,
  userId: string,
  assertion = "",
  more: { sessionId?: string; lifetime?: { seconds: bigint }; firstFactorTime?: Date } = {},
): Promise<string> {
  const { firstFactorTime = service.clock.now, ...rest } = more;
  const request = { userId, assertion, client, firstFactorTime: timestampFromDate(firstFactorTime), ...rest };
  return (await service.internal.issueUserToken(request, await issuerOf(service))).token;
}

import type { DescMethod } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Acr, Principal } from "../../gen/mfa/v1/options_pb.js";
import { rpcPolicyOf } from "../../src/rpc/access/policy.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { rawCaller } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { everyRow } from "../support/engine/rows.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

/** What a stolen password opens: the RPCs that complete MFA, and the status that tells which factors to ask for. */
const OPEN = [
  "GetMfaStatus",
  "VerifyTotpCode",
  "ResyncTotpDevice",
  "StartWebAuthnAuthentication",
  "FinishWebAuthnAuthentication",
  "VerifyBackupCode",
  "SendSmsCode",
  "VerifySmsCode",
  "SendEmailCode",
  "VerifyEmailCode",
  "CreatePushChallenge",
  "GetPushChallenge",
  "CreateChallenge",
  "GetChallenge",
  "VerifyChallenge",
  "ResendChallenge",
  "CancelChallenge",
  "WatchChallenge",
  "StepUp",
  "CheckDeviceTrust",
  "GetVapidPublicKey",
];

const users = (MfaService.methods as readonly DescMethod[]).filter((method) =>
  rpcPolicyOf(method).principals.has(Principal.USER),
);
/** What is kept; of what is worked on in the background, events and messages, how much. */
async function kept(service: ServiceUnderTest) {
  const { events = [], outbox_messages: messages = [], ...rest } = await everyRow(service.store, ["event_streams"]);
  return { ...rest, events: events.length, messages: messages.length };
}

const sensitive = users.filter((method) => rpcPolicyOf(method).acr !== Acr.AAL1);

describe("a token after the password alone", () => {
  test("opens what completes MFA, and no other RPC has been opened to it", () => {
    const open = users.filter((method) => !sensitive.includes(method)).map(({ name }) => name);
    expect(open.filter((name) => !OPEN.includes(name))).toEqual([]);
  });

  test.each(engines)("of a user with a factor is refused everything sensitive, on $name", async (engine) => {
    const service = await serviceForTest(engine);
    await enrollApp(service, "ann");
    const call = rawCaller(service.port);
    const token = await service.user("ann");
    const before = await kept(service);
    expect(sensitive.length).toBeGreaterThan(40);
    for (const { name, parent } of sensitive) {
      const refused = await call(`/${parent.typeName}/${name}`, Buffer.alloc(0), `Bearer ${token}`);
      expect(refused, name).toMatchObject({
        code: status.UNAUTHENTICATED,
        reason: "INSUFFICIENT_USER_AUTHENTICATION",
        metadata: { acr_values: "aal2" },
      });
    }
    expect(await kept(service)).toEqual(before);
  });
});

import { randomUUID } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { ChallengePurpose } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../../src/core/call.ts";
import { Refusal } from "../../src/core/refusal.ts";
import { newKeys, parseKeys } from "../../src/crypto/key-format.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { StoreUnavailable } from "../../src/db/store.ts";
import { idempotencyKeys } from "../../src/idempotency/keys.table.ts";
import { keepsReply } from "../../src/idempotency/replies.ts";
import { callerKey } from "../../src/rpc/serve/call.ts";
import { toConnectError } from "../../src/rpc/serve/errors.ts";
import { serve } from "../../src/rpc/serve/service.ts";
import { userRepository } from "../../src/users/users.repository.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { backendOf, logIn } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { inboxOf, switchOn } from "../support/actors/one-time-codes.ts";
import { switchPushOn } from "../support/actors/push-phones.ts";
import { engines, openForTest } from "../support/engine/engines.ts";
import { bytesOf } from "../support/engine/residue.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const ID = "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11";
const HOUR = 3_600_000;

type Work = (call: Call) => Promise<{ entry: { entryId: string; label: string } } | Refusal>;

/** A service with one creation whose reply holds no secret; what it does is the test's. */
async function service(engine: (typeof engines)[number]) {
  const opened = await openForTest(engine);
  const keyring = await openKeyring(parseKeys(newKeys()), opened.store);
  const clock = { now: new Date("2026-03-01T12:00:00Z") };
  const state = { runs: 0, work: undefined as Work | undefined };
  const caller = { subject: "root", tenantId: "dev" };
  const create = async ({ label }: { label: string }, call: Call) => {
    if (state.work) return state.work(call);
    return call.unit(async (tx) => {
      await userRepository(tx).bumpEpoch({ tenantId: "dev", userId: "counter" }, call.now, { keepsTokens: true });
      state.runs++;
      return { entry: { entryId: `entry ${state.runs}`, label } };
    });
  };
  const serving = {
    store: opened.store,
    keyring,
    clock: () => clock.now,
    hasFactor: async () => false,
    lockProfileOf: async () => "standard" as const,
    maxWorkMs: 30_000,
    onLimit: () => {},
    guess: () => () => {},
    tellRefused: async () => {},
  };
  const handlers = { createIpWhitelistEntry: create } as never;
  const transport = createRouterTransport(
    (router) => router.service(AdminMfaService, serve(AdminMfaService, handlers, serving)),
    {
      router: {
        interceptors: [
          (next) => async (request) => {
            const rights = { principal: Principal.ADMIN, acr: "aal2", authTime: clock.now, sessionId: "" } as const;
            request.contextValues.set(callerKey, { ...rights, scopes: new Set<string>(), ...caller });
            try {
              return await next(request);
            } catch (thrown) {
              throw toConnectError(thrown, () => {});
            }
          },
        ],
      },
    },
  );
  const client = createClient(AdminMfaService, transport);
  const ask = (label: string, requestId = ID) =>
    client.createIpWhitelistEntry({ label, requestId }).then(
      ({ entry }) => `${entry?.entryId} ${entry?.label}`,
      (error) => /\[(\w+)\]/.exec(String(error))?.[1] ?? "",
    );
  return { ...opened, ask, state, clock, caller };
}

describe.each(engines)("request ids on $name", (engine) => {
  test("a repeat is answered by the reply to the first, and nothing is done again", async () => {
    const app = await service(engine);
    expect(await app.ask("office")).toBe("entry 1 office");
    expect(await app.ask("office")).toBe("entry 1 office");
    expect(app.state.runs).toBe(1);
    expect(await app.ask("office", ID.replace("c11", "c12"))).toBe("entry 2 office");
    expect(await app.ask("office", "")).toBe("entry 3 office");
    expect(await app.ask("office", "")).toBe("entry 4 office");
  });

  test("of 50 at once one does it, and whoever is answered has its reply", async () => {
    const app = await service(engine);
    const answers = await Promise.all(Array.from({ length: 50 }, () => app.ask("office")));
    // Who asks while the first is about to keep its reply is told to try again.
    expect([...new Set(answers)].filter((answer) => answer !== "aborted")).toEqual(["entry 1 office"]);
    expect(app.state.runs).toBe(1);
    expect(await app.ask("office")).toBe("entry 1 office");
  });

  test("the same id on another request, or of another caller, is no repeat", async () => {
    const app = await service(engine);
    await app.ask("office");
    expect(await app.ask("home")).toBe("already_exists");
    app.caller.subject = "other";
    expect(await app.ask("home")).toBe("entry 2 home");
    Object.assign(app.caller, { subject: "root", tenantId: "other" });
    expect(await app.ask("home")).toBe("entry 3 home");
  });

  test("after a day the id is free, and the older reply is not shown for the newer request", async () => {
    const app = await service(engine);
    await app.ask("office");
    app.clock.now = new Date(app.clock.now.getTime() + 24 * HOUR - 1);
    expect(await app.ask("office")).toBe("entry 1 office");
    app.clock.now = new Date(app.clock.now.getTime() + 1);
    expect(await app.ask("home")).toBe("entry 2 home");
    expect(await app.ask("home")).toBe("entry 2 home");
  });

  test.each([
    ["in its only unit", (call: Call) => call.unit(async () => new Refusal("LIMIT_REACHED"))],
    ["by throwing", (call: Call) => call.unit(() => Promise.reject(new Refusal("LIMIT_REACHED")))],
    [
      "after a unit that held",
      async (call: Call) => {
        await call.unit(async () => undefined);
        return new Refusal("LIMIT_REACHED");
      },
    ],
    [
      "by throwing in a later unit",
      async (call: Call) => {
        await call.unit(async () => undefined);
        return call.unit(() => Promise.reject(new Refusal("LIMIT_REACHED")));
      },
    ],
    [
      "by throwing outside of units",
      async (call: Call) => {
        await call.unit(async () => undefined);
        throw new Refusal("LIMIT_REACHED");
      },
    ],
  ])("a request refused %s leaves its id free", async (_, work) => {
    const app = await service(engine);
    app.state.work = work as Work;
    expect(await app.ask("office")).toBe("failed_precondition");
    app.state.work = undefined;
    expect(await app.ask("office")).toBe("entry 1 office");
  });

  test("what only reads takes no id, so that a failure behind it leaves the id free", async () => {
    const app = await service(engine);
    app.state.work = async (call) => {
      await call.read(async () => undefined);
      return call.unit(() => Promise.reject(new Error("the store is gone")));
    };
    expect(await app.ask("office")).toBe("internal");
    app.state.work = undefined;
    expect(await app.ask("office")).toBe("entry 1 office");
  });

  test("each RPC that takes an id refuses a repeat of what it refused by the same word", async () => {
    const app = await serviceForTest(engine);
    await switchOn(app);
    await switchPushOn(app);
    const [ann, shop] = [await app.user("ann", "aal2"), await backendOf(app)];
    const id = "01900000-0000-7000-8000-000000000000";
    const { mfa, internal } = app;
    const nobody = { ...logIn("ann"), decisionId: id };
    const prepared = { ...logIn("ann"), prepareFactorType: FactorType.SMS, factorId: id };
    const asked = { terms: { purpose: ChallengePurpose.STEP_UP, audience: "shop" } };
    const refusals: Record<string, (requestId: string) => Promise<unknown>> = {
      NOT_ENROLLED: (requestId) => mfa.generateBackupCodes({ requestId }, ann),
      "NOT_ENROLLED ": (requestId) => mfa.createChallenge({ ...asked, requestId }, ann),
      NOT_FOUND: (requestId) => internal.createUserChallenge({ ...nobody, requestId }, shop),
      "NOT_ENROLLED  ": (requestId) => mfa.sendSmsCode({ requestId }, ann),
      "NOT_FOUND ": (requestId) => mfa.sendEmailCode({ challengeId: "A".repeat(22), requestId }, ann),
      "NOT_FOUND  ": (requestId) => mfa.replaceTotpDevice({ deviceId: id, requestId }, ann),
    };
    for (const [reason, ask] of Object.entries(refusals)) {
      const requestId = randomUUID();
      expect((await failure(ask(requestId))).reason).toBe(reason.trim());
      expect((await failure(ask(requestId))).reason).toBe(reason.trim());
    }
    await enrollApp(app, "ann", "aal2");
    const requestId = randomUUID();
    const refused = () => internal.createUserChallenge({ ...prepared, requestId }, shop);
    expect((await failure(refused())).reason).toBe((await failure(refused())).reason);
  });

  test("a reply that was lost in a crash is never made up: first try again, then that it happened", async () => {
    const app = await service(engine);
    app.state.work = async (call) => {
      await call.unit(async () => undefined);
      throw new StoreUnavailable("the process ends here");
    };
    expect(await app.ask("office")).toBe("unavailable");
    app.state.work = undefined;
    expect(await app.ask("office")).toBe("aborted");
    app.clock.now = new Date(app.clock.now.getTime() + 60_000);
    expect(await app.ask("office")).toBe("already_exists");
    expect(app.state.runs).toBe(0);
  });

  test("a kept reply that was moved to another caller's request is not shown to them", async () => {
    const app = await service(engine);
    await app.ask("office");
    app.caller.subject = "other";
    expect(await app.ask("office")).toBe("entry 2 office");
    const of = (subject: string) => `(SELECT sealed_reply FROM request_ids WHERE subject = '${subject}')`;
    await app.execute(`UPDATE request_ids SET sealed_reply = ${of("root")} WHERE subject = 'other'`);
    expect(await app.ask("office")).toBe("data_loss");
  });

  test("kept replies are sealed, for their place, and go with an erased row", async () => {
    const app = await service(engine);
    await app.ask("the office in Springfield");
    const kept = await bytesOf(app);
    expect(kept.includes(ID)).toBe(true);
    expect(kept.includes("Springfield")).toBe(false);
    await app.execute(`UPDATE request_ids SET subject = 'other'`);
    app.caller.subject = "other";
    expect(await app.ask("the office in Springfield")).toBe("already_exists");
    await app.execute("DELETE FROM request_ids");
    expect(await app.ask("home")).toBe("entry 2 home");
  });
});

describe.each(engines)("request ids of real calls on $name", (engine) => {
  test("a code that is asked for twice under one id is sent once, and both calls hear of the same challenge", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    const token = await service.user("ann");
    const request = { email: "ann@example.com", requestId: ID };
    const first = await service.mfa.startEmailEnrollment(request, token);
    const again = await service.mfa.startEmailEnrollment(request, token);
    expect(again).toEqual(first);
    expect(await inboxOf(service, "ann")).toHaveLength(1);
    const other = await failure(service.mfa.startEmailEnrollment({ ...request, email: "eve@example.com" }, token));
    expect(other.reason).toBe("REQUEST_REPEATED");
    const kept = await rowsIn(service.store, idempotencyKeys);
    expect(kept).toMatchObject([{ userId: "ann", sealedReply: expect.any(Buffer) }]);
  });
});

test("replies are kept of the RPCs that the contract says it of, and of no other", () => {
  const methods = [MfaService, AdminMfaService, InternalMfaService].flatMap(({ methods }): DescMethod[] => methods);
  const named = methods.filter(({ input }) => input.field.requestId);
  const secret = named.filter((method) => !keepsReply(method)).map(({ name }) => name);
  const kept = methods.filter(keepsReply).map(({ name }) => name);
  expect(secret.sort()).toEqual([
    ...[
      "CreateChallenge",
      "CreatePrompt",
      "CreatePushChallenge",
      "CreateServiceKey",
      "CreateUserChallenge",
      "CreateWebhookEndpoint",
    ],
    ...["GenerateBackupCodes", "IssueTemporaryPass", "ReplaceTotpDevice", "StartPushDeviceEnrollment"],
    ...["StartTotpEnrollment", "StartWebAuthnRegistration"],
  ]);
  expect(kept.sort()).toEqual([
    ...["CreateEnforcementRule", "CreateIpWhitelistEntry", "ImportFactors", "SendEmailCode", "SendSmsCode"],
    ...["StartEmailEnrollment", "StartSmsEnrollment", "SyncDevice"],
  ]);
});

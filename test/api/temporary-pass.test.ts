import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorState, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Call } from "../../src/core/call.ts";
import { Refusal } from "../../src/core/refusal.ts";
import { readKeyFile } from "../../src/crypto/key-file.ts";
import { openKeyring } from "../../src/crypto/keyring.ts";
import { createTemporaryPasses } from "../../src/factors/temporary-pass/temporary-pass.ts";
import { prove } from "../../src/protection/proof.ts";
import { backendOf, logIn } from "../support/actors/backend.ts";
import { enrollCodes, wrongSecret } from "../support/actors/backup-codes.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { engines } from "../support/engine/engines.ts";
import { cheapPool } from "../support/engine/kdf.ts";
import { bytesOf, encodingsOf } from "../support/engine/residue.ts";
import { changesOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const MINUTE = 60_000;
const reason = "lost phone, ticket 4711";
const admin = (service: ServiceUnderTest, scope = "mfa.reset", subject = "root") =>
  service.mint({ audience: "mfa-admin", subject, acr: "aal2", scope });

const seconds = (n: number) => ({ seconds: BigInt(n), nanos: 0 });
const at = (time: Date) => seconds(time.getTime() / 1000);

/** Proves a pass as a challenge does: the service's own rules, keys and store. */
async function prover(service: ServiceUnderTest) {
  const keyring = await openKeyring(await readKeyFile(`${service.dataDir}/keys.json`), service.store);
  const kdf = cheapPool();
  const passes = createTemporaryPasses({ keyring, kdf, settingsOf: () => Promise.reject(new Error("not asked")) });
  return async (userId: string, code: string, hideUnenrolled = true) => {
    const owner = { tenantId: "dev", userId };
    const caller = { ...owner, principal: Principal.USER, subject: userId, acr: "aal1", authTime: undefined } as const;
    const call: Call = {
      caller: { ...caller, scopes: new Set<string>(), sessionId: "" },
      client: { ip: "", trusted: false, userAgent: "", application: "" },
      guess: () => () => {},
      now: service.clock.now,
      rpc: "mfa.v1.MfaService/VerifyChallenge",
      callId: "",
      sign: keyring.mac,
      lockProfile: async () => "standard",
      unit: (work) => service.store.write(work),
      read: (work) => service.store.read(work),
      confirmAccess: async () => {},
      signal: new AbortController().signal,
      clock: () => service.clock.now,
    };
    const proof = await prove(call, owner, passes.proofOf(call, owner, { code, hideUnenrolled }));
    return proof instanceof Refusal ? proof.reason : "OK";
  };
}

describe.each(engines)("temporary passes on $name", (engine) => {
  test("an administrator issues a pass, shown once, that proves once and is seen in the user's status", async () => {
    const service = await serviceForTest(engine);
    const present = await prover(service);
    const { pass, code } = await service.admin.issueTemporaryPass({ userId: "ann", reason }, await admin(service));
    expect(code).toMatch(/^[0-9A-HJKMNP-TV-Z]{3}(-[0-9A-HJKMNP-TV-Z]{4}){4}$/);
    expect(pass).toMatchObject({ userId: "ann", issuerId: "root", startTime: at(service.clock.now) });
    expect(pass?.expireTime).toMatchObject(at(new Date(service.clock.now.getTime() + 60 * MINUTE)));
    const token = await service.user("ann");
    const out = (await service.mfa.getMfaStatus({}, token)).status;
    expect(out).toMatchObject({ enrolled: false, temporaryPass: true });
    const { factors } = await service.mfa.listFactors({}, token);
    expect(factors).toMatchObject([
      { factorId: pass?.passId, type: FactorType.TEMPORARY_PASS, state: FactorState.ACTIVE },
    ]);

    expect(await present("ann", code.toLowerCase().replaceAll("-", " "))).toBe("OK");
    expect(await present("ann", code)).toBe("CODE_REJECTED");
    expect((await service.mfa.getMfaStatus({}, token)).status?.temporaryPass).toBe(false);
  });

  test("it is good within its time only: ten minutes to eight hours, from a day that may lie ahead", async () => {
    const service = await serviceForTest(engine);
    const present = await prover(service);
    const issue = async (more: Record<string, unknown>) =>
      service.admin.issueTemporaryPass({ userId: "ann", reason, ...more }, await admin(service));
    for (const lifetime of [seconds(599), seconds(28_801)]) {
      expect(await failure(issue({ lifetime }))).toMatchObject({ reason: "INVALID_FIELD" });
    }
    const start = new Date(service.clock.now.getTime() + 24 * 60 * MINUTE);
    for (const startTime of [at(new Date(start.getTime() + 30 * 24 * 60 * MINUTE)), seconds(253_402_300_799)]) {
      expect(await failure(issue({ startTime }))).toMatchObject({ code: status.INVALID_ARGUMENT });
    }
    const ahead = await issue({ startTime: at(start), lifetime: seconds(600) });
    expect(await present("ann", ahead.code)).toBe("CODE_REJECTED");
    service.pass(24 * 60 * MINUTE);
    expect(await present("ann", ahead.code)).toBe("OK");

    const late = await issue({ lifetime: seconds(600), startTime: seconds(0) });
    expect(late.pass?.startTime).toMatchObject(at(service.clock.now));
    service.pass(10 * MINUTE);
    expect(await present("ann", late.code)).toBe("CODE_REJECTED");
    expect(await present("ann", late.code, false)).toBe("NOT_ENROLLED");
  });

  test("a later pass ends the earlier, and revoking ends the last", async () => {
    const service = await serviceForTest(engine);
    const present = await prover(service);
    const helpdesk = await admin(service);
    const first = await service.admin.issueTemporaryPass({ userId: "ann", reason }, helpdesk);
    const second = await service.admin.issueTemporaryPass({ userId: "ann", reason }, helpdesk);
    expect(await present("ann", first.code)).toBe("CODE_REJECTED");
    expect(await service.admin.revokeTemporaryPass({ userId: "ann", reason }, helpdesk)).toMatchObject({
      revoked: true,
    });
    expect(await present("ann", second.code)).toBe("CODE_REJECTED");
    const again = await service.admin.revokeTemporaryPass({ userId: "ann", reason }, helpdesk);
    expect(again.revoked).toBe(false);
  });

  test("a wrong pass, another user's and a backup code of theirs are refused alike and counted", async () => {
    const service = await serviceForTest(engine);
    const present = await prover(service);
    const { codes } = await enrollCodes(service, "ann");
    const helpdesk = await admin(service);
    const { code } = await service.admin.issueTemporaryPass({ userId: "ann", reason }, helpdesk);
    const { code: bobs } = await service.admin.issueTemporaryPass({ userId: "bob", reason }, helpdesk);
    for (const wrong of [wrongSecret(code), bobs, codes[0] ?? "", "nothing", wrongSecret(code)]) {
      expect(await present("ann", wrong)).toBe("CODE_REJECTED");
    }
    expect(await present("ann", code)).toBe("LOCKED");
    const asCode = await failure(service.mfa.verifyBackupCode({ code: bobs }, await service.user("bob")));
    expect(asCode.reason).toBe("NOT_ENROLLED");
  });

  test("of 50 at once one is accepted", async () => {
    const service = await serviceForTest(engine);
    const present = await prover(service);
    const { code } = await service.admin.issueTemporaryPass({ userId: "ann", reason }, await admin(service));
    const answers = await Promise.all(Array.from({ length: 50 }, () => present("ann", code)));
    expect(answers.filter((answer) => answer === "OK")).toHaveLength(1);
  });

  test("administrators issue none to themselves, none where the tenant has them off, and none without the scope", async () => {
    const service = await serviceForTest(engine);
    const own = await failure(
      service.admin.issueTemporaryPass({ userId: "ann", reason }, await admin(service, "mfa.reset", "ann")),
    );
    expect(own).toMatchObject({ code: status.PERMISSION_DENIED, reason: "SELF_ACTION" });
    const bare = await failure(service.admin.issueTemporaryPass({ userId: "ann" }, await admin(service)));
    expect(bare.reason).toBe("INVALID_FIELD");
    const reader = await admin(service, "mfa.read");
    const refused = await failure(service.admin.issueTemporaryPass({ userId: "ann", reason }, reader));
    expect(refused.reason).toBe("ACCESS_DENIED");
    await service.admin.updateTenantSettings(
      { administration: { denyTemporaryPasses: true } },
      await admin(service, "mfa.settings.write"),
    );
    const off = await failure(service.admin.issueTemporaryPass({ userId: "ann", reason }, await admin(service)));
    expect(off).toMatchObject({ code: status.FAILED_PRECONDITION, reason: "POLICY_FORBIDS" });
  });

  test("it is written down with who, why and until when, and never with the pass", async () => {
    const service = await serviceForTest(engine);
    const present = await prover(service);
    const helpdesk = await admin(service);
    const requestId = "0190a6c1-7c1e-7c55-9d1a-2f6f0e8b1c11";
    const { code, pass } = await service.admin.issueTemporaryPass({ userId: "ann", reason, requestId }, helpdesk);
    const repeated = await failure(service.admin.issueTemporaryPass({ userId: "ann", reason, requestId }, helpdesk));
    expect(repeated).toMatchObject({ code: status.ALREADY_EXISTS, reason: "REQUEST_REPEATED" });
    expect(await present("ann", code)).toBe("OK");
    expect(await changesOf(service.store)).toMatchObject([
      {
        ...{ action: "temporary_pass.issued", actorType: "ADMIN", actorId: "root", reason },
        ...{ targetId: pass?.passId, after: { expireTime: "2026-03-01T13:00:00.000Z" } },
      },
    ]);
    const kept = Buffer.concat([await bytesOf(service), Buffer.from(JSON.stringify(service.log))]);
    expect(kept.includes(pass?.passId ?? "none")).toBe(true);
    for (const secret of [code, code.slice(4), code.replaceAll("-", "").slice(3)]) {
      for (const encoded of encodingsOf(secret)) expect(kept.includes(encoded)).toBe(false);
    }
  });

  test("a pass lets a user in who has lost everything, through a challenge, unless the tenant has turned them off", async () => {
    const service = await serviceForTest(engine);
    const backend = await backendOf(service);
    const { code, pass } = await service.admin.issueTemporaryPass({ userId: "ann", reason }, await admin(service));
    const { challenge } = await service.internal.createUserChallenge(logIn("ann"), backend);
    expect(challenge?.factors).toMatchObject([{ factorId: pass?.passId, type: FactorType.TEMPORARY_PASS }]);
    const challengeId = challenge?.challengeId ?? "";
    const answerWith = (value: string) =>
      service.internal.verifyUserChallenge(
        {
          ...{ userId: "ann", challengeId, client: { ip: "203.0.113.7" } },
          proof: { kind: { case: "temporaryPass", value } },
        },
        backend,
      );
    expect((await failure(answerWith(wrongSecret(code)))).reason).toBe("CODE_REJECTED");
    await service.admin.updateTenantSettings(
      { administration: { denyTemporaryPasses: true } },
      await admin(service, "mfa.settings.write"),
    );
    expect((await failure(answerWith(code))).reason).toBe("FACTOR_NOT_ALLOWED");
    await service.admin.updateTenantSettings(
      { administration: {}, version: 1n },
      await admin(service, "mfa.settings.write"),
    );
    const proven = await answerWith(code);
    expect(proven.challenge).toMatchObject({
      state: ChallengeState.PROVEN,
      provenFactorType: FactorType.TEMPORARY_PASS,
    });
    const next = (await service.internal.createUserChallenge(logIn("ann"), backend)).challenge?.challengeId ?? "";
    const again = service.internal.verifyUserChallenge(
      {
        ...{ userId: "ann", challengeId: next, client: { ip: "203.0.113.7" } },
        proof: { kind: { case: "temporaryPass", value: code } },
      },
      backend,
    );
    expect((await failure(again)).reason).toBe("CODE_REJECTED");
  });

  test("nobody revokes a pass of their own", async () => {
    const service = await serviceForTest(engine);
    await service.admin.issueTemporaryPass({ userId: "root", reason }, await admin(service, "mfa.reset", "eve"));
    const own = await failure(service.admin.revokeTemporaryPass({ userId: "root", reason }, await admin(service)));
    expect(own).toMatchObject({ code: status.PERMISSION_DENIED, reason: "SELF_ACTION" });
    const others = await admin(service, "mfa.reset", "eve");
    const { revoked } = await service.admin.revokeTemporaryPass({ userId: "root", reason }, others);
    expect(revoked).toBe(true);
  });

  test("a pass is held until it runs out, and judged from its start on only", async () => {
    const service = await serviceForTest(engine);
    await enrollCodes(service, "ann");
    const start = new Date(service.clock.now.getTime() + 10 * MINUTE);
    const asked = { userId: "ann", reason, startTime: at(start), lifetime: seconds(600) };
    const { code } = await service.admin.issueTemporaryPass(asked, await admin(service));
    const token = await service.user("ann");
    const answer = async () => {
      const proof = { kind: { case: "temporaryPass" as const, value: code } };
      return service.mfa.stepUp({ proof, audience: "shop" }, token);
    };
    expect((await failure(answer())).reason).toBe("NOT_ENROLLED");
    const held = async () => {
      const reader = await admin(service, "mfa.read");
      const { factors } = await service.admin.listUserFactors({ userId: "ann" }, reader);
      return factors.some(({ type }) => type === FactorType.TEMPORARY_PASS);
    };
    expect(await held()).toBe(true);
    service.clock.now = start;
    expect((await answer()).assertion?.acr).toBe("aal2");
    await service.admin.issueTemporaryPass({ userId: "ann", reason, lifetime: seconds(600) }, await admin(service));
    expect(await held()).toBe(true);
    service.pass(10 * MINUTE);
    expect(await held()).toBe(false);
  });
});

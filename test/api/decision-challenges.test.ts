import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { ChallengeState, type VerifyUserChallengeRequestSchema } from "../../gen/mfa/v1/challenge_pb.js";
import { AuthenticationStrength, FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { PushChallengeState } from "../../gen/mfa/v1/push_pb.js";
import { MfaDecision, RiskLevel, RiskSignalType } from "../../gen/mfa/v1/risk_pb.js";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, createFor, logIn, redeem, totp } from "../support/actors/backend.ts";
import { failure, tally } from "../support/actors/grpc-client.ts";
import { enrollPhone, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey, makePasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { locationsFile } from "../support/fakes/locations.ts";
import { anyOf, riskService } from "../support/worlds/risk.ts";
import type { Started } from "../support/worlds/service.ts";

const { LOW } = RiskLevel;
const { ALLOW, CHALLENGE, DENY } = MfaDecision;
const { UNRESTRICTED, PHISHING_RESISTANT, DEVICE_BOUND } = AuthenticationStrength;
const { TOTP, SMS, EMAIL, PUSH, BACKUP_CODE, WEBAUTHN } = FactorType;
const { PENDING, PROVEN } = ChallengeState;
const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Safari/605.1";
type Proof = NonNullable<MessageInitShape<typeof VerifyUserChallengeRequestSchema>["proof"]>;
const backupCode = (value: string) => ({ kind: { case: "backupCode" as const, value } });

async function following(engine: EngineUnderTest, started: Started = {}) {
  const service = await riskService(engine, started);
  const app = await enrollApp(service, "ann");
  const { codes } = await service.mfa.generateBackupCodes({}, await service.user("ann", "aal2"));
  const evaluate = async (client: object = {}, more: object = {}) =>
    service.internal.evaluateMfa(
      { userId: "ann", ...more, client: { ip: "203.0.113.7", userAgent: firefox, ...client } },
      await backendOf(service),
    );
  const prepare = async (decisionId: string, prepareFactorType: FactorType, terms: object = {}, userId = "ann") =>
    service.internal.createUserChallenge(
      { ...logIn(userId, terms), decisionId, prepareFactorType },
      await backendOf(service),
    );
  const follow = async (decisionId: string, terms: object = {}, userId = "ann") =>
    (await prepare(decisionId, FactorType.UNSPECIFIED, terms, userId)).challenge;
  const prove = async (challengeId: string, proof: Proof) => {
    const request = { userId: "ann", challengeId, proof, client: { ip: "203.0.113.7" } };
    return (await service.internal.verifyUserChallenge(request, await backendOf(service))).challenge;
  };
  const redeemed = async (challengeId: string) => redeem(service, await backendOf(service), { challengeId });
  return { ...service, app, codes, evaluate, prepare, follow, prove, redeemed };
}

const heavy = (reasons: readonly { signal: RiskSignalType; weight: number }[]) =>
  reasons.filter(({ weight }) => weight !== 0).map(({ signal }) => RiskSignalType[signal]);

describe.each(engines)("a challenge that follows from a decision on $name", (engine) => {
  test("makes the client known once it is redeemed, and not before", async () => {
    const service = await following(engine);
    const log = async (client: object) => {
      const { decisionId, decision } = await service.evaluate(client);
      expect(decision).toBe(CHALLENGE);
      const { challengeId = "" } = (await service.follow(decisionId)) ?? {};
      return { challengeId, decisionId };
    };
    const first = await log({});
    await service.prove(first.challengeId, totp(await service.app.code()));
    await service.redeemed(first.challengeId);
    service.pass(60_000);
    const elsewhere = { ip: "198.51.100.7", userAgent: safari };
    const second = await log(elsewhere);
    await service.prove(second.challengeId, totp(await service.app.code()));
    expect(heavy((await service.evaluate(elsewhere)).reasons)).toEqual(["NEW_DEVICE", "NEW_NETWORK"]);
    await service.redeemed(second.challengeId);
    expect(heavy((await service.evaluate(elsewhere)).reasons)).toEqual([]);
    expect(heavy((await service.evaluate({})).reasons)).toEqual([]);
  });

  test("asks for no less than the decision, whatever its terms say", async () => {
    const service = await following(engine);
    await service.change({ level: LOW, requirement: anyOf([TOTP]) });
    const { decisionId } = await service.evaluate();
    const challenge = await service.follow(decisionId);
    expect(challenge?.factors.map(({ type }) => type)).toEqual([TOTP]);
    const [code = ""] = service.codes;
    const other = await failure(service.prove(challenge?.challengeId ?? "", backupCode(code)));
    expect([other.reason, other.metadata.allowed]).toEqual(["FACTOR_NOT_ALLOWED", "TOTP"]);
    const none = await failure(service.follow(decisionId, { allowedFactorTypes: [BACKUP_CODE] }));
    expect([none.reason, none.metadata.allowed]).toEqual(["FACTOR_NOT_ALLOWED", "TOTP"]);
    // What the application asked for counts too, though the terms ask for nothing.
    await service.reset(LOW);
    await switchOn(service);
    await enrollPhone(service, "eve");
    await enrollApp(service, "eve", "aal2");
    const strong = await service.evaluate({}, { strength: UNRESTRICTED, userId: "eve" });
    expect((await service.follow(strong.decisionId, {}, "eve"))?.factors.map(({ type }) => type)).toEqual([TOTP]);
    const weak = await service.evaluate({}, { userId: "eve" });
    expect((await service.follow(weak.decisionId, {}, "eve"))?.factors.map(({ type }) => type)).toEqual([TOTP, SMS]);
  });

  test("is proved by all kinds of a group, one after the other", async () => {
    const service = await following(engine);
    await service.change({ level: LOW, requirement: anyOf([WEBAUTHN], [TOTP, BACKUP_CODE]) });
    const { decisionId, factors } = await service.evaluate();
    expect(factors.map(({ type }) => type)).toEqual([TOTP, BACKUP_CODE]);
    const { challengeId = "" } = (await service.follow(decisionId)) ?? {};
    const half = await service.prove(challengeId, totp(await service.app.code()));
    expect([half?.state, half?.factors.map(({ type }) => type)]).toEqual([PENDING, [BACKUP_CODE]]);
    expect((await failure(service.redeemed(challengeId))).reason).toBe("WRONG_STATE");
    service.pass(30_000);
    // The same kind again is no second kind.
    const code = await service.app.code();
    expect((await failure(service.prove(challengeId, totp(code)))).reason).toBe("FACTOR_NOT_ALLOWED");
    const [spare = ""] = service.codes;
    const whole = await service.prove(challengeId, backupCode(spare));
    expect([whole?.state, whole?.provenFactorType]).toEqual([PROVEN, TOTP]);
    const { assertion, factorType } = await service.redeemed(challengeId);
    expect([assertion?.acr, factorType]).toEqual(["aal2", TOTP]);
    expect(assertion?.amr).toEqual(["otp", "urn:mfa:amr:backup-code", "mfa"]);
    // What was refused was not spent.
    await service.mfa.verifyTotpCode({ code }, await service.user("ann"));
  });

  test("is proved by e-mail where the level names e-mail, also with the strength that the decision tells", async () => {
    const service = await following(engine);
    await switchOn(service);
    const token = await service.user("ann", "aal2");
    const { delivery } = await service.mfa.startEmailEnrollment({ email: "ann@example.com" }, token);
    const first = { challengeId: delivery?.challengeId ?? "", code: await newestCode(service, "ann") };
    await service.mfa.finishEmailEnrollment(first, token);
    service.pass(60_000);
    await service.change({ level: LOW, requirement: anyOf([EMAIL]) });
    const { decision, decisionId, strength } = await service.evaluate();
    expect(decision).toBe(CHALLENGE);
    const { challenge } = await service.prepare(decisionId, EMAIL, { strength });
    const { challengeId = "" } = challenge ?? {};
    const proof = { kind: { case: "emailCode" as const, value: await newestCode(service, "ann") } };
    expect((await service.prove(challengeId, proof))?.state).toBe(PROVEN);
    expect((await service.redeemed(challengeId)).assertion?.acr).toBe("aal1");
    // Terms that no group is worth are refused at once, not after a right code.
    const none = await failure(service.follow(decisionId, { strength: AuthenticationStrength.ANY_FACTOR }));
    expect(none.reason).toBe("FACTOR_NOT_ALLOWED");
  });

  test("takes no synced passkey for one of several proofs of which the key has to be bound to its device", async () => {
    const service = await following(engine);
    const synced = (await enrollPasskey(service, "ann", makePasskey({ synced: true }))).passkey;
    const bound = (await enrollPasskey(service, "ann")).passkey;
    await service.change({ level: LOW, requirement: { ...anyOf([WEBAUTHN, BACKUP_CODE]), strength: DEVICE_BOUND } });
    const { decisionId } = await service.evaluate();
    const { challenge, preparation } = await service.prepare(decisionId, WEBAUTHN);
    const { challengeId = "" } = challenge ?? {};
    const signed = (by: typeof bound, of: typeof preparation) => {
      if (of?.kind.case !== "webauthnOptions") throw new Error("no options");
      return { kind: { case: "webauthn" as const, value: by.get(of.kind.value) } };
    };
    const weak = await failure(service.prove(challengeId, signed(synced, preparation)));
    expect(weak.reason).toBe("FACTOR_NOT_ALLOWED");
    const request = { userId: "ann", challengeId, factorType: WEBAUTHN, client: { ip: "203.0.113.7" } };
    const again = await service.internal.resendUserChallenge(request, await backendOf(service));
    expect((await service.prove(challengeId, signed(bound, again.preparation)))?.state).toBe(PENDING);
    const [code = ""] = service.codes;
    expect((await service.prove(challengeId, backupCode(code)))?.state).toBe(PROVEN);
  });

  test("shows an approval that is one of several proofs as approved while it waits for the others", async () => {
    const service = await following(engine);
    await switchPushOn(service);
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    await service.change({ level: LOW, requirement: anyOf([PUSH, BACKUP_CODE]) });
    const { decisionId } = await service.evaluate();
    const { challenge, preparation } = await service.prepare(decisionId, PUSH);
    const [waiting] = await phone.pending();
    if (!waiting || preparation?.kind.case !== "push") throw new Error("nothing waits");
    await phone.approve(waiting, preparation.kind.value.number);
    const state = async () => {
      const scope = "mfa.read";
      const admin = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
      const { challenges } = await service.admin.listUserPushChallenges({ userId: "ann" }, admin);
      return challenges.map((one) => one.challenge?.state);
    };
    expect(await state()).toEqual([PushChallengeState.APPROVED]);
    const [code = ""] = service.codes;
    await service.prove(challenge?.challengeId ?? "", backupCode(code));
    expect(await state()).toEqual([PushChallengeState.APPROVED]);
  });

  test("is proved once by kinds that arrive at the same moment", async () => {
    const service = await following(engine);
    await service.change({ level: LOW, requirement: anyOf([TOTP, BACKUP_CODE]) });
    const { decisionId } = await service.evaluate();
    const { challengeId = "" } = (await service.follow(decisionId)) ?? {};
    const code = await service.app.code();
    const answers = [totp(code), totp(code), ...service.codes.slice(0, 3).map(backupCode)];
    const states = await Promise.allSettled(answers.map((proof) => service.prove(challengeId, proof)));
    const seen = states.flatMap((one) => (one.status === "fulfilled" ? [one.value?.state] : []));
    expect(seen.sort()).toEqual([PENDING, PROVEN].sort());
    const many = Array.from({ length: 5 }, () => service.redeemed(challengeId));
    expect(await tally(many)).toEqual({ OK: 1, CHALLENGE_EXPIRED: 4 });
  });

  test("is refused for a decision that is not about the user or no log-in, too old, or a denial", async () => {
    const service = await following(engine);
    const { decisionId } = await service.evaluate();
    const unknown = "01900000-0000-7000-8000-000000000000";
    expect((await failure(service.follow(unknown))).reason).toBe("NOT_FOUND");
    expect((await failure(service.follow(decisionId, {}, "bob"))).reason).toBe("NOT_FOUND");
    const trial = (await service.judge({})).decision?.decisionId ?? "";
    expect((await failure(service.follow(trial))).reason).toBe("NOT_FOUND");
    service.pass(10 * 60_000 - 1);
    await service.follow(decisionId);
    service.pass(1);
    expect((await failure(service.follow(decisionId))).reason).toBe("CHALLENGE_EXPIRED");
    await service.change({ level: LOW, requirement: { block: true } });
    const denied = await service.evaluate();
    expect(denied.decision).toBe(DENY);
    const refused = await failure(service.follow(denied.decisionId));
    expect([refused.reason, refused.metadata.policy]).toEqual(["POLICY_FORBIDS", "risk"]);
  });

  test("is not redeemed once policy has tightened beyond what was proved", async () => {
    const service = await following(engine);
    const { decisionId } = await service.evaluate();
    const { challengeId = "" } = (await service.follow(decisionId)) ?? {};
    await service.prove(challengeId, totp(await service.app.code()));
    await service.change({ level: LOW, requirement: { strength: PHISHING_RESISTANT } });
    expect((await failure(service.redeemed(challengeId))).reason).toBe("FACTOR_NOT_ALLOWED");
    await service.change({ level: LOW, version: 1n, requirement: { block: true } });
    expect((await failure(service.redeemed(challengeId))).reason).toBe("FACTOR_NOT_ALLOWED");
    await service.change({ level: LOW, version: 2n, requirement: anyOf([TOTP, BACKUP_CODE]) });
    expect((await failure(service.redeemed(challengeId))).reason).toBe("FACTOR_NOT_ALLOWED");
    await service.reset(LOW);
    await service.redeemed(challengeId);
  });

  test("states in its assertion the version of the policy that its terms came from, whatever came after", async () => {
    const service = await following(engine);
    const pol = async (decisionId: string, meanwhile = async () => {}) => {
      service.pass(30_000);
      const backend = await backendOf(service);
      const challenge = decisionId === "" ? undefined : await service.follow(decisionId);
      const challengeId = challenge?.challengeId ?? (await createFor(service, "ann", backend));
      await service.prove(challengeId, totp(await service.app.code()));
      await meanwhile();
      const { token = "" } = (await service.redeemed(challengeId)).assertion ?? {};
      const { claims } = await service.internal.verifyAssertion({ token, userId: "ann" }, backend);
      return claims?.policyVersion;
    };
    expect((await service.evaluate()).policyVersion).toBe(0n);
    await service.change({ level: LOW, requirement: anyOf([TOTP]) });
    const { decisionId, policyVersion } = await service.evaluate();
    const change = async () => void (await service.change({ level: LOW, version: 1n, requirement: {} }));
    expect([await pol(decisionId, change), policyVersion]).toEqual([1n, 1n]);
    expect((await service.evaluate()).policyVersion).toBe(2n);
    expect(await pol("")).toBe(0n);
  });

  test("needs none, and then only its terms count", async () => {
    const service = await following(engine);
    await service.change({ level: LOW, requirement: anyOf([TOTP, BACKUP_CODE]) });
    const backend = await backendOf(service);
    const challengeId = await createFor(service, "ann", backend);
    const { challenge } = await answer(service, backend, {
      userId: "ann",
      challengeId,
      code: await service.app.code(),
    });
    expect(challenge?.state).toBe(PROVEN);
  });
});

describe.each(engines)("places on $name", (engine) => {
  test("tell new countries and impossible travel, with a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "mfa-places-"));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const path = join(folder, "city.mmdb");
    await writeFile(
      path,
      locationsFile([
        { cidr: "203.0.113.0/24", country: "DE", point: [52.52, 13.4] },
        { cidr: "198.51.100.0/24", country: "US", point: [40.7, -74] },
        { cidr: "192.0.2.0/24", country: "DE", point: [50.1, 8.7] },
      ]),
    );
    const service = await following(engine, { risk: { locationsFile: path } });
    const bob = (ip: string) => service.evaluate({ ip }, { userId: "bob" });
    const first = await bob("203.0.113.7");
    expect([first.decision, heavy(first.reasons)]).toEqual([ALLOW, []]);
    service.pass(3600_000);
    // 420 km in an hour are a train.
    expect(heavy((await bob("192.0.2.7")).reasons)).toEqual(["NEW_NETWORK"]);
    service.pass(3600_000);
    const far = await bob("198.51.100.7");
    expect(heavy(far.reasons)).toEqual(["NEW_NETWORK", "NEW_COUNTRY", "IMPOSSIBLE_TRAVEL"]);
    expect(far.reasons.find(({ signal }) => signal === RiskSignalType.NEW_COUNTRY)?.value).toBe("country US");
    expect(far.level).toBe(RiskLevel.HIGH);
    // It was let in all the same, as bob has no factor and no rule names him: the place is known now.
    service.pass(3600_000);
    expect(heavy((await bob("198.51.100.7")).reasons)).toEqual([]);
  });
});

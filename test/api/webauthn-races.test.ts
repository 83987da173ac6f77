import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { webauthnCeremonies } from "../../src/factors/webauthn/webauthn.table.ts";
import { backendOf, logIn } from "../support/actors/backend.ts";
import { tally } from "../support/actors/grpc-client.ts";
import { enrollPasskey, makePasskey } from "../support/actors/passkey.ts";
import { engines } from "../support/engine/engines.ts";
import { rounds, times } from "../support/engine/races.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { serviceForTest } from "../support/worlds/service.ts";

const client = { ip: "203.0.113.7" };

describe.each(engines)("WebAuthn races on $name", { repeats: rounds - 1 }, (engine) => {
  test("of 50 concurrent finishes of one ceremony one wins, and one credential exists", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
    const answers = [makePasskey(), makePasskey()].map((passkey) => passkey.create(options));
    const finish = (n: number) =>
      service.mfa.finishWebAuthnRegistration({ ceremonyId, response: answers[n % 2] ?? {} }, token);
    expect(await tally(times(50, finish))).toEqual({ OK: 1, CHALLENGE_EXPIRED: 49 });
    const { credentials } = await service.mfa.listWebAuthnCredentials({}, token);
    expect(credentials).toHaveLength(1);
  });

  test("of 100 parallel uses of one assertion one is good, and none of the others counts as a failure", async () => {
    const service = await serviceForTest(engine);
    const { passkey, aal1 } = await enrollPasskey(service, "ann");
    const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, aal1);
    const response = passkey.get(options);
    const finish = () => service.mfa.finishWebAuthnAuthentication({ ceremonyId, response }, aal1);
    expect(await tally(times(100, finish))).toEqual({ OK: 1, CHALLENGE_EXPIRED: 99 });
    const next = await service.mfa.startWebAuthnAuthentication({}, aal1);
    const again = { ceremonyId: next.ceremonyId, response: passkey.get(next.options) };
    await expect(service.mfa.finishWebAuthnAuthentication(again, aal1)).resolves.toBeDefined();
  });

  test("of 50 concurrent registrations of one authenticator by as many users one wins", async () => {
    const service = await serviceForTest(engine);
    const id = Buffer.alloc(32, 7);
    const register = async (n: number) => {
      const token = await service.user(`user-${n}`);
      const { ceremonyId, options } = await service.mfa.startWebAuthnRegistration({}, token);
      return service.mfa.finishWebAuthnRegistration(
        { ceremonyId, response: makePasskey({ id }).create(options) },
        token,
      );
    };
    expect(await tally(times(50, register))).toEqual({ OK: 1, DUPLICATE: 49 });
  });

  test("of 20 concurrent first enrollments at the cap as many win as are allowed, and all see one handle", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const begun = await Promise.all(times(20, () => service.mfa.startWebAuthnRegistration({}, token)));
    const handles = new Set(begun.map(({ options }) => (options as { user: { id: string } } | undefined)?.user.id));
    expect(handles.size).toBe(1);
    const finish = ({ ceremonyId, options }: (typeof begun)[number]) =>
      service.mfa.finishWebAuthnRegistration({ ceremonyId, response: makePasskey().create(options) }, token);
    expect(await tally(begun.map(finish))).toEqual({ OK: 10, LIMIT_REACHED: 10 });
  });

  test("of 20 answers with one counter value to as many ceremonies one is good", async () => {
    const service = await serviceForTest(engine);
    const { passkey, aal1 } = await enrollPasskey(service, "ann");
    const answer = async () => {
      const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, aal1);
      return { ceremonyId, response: passkey.get(options, { counter: 7 }) };
    };
    const answers = await Promise.all(times(20, answer));
    const counts = await tally(answers.map((one) => service.mfa.finishWebAuthnAuthentication(one, aal1)));
    const { CLONE_SUSPECTED = 0, LOCKED = 0 } = counts;
    expect(counts.OK).toBe(1);
    expect(CLONE_SUSPECTED + LOCKED).toBe(19);
  });

  test("of 60 ceremonies that a user begins at once twenty stand, and of those of challenges no other one ends", async () => {
    const service = await serviceForTest(engine);
    const { passkey, aal1 } = await enrollPasskey(service, "ann");
    const begun = await Promise.all(times(60, () => service.mfa.startWebAuthnAuthentication({}, aal1)));
    await service.mfa.startWebAuthnRegistration({}, await service.user("ann", "aal2"));
    const isStanding = ({ spendTime }: { spendTime: Date | null }) => spendTime === null;
    expect((await rowsIn(service.store, webauthnCeremonies)).filter(isStanding)).toHaveLength(20);
    const finish = ({ ceremonyId, options }: (typeof begun)[number]) =>
      service.mfa.finishWebAuthnAuthentication({ ceremonyId, response: passkey.get(options) }, aal1);
    const counts = await tally(begun.map(finish));
    expect(counts.CHALLENGE_EXPIRED).toBe(41);

    const shop = await backendOf(service);
    const webauthn = { prepareFactorType: FactorType.WEBAUTHN };
    const create = () => service.internal.createUserChallenge({ ...logIn("ann"), ...webauthn }, shop);
    const { challenge, preparation } = await create();
    for (let n = 0; n < 25; n++) {
      const { challengeId = "" } = (await create()).challenge ?? {};
      await service.internal.cancelUserChallenge({ userId: "ann", challengeId }, shop);
    }
    const options = preparation?.kind.case === "webauthnOptions" ? preparation.kind.value : undefined;
    const proof = { kind: { case: "webauthn" as const, value: passkey.get(options, { counter: 1000 }) } };
    const challengeId = challenge?.challengeId ?? "";
    const proven = await service.internal.verifyUserChallenge({ userId: "ann", challengeId, proof, client }, shop);
    expect(proven.challenge?.state).toBe(ChallengeState.PROVEN);
    expect((await rowsIn(service.store, webauthnCeremonies)).length).toBeLessThan(41);
  });
});

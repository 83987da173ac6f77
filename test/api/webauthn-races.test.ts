import { describe, expect, test } from "vitest";
import { tally } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { enrolPasskey, makePasskey } from "../support/passkey.ts";
import { rounds, times } from "../support/races.ts";
import { serviceForTest } from "../support/service.ts";

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
    const { passkey, aal1 } = await enrolPasskey(service, "ann");
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

  test("of 50 concurrent first enrolments at the cap as many win as are allowed, and all see one handle", async () => {
    const service = await serviceForTest(engine);
    const token = await service.user("ann", "aal2");
    const begun = await Promise.all(times(50, () => service.mfa.startWebAuthnRegistration({}, token)));
    const handles = new Set(begun.map(({ options }) => (options as { user: { id: string } } | undefined)?.user.id));
    expect(handles.size).toBe(1);
    const finish = ({ ceremonyId, options }: (typeof begun)[number]) =>
      service.mfa.finishWebAuthnRegistration({ ceremonyId, response: makePasskey().create(options) }, token);
    expect(await tally(begun.map(finish))).toEqual({ OK: 10, LIMIT_REACHED: 40 });
  });

  test("of 100 answers with one counter value to as many ceremonies one is good", async () => {
    const service = await serviceForTest(engine);
    const { passkey, aal1 } = await enrolPasskey(service, "ann");
    const answer = async () => {
      const { ceremonyId, options } = await service.mfa.startWebAuthnAuthentication({}, aal1);
      return { ceremonyId, response: passkey.get(options, { counter: 7 }) };
    };
    const answers = await Promise.all(times(100, answer));
    const counts = await tally(answers.map((one) => service.mfa.finishWebAuthnAuthentication(one, aal1)));
    const { SIGNATURE_REJECTED = 0, LOCKED = 0 } = counts;
    expect(counts.OK).toBe(1);
    expect(SIGNATURE_REJECTED + LOCKED).toBe(99);
  });
});

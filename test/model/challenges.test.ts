import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ChallengeState } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { answer, backendOf, logIn, redeem } from "../support/actors/backend.ts";
import { CallFailed } from "../support/actors/grpc-client.ts";
import { allowTrust } from "../support/actors/trusted-clients.ts";
import { engines } from "../support/engine/engines.ts";
import { isFull } from "../support/engine/races.ts";
import { type Backend, type Code, LogInModel, type Terms } from "../support/models/challenges.ts";
import type { Outcome } from "../support/models/totp.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

/** 500 runs in `npm test`, 10,000 in `npm run faults`; most on the engine that is quicker to run. */
const runs = { sqlite: 400, postgres: 100 };
/** Half as many again with several calls at once. */
const parallelRuns = { sqlite: 150, postgres: 100 };
const factor = isFull ? 20 : 1;

const STEP = 30_000;
const client = { ip: "203.0.113.7" };
const transfer = { type: "transfer.create", parameters: { amount: "10", to: "Bob" } };
const altered = { ...transfer, parameters: { ...transfer.parameters, to: "Eve" } };

const who = fc.nat({ max: 2 });
/** Counted from the newest: most steps are about what was made just before. */
const which = fc.oneof(fc.constant(0), fc.nat({ max: 4 }));
const by = fc.constantFrom<Backend[]>("shop", "shop", "shop", "bank");
const code = fc.constantFrom<Code[]>("right", "right", "right", "spent", "wrong");
const terms = fc.constantFrom<Terms[]>("right", "right", "right", "session", "nonce", "action");

const create = fc.record({
  do: fc.constant("create"),
  ...{ who, by: fc.constantFrom<Backend[]>("shop", "shop", "bank"), acts: fc.boolean() },
  lifetime: fc.constantFrom(30, 300, 600),
});
const verify = fc.record({ do: fc.constant("verify"), who, which, by, code });
const resend = fc.record({ do: fc.constant("resend"), who, which, by });
const cancel = fc.record({ do: fc.constant("cancel"), who, which, by });
const redemption = fc.record({ do: fc.constant("redeem"), who, which, by, terms, trust: fc.boolean() });
const consume = fc.record({ do: fc.constant("consume"), who, which, by, terms });
const check = fc.record({ do: fc.constant("check"), who, which, age: fc.constantFrom(0, 0, 0, 1, 2) });
const change = fc.record({ do: fc.constant("change"), who });
const step = fc.oneof(
  { weight: 24, arbitrary: create },
  { weight: 32, arbitrary: verify },
  { weight: 8, arbitrary: resend },
  { weight: 4, arbitrary: cancel },
  { weight: 32, arbitrary: redemption },
  { weight: 16, arbitrary: consume },
  { weight: 16, arbitrary: check },
  { weight: 4, arbitrary: change },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("flood"), who }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("toggle"), who }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("clear"), who }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("guess"), who, times: fc.integer({ min: 1, max: 5 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant("wait"), seconds: fc.constantFrom(1, 9, 30, 30, 60, 149, 301) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("wait"), seconds: fc.constantFrom(3900, 86_400, 30 * 86_400) }) },
);
/** A step of any kind: each has the fields of its own kind alone. */
interface Step {
  readonly do: string;
  readonly who: number;
  readonly which: number;
  readonly by: Backend;
  readonly acts: boolean;
  readonly lifetime: number;
  readonly code: Code;
  readonly terms: Terms;
  readonly trust: boolean;
  readonly age: number;
  readonly times: number;
  readonly seconds: number;
}
const steps = step as fc.Arbitrary<object> as fc.Arbitrary<Step>;

const outcome = (call: Promise<Outcome>): Promise<Outcome> =>
  call.catch((error: unknown) => {
    if (error instanceof CallFailed) return error.reason;
    throw error;
  });

/** What a step is about, settled before it begins: which of what there is, which secret of it, and the digits. */
interface About {
  readonly at: number;
  readonly nth: number;
  readonly code: string;
}

let users = 0;

/** Three new users, two with an app, each beside their model; what a step does to both must be the same. */
async function world(service: ServiceUnderTest) {
  const now = () => service.clock.now.getTime();
  const person = async (isEnrolled: boolean) => {
    const id = `user-${++users}`;
    const enrolled = isEnrolled ? await enrollApp(service, id) : undefined;
    const model = new LogInModel(enrolled && Math.floor(now() / STEP) - 1);
    return {
      id,
      model,
      app: enrolled,
      challengeIds: [] as string[],
      tokens: [] as string[],
      secrets: [] as string[][],
    };
  };
  type Person = Awaited<ReturnType<typeof person>>;
  const people = [await person(true), await person(true), await person(false)];

  const digits = async ({ app, model }: Person, typed: Code): Promise<string> => {
    if (!app) return "123456";
    if (typed === "wrong") return wrongCode(app);
    return showCode(app.secret, typed === "right" ? service.clock.now : new Date(model.lastStep * STEP));
  };
  const backend = { shop: await backendOf(service), bank: await backendOf(service, "bank") };
  // Its words are for an hour only, and waiting is one of the steps.
  const renew = async () => {
    backend.shop = await backendOf(service);
    backend.bank = await backendOf(service, "bank");
  };

  /** The step as a call to the service, about the `at`-th of what it is about. */
  async function real(it: Step, person: Person, { at, code, nth }: About): Promise<Outcome> {
    const { id: userId } = person;
    const token = backend[it.by];
    const challengeId = person.challengeIds[at] ?? "";
    switch (it.do) {
      case "create": {
        const lifetime = { seconds: BigInt(it.lifetime), nanos: 0 };
        const asked = { sessionId: "s", nonce: "n", lifetime, ...(it.acts && { action: transfer }) };
        const { challenge } = await service.internal.createUserChallenge(logIn(userId, asked), token);
        person.challengeIds.push(challenge?.challengeId ?? "");
        return "OK";
      }
      case "verify":
        await answer(service, token, { userId, challengeId, code });
        return "OK";
      case "resend":
        await service.internal.resendUserChallenge({ userId, challengeId, client, factorType: FactorType.TOTP }, token);
        return "OK";
      case "cancel":
        await service.internal.cancelUserChallenge({ userId, challengeId }, token);
        return "OK";
      case "redeem": {
        const { acts } = person.model.challenges[at] as { acts: boolean };
        const said = it.terms === "action" ? (acts ? altered : transfer) : acts ? transfer : undefined;
        const request = {
          ...{ userId, challengeId, sessionId: it.terms === "session" ? "t" : "s" },
          ...{ nonce: it.terms === "nonce" ? "" : "n", ...(said && { action: said }) },
          ...(it.trust && { trust: { displayName: "", clientId: "" } }),
        };
        const reply = await redeem(service, token, request);
        person.tokens.push(reply.assertion?.token ?? "");
        if (reply.trustToken === "") return "OK";
        person.secrets.push([reply.trustToken]);
        return "OK, trusted";
      }
      case "consume": {
        const { acts } = person.model.assertions[at] as { acts: boolean };
        const said = it.terms === "action" ? (acts ? altered : transfer) : acts ? transfer : undefined;
        const request = {
          ...{ userId, token: person.tokens[at] ?? "", consume: true, sessionId: it.terms === "session" ? "t" : "s" },
          ...{ nonce: it.terms === "nonce" ? "" : "n", ...(said && { action: said }) },
        };
        await service.internal.verifyAssertion(request, token);
        return "OK";
      }
      case "check": {
        const secrets = person.secrets[at] ?? [];
        const trustToken = secrets[nth] ?? "";
        const { deviceTrust } = await service.internal.checkUserDeviceTrust(
          { userId, trustToken, client },
          backend.shop,
        );
        if (deviceTrust?.trustToken) secrets.push(deviceTrust.trustToken);
        if (!deviceTrust?.trusted) return "no";
        return deviceTrust.trustToken ? "yes, next" : "yes";
      }
      case "guess":
        await service.internal.verifyUserTotpCode({ userId, code }, backend.shop);
        return "OK";
      case "change": {
        const revoker = await service.backend("mfa.factors.write");
        await service.internal.revokeUserTrust({ userId, reason: "model" }, revoker);
        return "OK";
      }
      case "toggle": {
        const request = { deviceId: person.app?.deviceId ?? "", confirmLastFactor: true };
        const rpc = person.model.active ? service.mfa.disableTotpDevice : service.mfa.enableTotpDevice;
        await rpc(request, await service.user(userId, "aal2"));
        return "OK";
      }
      default: {
        const scope = "mfa.lockout.write";
        const root = await service.mint({ audience: "mfa-admin", subject: "root", acr: "aal2", scope });
        await service.admin.clearLockout({ userId, reason: "model" }, root);
        return "OK";
      }
    }
  }

  function modelled(it: Step, model: LogInModel, { at, nth }: About): Outcome {
    switch (it.do) {
      case "create":
        return model.create(now(), it);
      case "verify":
        return model.verify(now(), at, it);
      case "resend":
        return model.resend(now(), at, it.by);
      case "cancel":
        return model.cancel(now(), at, it.by);
      case "redeem":
        return model.redeem(now(), at, it);
      case "consume":
        return model.consume(now(), at, it);
      case "check":
        return model.check(now(), at, nth);
      case "guess":
        return model.type(now(), "wrong");
      case "change":
        return model.change(now());
      case "toggle":
        return model.toggle();
      default:
        model.clear();
        return "OK";
    }
  }

  /** Which of what there is the step is about; negative where there is nothing for it. */
  const targetOf = (it: Step, { model, app, secrets }: Person): number => {
    if (["verify", "resend", "cancel", "redeem"].includes(it.do)) return model.challenges.length - 1 - it.which;
    if (it.do === "consume") return model.assertions.length - 1 - it.which;
    if (it.do === "toggle") return app ? 0 : -1;
    if (it.do !== "check") return 0;
    const at = secrets.length - 1 - it.which;
    return (secrets[at]?.length ?? 0) > it.age ? at : -1;
  };
  const prepared = async (it: Step, person: Person): Promise<About> => {
    const at = targetOf(it, person);
    const nth = it.do === "check" ? (person.secrets[at]?.length ?? 0) - 1 - it.age : 0;
    return { at, nth, code: await digits(person, it.do === "guess" ? "wrong" : it.code) };
  };

  async function both(it: Step, person: Person): Promise<void> {
    const about = await prepared(it, person);
    if (about.at < 0) return;
    const seen = await outcome(real(it, person, about));
    expect([it, seen]).toEqual([it, modelled(it, person.model, about)]);
  }

  return {
    people,

    /** Steps at once: what each was about, and what came of it. */
    async atOnce(todo: readonly Step[], person: Person) {
      const about = await Promise.all(todo.map((it) => prepared(it, person)));
      const possible = todo.flatMap((it, n) => ((about[n]?.at ?? -1) < 0 ? [] : { it, ...(about[n] as About) }));
      return Promise.all(possible.map(async (one) => ({ ...one, seen: await outcome(real(one.it, person, one)) })));
    },
    /** Whether the model answers steps like this, one after the other. */
    answers: (done: readonly (About & { it: Step; seen: Outcome })[], model: LogInModel) =>
      done.every(({ it, seen, ...about }) => modelled(it, model, about) === seen),

    async run(it: Step): Promise<void> {
      if (it.do === "wait") {
        service.pass(it.seconds * 1000);
        return renew();
      }
      const person = people[it.who] as Person;
      if (it.do === "flood") {
        const one = { ...it, do: "create", by: "shop", acts: false, lifetime: 600 } as const;
        for (let n = 0; n <= 20; n++) await both(one, person);
        return;
      }
      for (let n = 0; n < (it.do === "guess" ? it.times : 1); n++) await both(it, person);
    },

    /** What the service shows of a user. */
    async shown({ id: userId, model, challengeIds }: Person) {
      const states: string[] = [];
      for (const [n, challengeId] of challengeIds.entries()) {
        const token = backend[model.challenges[n]?.by ?? "shop"];
        const state = service.internal
          .getUserChallenge({ userId, challengeId }, token)
          .then(({ challenge }) => ChallengeState[challenge?.state ?? 0] as string);
        states.push(await outcome(state));
      }
      const { devices } = await service.mfa.listTrustedDevices({}, await service.user(userId, "aal2"));
      return { states, trusted: devices.length };
    },

    expected: (model: LogInModel) => ({
      states: model.challenges.map((one) => model.stateOf(one, now()).replace("GONE", "NOT_FOUND")),
      trusted: model.trustedAt(now()),
    }),
  };
}

const mine = { who: fc.constant(0), by: fc.constant<Backend>("shop") };
const right = fc.constant<Terms>("right");
const ripe = fc.record({ do: fc.constant("redeem"), ...mine, which, terms: right, trust: fc.constant(true) });
/** Something to race about. */
const before = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        ...{ do: fc.constant("create"), ...mine },
        acts: fc.boolean(),
        lifetime: fc.constant(600),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant("verify"), ...mine, which, code: fc.constant<Code>("right") }),
    },
    { weight: 8, arbitrary: ripe },
    { weight: 12, arbitrary: fc.record({ do: fc.constant("wait"), seconds: fc.constant(30) }) },
  ) as fc.Arbitrary<object> as fc.Arbitrary<Step>,
  { minLength: 5, maxLength: 12 },
);
/** Too few guesses for a lock: an attempt is counted before it is judged, so one that is right may lock others out. */
const race = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant("verify"), ...mine, which, code: fc.constantFrom<Code[]>("right", "right", "wrong") }),
    fc.record({ do: fc.constant("resend"), ...mine, which }),
    fc.record({ do: fc.constant("cancel"), ...mine, which }),
    ripe,
    fc.record({ do: fc.constant("consume"), ...mine, which, terms: right }),
    fc.record({ do: fc.constant("check"), ...mine, which, age: fc.constant(0) }),
    fc.record({ do: fc.constant("change"), ...mine }),
  ) as fc.Arbitrary<object> as fc.Arbitrary<Step>,
  { minLength: 2, maxLength: 4 },
);

/** Each way to put things in order. */
function* orders<T>(things: readonly T[]): Generator<T[]> {
  if (things.length === 0) yield [];
  for (const [n, first] of things.entries()) {
    for (const rest of orders(things.toSpliced(n, 1))) yield [first, ...rest];
  }
}

describe.each(engines)("challenges, assertions and trusted clients on $name", (engine) => {
  const start = async () => {
    const service = await serviceForTest(engine);
    await allowTrust(service, { maxDevices: 3 });
    return service;
  };

  test("answer as the model does, whatever three users and two backends do", { timeout: 3_600_000 }, async () => {
    const service = await start();
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 8, maxLength: 24 }), async (todo) => {
        const { run, people, shown, expected } = await world(service);
        for (const it of todo) await run(it);
        for (const person of people) expect(await shown(person)).toEqual(expected(person.model));
      }),
      { numRuns: runs[engine.name] * factor, endOnFailure: false },
    );
  });

  test("answer calls at once as the model does in one order or another", { timeout: 3_600_000 }, async () => {
    const service = await start();
    await fc.assert(
      fc.asyncProperty(before, race, async (first, together) => {
        const { run, people, atOnce, answers, shown, expected } = await world(service);
        const [person] = people as [(typeof people)[number]];
        for (const it of first) await run(it);
        const done = await atOnce(together, person);
        const after = await shown(person);
        const isInOrder = [...orders(done)].some((order) => {
          const model = person.model.clone();
          return answers(order, model) && isDeepStrictEqual(expected(model), after);
        });
        expect(isInOrder ? [] : [done.map(({ it, at, seen }) => [it, at, seen]), after]).toEqual([]);
      }),
      { numRuns: parallelRuns[engine.name] * factor, endOnFailure: false },
    );
  });
});

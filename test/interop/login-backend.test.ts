import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { RiskLevel } from "../../gen/mfa/v1/risk_pb.js";
import { appOf, enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { enrollEmail, enrollPhone, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { anyOf, policyAdmin } from "../support/worlds/risk.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";
import { root, run, start } from "./process.ts";
import { describeContract, findPython } from "./python.ts";

/** What runs the log-in: a command and its arguments before the user. */
type Backend = readonly [command: string, ...args: string[]];

const folder = "examples/login-backend";
/** Undefined where there is no Python for it; the log says so then. */
const languages: readonly { language: string; on: typeof engines; backendOf: () => Promise<Backend | undefined> }[] = [
  {
    language: "JavaScript",
    on: engines,
    backendOf: async () => [process.execPath, `${folder}/main.mjs`],
  },
  {
    language: "Python",
    on: engines.slice(0, 1), // what a client is written in and what the service stores on have nothing to do with each other
    backendOf: async () => {
      const python = await findPython("grpc, google.protobuf, cryptography");
      return python === undefined ? undefined : [python, `${folder}/main.py`, await describeContract()];
    },
  },
];

/** Enrolled for long, and now it is now: the backends know no clock but the machine's. */
const enrolledBefore = { now: new Date(Date.now() - 3600_000) };

/** Ann, with a factor of every kind, and Mia, who has an address for e-mail, which is none. */
async function everyFactor(service: ServiceUnderTest) {
  await switchOn(service);
  await switchPushOn(service);
  const app = await enrollApp(service, "ann");
  const { passkey } = await enrollPasskey(service, "ann");
  const phone = await pairPhone(service, "ann", { acr: "aal2" });
  await enrollPhone(service, "ann");
  await enrollEmail(service, "mia");
  const { codes } = await service.mfa.generateBackupCodes({}, await aal2(service));
  service.clock.now = new Date();
  return { app, passkey, phone, codes };
}
const aal2 = (service: ServiceUnderTest) => service.user("ann", "aal2");

/** A log-in of the backend's, whose page is answered line by line. */
async function page(service: ServiceUnderTest, [command, ...args]: Backend, user: string, env: NodeJS.ProcessEnv = {}) {
  const scope = "mfa.challenge mfa.verify mfa.status.read";
  const running = start(command, [...args, user], {
    SERVICE_TOKEN: await service.backend(scope),
    MFA_ADDRESS: `127.0.0.1:${service.port}`,
    MFA_KEYS: `http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`,
    ...env,
  });
  onTestFinished(() => void running.child.kill());
  return {
    saw: running.saw,
    type: (line: string) => void running.child.stdin?.write(`${line}\n`),
    /** The session that it made, or why there is none. */
    async ended() {
      const { stdout, stderr, code } = await running.outcome;
      const [, session] = /^session: (.*)$/m.exec(stdout) ?? [];
      return session ? JSON.parse(session) : { no: /^no: (.*)$/m.exec(stdout)?.[1] ?? stderr, code };
    },
  };
}

type Page = Awaited<ReturnType<typeof page>>;
type Held = Awaited<ReturnType<typeof everyFactor>>;

/** How ann answers by each kind of factor, and what the session is worth then. */
const factors: readonly {
  kind: string;
  user?: string;
  acr: string;
  amr: readonly string[];
  answer: (at: Page, held: Held, service: ServiceUnderTest) => Promise<void>;
}[] = [
  {
    kind: "TOTP",
    acr: "aal2",
    amr: ["pwd", "otp", "mfa"],
    answer: async (at, { app }) => {
      await at.saw(/The code\?/);
      at.type(await wrongCode(app));
      await at.saw(/no: CODE_REJECTED\nThe code\?/);
      at.type(await app.code());
    },
  },
  {
    kind: "WEBAUTHN",
    acr: "aal2",
    amr: ["pwd", "hwk", "user", "urn:mfa:amr:webauthn", "urn:mfa:amr:user-verified", "mfa"],
    answer: async (at, { passkey }) => {
      const [, options = ""] = await at.saw(/Sign this: (.*)\n/);
      at.type(JSON.stringify(passkey.get(JSON.parse(options))));
    },
  },
  {
    kind: "PUSH",
    acr: "aal2",
    amr: ["pwd", "swk", "mca", "mfa"],
    answer: async (at, { phone }) => {
      const [, number = ""] = await at.saw(/type (\d+)\n/);
      const [waiting] = await phone.pending();
      await phone.approve(waiting as NonNullable<typeof waiting>, number);
    },
  },
  {
    kind: "SMS",
    acr: "aal2",
    amr: ["pwd", "sms", "mfa"],
    answer: async (at, _, service) => {
      await at.saw(/The code\?/);
      at.type(await newestCode(service, "ann"));
    },
  },
  {
    // No second factor (NIST SP 800-63B-4 §3.1.3.1): wanted by an application of who needs none, and worth what it is.
    kind: "EMAIL",
    user: "mia",
    acr: "aal1",
    amr: ["pwd", "urn:mfa:amr:email"],
    answer: async (at, _, service) => {
      await at.saw(/The code\?/);
      at.type(await newestCode(service, "mia"));
    },
  },
  {
    kind: "BACKUP_CODE",
    acr: "aal2",
    amr: ["pwd", "urn:mfa:amr:backup-code", "mfa"],
    answer: async (at, { codes }) => {
      await at.saw(/The code\?/);
      at.type(codes[0] ?? "");
    },
  },
];

describe.each(languages)("the log-in of a backend in $language", ({ language, on, backendOf }) => {
  const ready = async () => {
    const backend = await backendOf();
    if (backend) return backend;
    // Not a skip: the absence is what was looked for and found, and the log says what was not tried.
    process.stderr.write(
      `\n*** THE LOG-IN IN ${language.toUpperCase()} WAS NOT RUN: no python3 imports grpc, google.protobuf and cryptography ***\n` +
        "*** On Debian: apt-get install python3-grpcio python3-protobuf python3-cryptography ***\n\n",
    );
    return undefined;
  };

  describe.each(on)("on $name", (engine) => {
    test.each(factors)(
      "ends with a session by $kind that says what it is worth",
      async ({ kind, user = "ann", acr, amr, answer }) => {
        const backend = await ready();
        if (!backend) return;
        const service = await serviceForTest(engine, enrolledBefore);
        const held = await everyFactor(service);
        const at = await page(service, backend, user, { MFA_CONFIRM: "EMAIL" });
        const [offers] = await at.saw(/Choose[\s\S]*Which\?/);
        expect(offers).toContain(kind);
        expect(offers).not.toContain(`${user}@example.com`);
        at.type(kind);
        await answer(at, held, service);
        expect(await at.ended()).toEqual({
          sessionId: expect.stringMatching(/^[\w-]{22}$/),
          ...{ userId: user, acr, amr, restricted: false },
          authTime: Math.floor(service.clock.now.getTime() / 1000),
          mfaEpoch: expect.stringMatching(/^\d+$/),
        });
      },
    );

    test("asks for one factor after the other where the decision asks for several", async () => {
      const backend = await ready();
      if (!backend) return;
      const service = await serviceForTest(engine, enrolledBefore);
      const { app, phone } = await everyFactor(service);
      const both = { level: RiskLevel.LOW, requirement: anyOf([FactorType.PUSH, FactorType.TOTP]) };
      await service.admin.updateRiskPolicy(both, await policyAdmin(service));
      const at = await page(service, backend, "ann");
      await at.saw(/PUSH[\s\S]*Which\?/);
      at.type("PUSH");
      const [, number = ""] = await at.saw(/type (\d+)\n/);
      const [waiting] = await phone.pending();
      await phone.approve(waiting as NonNullable<typeof waiting>, number);
      const [, left] = await at.saw(/Which\?[\s\S]*(Choose[\s\S]*Which\?)/);
      expect(left).toContain("TOTP");
      expect(left).not.toContain("PUSH");
      at.type("TOTP");
      await at.saw(/The code\?/);
      at.type(await app.code());
      const amr = expect.arrayContaining(["pwd", "otp", "swk", "mca", "mfa"]);
      expect(await at.ended()).toMatchObject({ userId: "ann", acr: "aal2", amr });
    });

    test("has a user without a factor enroll one by a ticket, where the application asks for one", async () => {
      const backend = await ready();
      if (!backend) return;
      const service = await serviceForTest(engine, { now: new Date() });
      const at = await page(service, backend, "eve", { MFA_STRENGTH: "ANY_FACTOR" });
      const [, secret = ""] = await at.saw(/secret=([A-Z2-7]+)[\s\S]*The code it shows\?/);
      at.type(await showCode(secret, service.clock.now));
      await at.saw(/Which\?/);
      at.type("TOTP");
      await at.saw(/The code\?/);
      // The code of the enrollment is spent: an app shows the next one soon.
      at.type(await appOf(service, secret)(30_000));
      expect(await at.ended()).toMatchObject({ userId: "eve", acr: "aal2", amr: ["pwd", "otp", "mfa"], mfaEpoch: "1" });
    });

    test("lets in who needs no factor, at aal1, and nobody who has not what is asked for", async () => {
      const backend = await ready();
      if (!backend) return;
      const service = await serviceForTest(engine, enrolledBefore);
      await enrollApp(service, "ann");
      service.clock.now = new Date();
      const free = await page(service, backend, "bob");
      expect(await free.ended()).toMatchObject({ userId: "bob", acr: "aal1", amr: ["pwd"] });
      const strict = await page(service, backend, "ann", { MFA_STRENGTH: "PHISHING_RESISTANT" });
      expect(await strict.ended()).toEqual({ no: "DENIED", code: 1 });
    });
  });
});

test("the examples use the contract and the shipped verifier, and nothing else of the service", async () => {
  const { stdout } = await run("grep", ["-rhoE", 'from "[^"]+"', join(root, folder)]);
  const inside = stdout.split("\n").filter((line) => line.includes("../"));
  expect(inside.length).toBeGreaterThan(0);
  for (const line of inside) expect(line).toMatch(/"\.\.\/\.\.\/(gen\/|src\/client\/assertion\.ts)/);
});

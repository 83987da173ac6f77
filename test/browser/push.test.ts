import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import { ActionBinding } from "../../gen/mfa/v1/action_pb.js";
import { PushChallengeState, PushDenyReason } from "../../gen/mfa/v1/push_pb.js";
import { createAssertionVerifier, remoteKeys } from "../../src/client/assertion.ts";
import { backendOf, inSession, redeem } from "../support/actors/backend.ts";
import { artefacts, browserWith } from "../support/actors/browser.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { switchPushOn, wrongNumber } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";
import type { PageScript, Session, Wanted } from "./push-page.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const root = join(import.meta.dirname, "../..");
const transfer = { type: "transfer.create", parameters: { amount: "100 EUR", to: "Bob" } };

const pages = browserWith(join(import.meta.dirname, "push-page.ts"));

const HTML =
  "<title>Log in</title><p>Type this number on your phone:</p>" +
  '<h1 id="number"></h1><p role="status" id="state"></p>';

/** The phone on the command line, as a person runs it: one command, what is typed, and what it says. */
const simulator =
  (service: ServiceUnderTest) =>
  async (command: readonly string[], typed = "") => {
    // It signs by the machine's clock.
    service.clock.now = new Date();
    const script = join(root, "examples/push-device/push-device.mjs");
    const child = spawn(process.execPath, [script, ...command], {
      env: {
        ...process.env,
        MFA_ADDRESS: `127.0.0.1:${service.port}`,
        PHONE_FILE: join(service.dataDir, "phone.json"),
      },
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.end(`${typed}\n`);
    const [said] = await Promise.all([text(child.stdout), once(child, "exit")]);
    return said;
  };

describe.each(["Connect", "gRPC-Web"] as const)(
  "a log-in page in Chromium over %s, with a phone beside it",
  (protocol) => {
    const start = async () => {
      const origin = await pages.serve(HTML);
      const service = await serviceForTest(sqlite, { origins: [origin], now: new Date() });
      await switchPushOn(service);
      const page = await pages.browser.newPage();
      onTestFinished(() => page.close());
      await page.goto(origin);
      const phone = simulator(service);
      const sessionOf = async (session: string): Promise<Session> => ({
        ...{ protocol, url: `http://127.0.0.1:${service.gatewayPort}` },
        token: await inSession(service, "ann", session),
      });
      const uri = await page.evaluate((at) => (globalThis as PageScript).pair(at), await sessionOf("at home"));
      expect(await phone(["pair", uri])).toMatch(/^paired: ann at MFA Service, device [\w-]+$/m);
      const session = await sessionOf("web");
      const ask = async (wanted: Wanted) => {
        const asked = await page.evaluate(([at, what]) => (globalThis as PageScript).ask(at, what), [
          session,
          wanted,
        ] as const);
        const number = (await page.locator("#number").textContent()) ?? "";
        return { ...asked, number };
      };
      return {
        ...{ service, page, phone, ask, session },
        shows: (states: string) => page.getByRole("status").filter({ hasText: states }).waitFor({ timeout: 20_000 }),
        look: (pushChallengeId: string) =>
          page.evaluate(([at, id]) => (globalThis as PageScript).look(at, id), [session, pushChallengeId] as const),
      };
    };

    test("the right number is approved, seen by the page, and redeemed as a signed statement", async () => {
      const { service, page, phone, ask, shows } = await start();
      const { challengeId, number } = await ask({ audience: "shop", action: transfer });
      expect(number).toMatch(/^\d\d$/);
      await shows("PENDING");
      await page.screenshot({ path: join(artefacts, `push-waiting-${protocol}.png`) });
      const said = await phone(["answer"], number);
      expect(said).toContain("MFA Service: Transfer 100 EUR to: Bob");
      expect(said).toMatch(/with Chrome on Linux/);
      expect(said).toMatch(/approved\n$/);
      // An address or an amount may hold its digits; a number of its own it is not.
      expect(said.replace(/^ {2}at .*$/m, "")).not.toMatch(new RegExp(`(?<!\\d)${number}(?!\\d)`));
      await shows("PENDING → PROVEN");
      const backend = await backendOf(service);
      const { assertion } = await redeem(service, backend, { challengeId, sessionId: "web", action: transfer });
      await shows("PENDING → PROVEN → REDEEMED, over");
      const verify = createAssertionVerifier({
        ...{ issuer: "mfa-service", audience: "shop", clock: () => service.clock.now },
        key: remoteKeys(
          `http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`,
          fetch,
          () => service.clock.now,
        ),
        once: async () => true,
      });
      const expected = { tenantId: "dev", userId: "ann", sessionId: "web", action: transfer };
      const claims = await verify(assertion?.token ?? "", { ...expected, binding: "authenticator" });
      expect(claims).toMatchObject({ acr: "aal2", amr: ["swk", "mca", "mfa"], cid: challengeId });
      expect(assertion?.actionBinding).toBe(ActionBinding.AUTHENTICATOR);
    });

    test("three wrong numbers end the request", async () => {
      const { service, phone, ask, shows, look } = await start();
      const { challengeId, pushChallengeId, number } = await ask({ audience: "shop" });
      for (let n = 0; n < 3; n++) expect(await phone(["answer"], wrongNumber(number))).toMatch(/no: CODE_REJECTED\n$/);
      await shows("PENDING → CANCELLED, over");
      expect(await look(pushChallengeId)).toMatchObject({ state: PushChallengeState.FAILED });
      expect(await phone(["list"])).toBe("0 waiting\n");
      const redemption = redeem(service, await backendOf(service), { challengeId, sessionId: "web" });
      expect((await failure(redemption)).reason).toBe("CHALLENGE_EXPIRED");
    });

    test("a denial takes no number and tells its reason", async () => {
      const { service, phone, ask, shows, look } = await start();
      const { challengeId, pushChallengeId } = await ask({ audience: "shop" });
      expect(await phone(["answer"], "x")).toMatch(/denied\n$/);
      await shows("PENDING → DENIED, over");
      expect(await look(pushChallengeId)).toEqual({
        state: PushChallengeState.DENIED,
        denyReason: PushDenyReason.NOT_ME,
      });
      const redemption = redeem(service, await backendOf(service), { challengeId, sessionId: "web" });
      expect((await failure(redemption)).reason).toBe("CHALLENGE_EXPIRED");
      const second = await ask({ audience: "shop" });
      expect(await phone(["answer"], "n")).toMatch(/denied\n$/);
      expect(await look(second.pushChallengeId)).toMatchObject({ denyReason: PushDenyReason.MISTAKE });
      expect(await ask({ audience: "shop" })).toMatchObject({ challengeId: "", reason: "RATE_LIMITED" });
    });
  },
);

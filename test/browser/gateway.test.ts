import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { browserWith } from "../support/actors/browser.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import type { Login, PageScript } from "./page.ts";

const [sqlite] = engines as [(typeof engines)[number]];

const pages = browserWith(join(import.meta.dirname, "page.ts"));

/** Opens the page of an origin; answers what logs in from there. */
async function open(origin: string) {
  const page = await pages.browser.newPage();
  onTestFinished(() => page.close());
  await page.goto(origin);
  return {
    logIn: (login: Login) => page.evaluate((sent) => (globalThis as PageScript).logIn(sent), login),
    /** Whether a page without any library can read an answer: its status, or the error's name. */
    fetch: (url: string) =>
      page.evaluate(async (target) => {
        const headers = { "content-type": "application/json" };
        const answer = fetch(`${target}/mfa.v1.MfaService/VerifyTotpCode`, { method: "POST", headers, body: "{}" });
        return answer.then(
          ({ status }) => String(status),
          (error: Error) => error.name,
        );
      }, url),
  };
}

describe.each(["Connect", "gRPC-Web"] as const)("a page in Chromium over %s", (protocol) => {
  test("a listed origin is served and reads refusals; another one reads nothing and does nothing", async () => {
    // Not a page of loopback, since dev mode lets those call.
    const [listed, unlisted] = [
      await pages.serve(),
      (await pages.serve()).replace(/(localhost|127\.0\.0\.1)/, "shop.example"),
    ];
    expect(unlisted).toContain("shop.example");
    const service = await serviceForTest(sqlite, { origins: [listed] });
    const url = `http://127.0.0.1:${service.gatewayPort}`;
    const app = await enrollApp(service, "ann");
    const [ours, foreign] = [await open(listed), await open(unlisted)];
    const right: Login = { protocol, url, token: app.token, code: await app.code() };

    const refused = await ours.logIn({ ...right, code: await wrongCode(app) });
    expect(refused).toMatchObject({ code: "PermissionDenied", reason: "CODE_REJECTED", domain: "mfa.v1" });

    expect(await foreign.logIn(right)).toEqual({ code: "Unknown", text: "Failed to fetch" });
    expect(await foreign.fetch(url)).toBe("TypeError");
    expect(await ours.fetch(url)).toBe("401");

    // The code that the foreign page sent was not spent: its call never ran.
    expect(await ours.logIn(right)).toEqual({ deviceId: app.deviceId });
    expect(await ours.logIn(right)).toMatchObject({ reason: "CODE_REJECTED" });
  });
});

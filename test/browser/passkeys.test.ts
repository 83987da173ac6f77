import { join } from "node:path";
import type { CDPSession, Page } from "playwright-core";
import { describe, expect, onTestFinished, test } from "vitest";
import { WebAuthnRequirement } from "../../gen/mfa/v1/webauthn_pb.js";
import { artefacts, browserWith } from "../support/actors/browser.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";
import type { PageScript, Wish } from "./passkeys-page.ts";

const [sqlite] = engines as [(typeof engines)[number]];

const pages = browserWith(join(import.meta.dirname, "passkeys-page.ts"));

/** A service whose gateway is the origin of its tenant's pages. */
async function start(webauthn = {}) {
  const service = await serviceForTest(sqlite);
  const origin = `http://localhost:${service.gatewayPort}`;
  await setTenant(service, { webauthn: { origins: [origin], ...webauthn } });
  const context = await pages.browser.newContext({ viewport: { width: 900, height: 860 } });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  return { service, origin, page, cdp };
}

const PLATFORM = {
  transport: "internal",
  hasUserVerification: true,
  isUserVerified: true,
  hasResidentKey: true,
} as const;
const SECURITY_KEY = { transport: "usb", hasUserVerification: false, hasResidentKey: false } as const;

async function plugIn(cdp: CDPSession, kind: typeof PLATFORM | typeof SECURITY_KEY): Promise<string> {
  const options = { protocol: "ctap2", automaticPresenceSimulation: true, ...kind } as const;
  return (await cdp.send("WebAuthn.addVirtualAuthenticator", { options })).authenticatorId;
}

/** Opens a page of an application at the gateway's origin, with the client in it. */
async function openApplication({ page, origin }: { page: Page; origin: string }) {
  const html = `<!doctype html><title>shop</title><input autocomplete="username webauthn"><script src="/app.js"></script>`;
  await page.route("**/app", (route) => route.fulfill({ contentType: "text/html", body: html }));
  await page.route("**/app.js", (route) => route.fulfill({ contentType: "text/javascript", body: pages.script }));
  await page.goto(`${origin}/app`);
  return (wish: Wish) => page.evaluate((sent) => (globalThis as PageScript).fulfil(sent), wish);
}

const listed = async (service: ServiceUnderTest, user: string) =>
  (await service.mfa.listWebAuthnCredentials({}, await service.user(user, "aal2"))).credentials;

describe.each(["Connect", "gRPC-Web"] as const)("a page in Chromium over %s", (protocol) => {
  test("registers a passkey and a security key, and logs in with either", async () => {
    const world = await start();
    const { service, cdp } = world;
    const fulfil = await openApplication(world);
    const token = await service.user("ann", "aal2");

    const passkey = await plugIn(cdp, PLATFORM);
    const first = await fulfil({ protocol, token, register: { displayName: "Laptop" } });
    expect(first).toEqual({ id: expect.any(String), name: "Laptop", resident: true });
    // The same authenticator again: it finds itself among the excluded.
    expect(await fulfil({ protocol, token, register: {} })).toEqual({ reason: "InvalidStateError" });
    expect(await fulfil({ protocol, token })).toEqual({ id: first.id, userVerified: true });

    await cdp.send("WebAuthn.removeVirtualAuthenticator", { authenticatorId: passkey });
    await plugIn(cdp, SECURITY_KEY);
    const second = await fulfil({ protocol, token, register: { hints: ["security-key"] } });
    expect(second).toEqual({ id: expect.any(String), name: "Security key", resident: false });
    expect(await fulfil({ protocol, token })).toEqual({ id: second.id, userVerified: false });

    const credentials = await listed(service, "ann");
    expect(credentials.map(({ displayName, userVerified }) => [displayName, userVerified])).toEqual([
      ["Laptop", true],
      ["Security key", false],
    ]);
  });

  test("whose user cannot be verified gets nothing where verification is required, neither key nor log-in", async () => {
    const world = await start({ userVerification: WebAuthnRequirement.REQUIRED });
    const { service, cdp } = world;
    const fulfil = await openApplication(world);
    const token = await service.user("ann", "aal2");
    const authenticatorId = await plugIn(cdp, PLATFORM);
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
    expect(await fulfil({ protocol, token, register: {} })).toEqual({ reason: "NotAllowedError" });
    expect(await listed(service, "ann")).toEqual([]);
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    const { id } = await fulfil({ protocol, token, register: {} });
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
    expect(await fulfil({ protocol, token })).toEqual({ reason: "NotAllowedError" });
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    expect(await fulfil({ protocol, token })).toEqual({ id, userVerified: true });
  });

  test("logs in from the autofill of a name field with a passkey that is found without a name", async () => {
    const world = await start();
    const { service, cdp } = world;
    const fulfil = await openApplication(world);
    const token = await service.user("ann", "aal2");
    const authenticatorId = await plugIn(cdp, PLATFORM);
    const { id } = await fulfil({ protocol, token, register: { discoverable: WebAuthnRequirement.REQUIRED } });
    const { credentials } = await cdp.send("WebAuthn.getCredentials", { authenticatorId });
    expect(credentials).toMatchObject([{ isResidentCredential: true, rpId: "localhost" }]);
    expect(await fulfil({ protocol, token, authenticate: { autofill: true } })).toEqual({ id, userVerified: true });
  });

  test("does not log one user in with a passkey of another", async () => {
    const world = await start();
    const { service, cdp } = world;
    const fulfil = await openApplication(world);
    await plugIn(cdp, PLATFORM);
    await fulfil({ protocol, token: await service.user("ann", "aal2"), register: {} });
    const token = await service.user("bob");
    // By name the browser would look for what only bob could have; from the autofill it offers any of the relying party.
    expect(await fulfil({ protocol, token, authenticate: { autofill: true } })).toEqual({
      reason: "SIGNATURE_REJECTED",
    });
  });
});

describe("the console", () => {
  test("enrolls a passkey, renames it, logs in with it and deletes it", async () => {
    const { service, origin, page, cdp } = await start();
    const troubles: string[] = [];
    page.on("pageerror", (error) => troubles.push(error.message));
    // A refused call is no trouble: deleting the last factor is refused once, then confirmed.
    const isRefusal = (text: string) => text.startsWith("Failed to load resource");
    page.on("console", (message) => {
      if (message.type() === "error" && !isRefusal(message.text())) troubles.push(message.text());
    });
    const said = (text: string | RegExp) =>
      page.getByRole("status").filter({ hasText: text }).waitFor({ timeout: 10_000 });
    const shoot = (name: string) => page.screenshot({ path: join(artefacts, `console-${name}.png`), fullPage: true });
    await plugIn(cdp, PLATFORM);

    await page.goto(`${origin}/console/`);
    await shoot("1-start");
    await page.getByLabel("Access token of a user").fill(await service.user("ann", "aal2"));
    await page.getByRole("button", { name: "Show my passkeys" }).click();
    await said("Signed in with the token.");
    await page.getByLabel(/Name of a new one/).fill("Laptop");
    await page.getByRole("button", { name: "Add a passkey" }).click();
    await said("“Laptop” is registered.");
    await page.getByLabel("Name", { exact: true }).fill("Kitchen laptop");
    await page.getByRole("button", { name: "Rename" }).click();
    await said("It is called “Kitchen laptop” now.");
    await page.getByRole("button", { name: "Log in with a passkey" }).click();
    await said("Logged in with “Kitchen laptop”, and you were verified.");
    await shoot("2-logged-in");
    await page.setViewportSize({ width: 390, height: 844 });
    await page.emulateMedia({ colorScheme: "dark" });
    await shoot("3-narrow-dark");

    page.once("dialog", (dialog) => void dialog.accept());
    await page.getByRole("button", { name: "Delete" }).click();
    await said("“Kitchen laptop” is deleted.");
    expect(await listed(service, "ann")).toEqual([]);
    expect(troubles).toEqual([]);
  });

  test("says in a sentence why something did not work", async () => {
    const { origin, page } = await start();
    await page.goto(`${origin}/console/`);
    await page.getByLabel("Access token of a user").fill("nonsense");
    await page.getByRole("button", { name: "Show my passkeys" }).click();
    await page.getByRole("status").filter({ hasText: "The token is not valid, or no longer." }).waitFor();
    await page.screenshot({ path: join(artefacts, "console-4-refused.png"), fullPage: true });
  });

  test("runs nothing inline, and nobody may embed it", async () => {
    const { origin, page } = await start();
    const html = await (await fetch(`${origin}/console/`)).text();
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path);
    expect(loaded).toHaveLength(2);
    for (const path of ["/console/", ...loaded]) {
      const { headers, status } = await fetch(`${origin}${path}`);
      expect(status).toBe(200);
      expect(headers.get("content-security-policy")).toMatch(/^default-src 'none'; .*frame-ancestors 'none'/);
      expect(headers.get("content-security-policy")).not.toContain("unsafe");
      expect(headers.get("x-content-type-options")).toBe("nosniff");
    }
    await page.goto(`${origin}/console/`);
    const ran = await page.evaluate(async () => {
      const { document } = globalThis as unknown as {
        document: { body: { append(e: unknown): void }; createElement(n: string): { textContent: string } };
      };
      try {
        const script = document.createElement("script");
        script.textContent = "globalThis.ran = true";
        document.body.append(script);
      } catch {
        // Trusted types refuse the text itself.
      }
      return "ran" in globalThis;
    });
    expect(ran).toBe(false);
    const outside = await page.context().newPage();
    await outside.route("**/embed", (route) =>
      route.fulfill({ contentType: "text/html", body: `<iframe src="${origin}/console/"></iframe>` }),
    );
    await outside.goto("http://localhost:1/embed");
    await outside.waitForTimeout(0);
    const [, frame] = outside.frames();
    expect(await frame?.locator("h1").count()).toBe(0);
  });
});

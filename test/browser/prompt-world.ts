import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { expect, onTestFinished } from "vitest";
import { artefacts, type browserWith } from "../support/actors/browser.ts";
import { application, type BegunPrompt } from "../support/actors/prompt.ts";
import type { EngineUnderTest } from "../support/engine/engines.ts";
import { portOf } from "../support/engine/port.ts";
import { serviceForTest, setTenant } from "../support/worlds/service.ts";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds, as far as the tests tell it. */
interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** Asserts that axe finds nothing on a page as it stands, in light and in dark, wide and narrow; takes screenshots. */
export async function expectAccessible(page: Page, name: string): Promise<void> {
  for (const [colorScheme, width] of [
    ["light", 900],
    ["dark", 390],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 760 });
    await page.screenshot({ path: join(artefacts, `prompt-${name}-${colorScheme}.png`), fullPage: true });
    await page.evaluate(axe);
    const violations = await page.evaluate(async () => {
      const { axe: loaded } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
      return (await loaded.run()).violations.map(
        ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`,
      );
    });
    expect(violations, `${name}, ${colorScheme}`).toEqual([]);
    expect(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing to scroll aside").toBe(
      true,
    );
  }
}

/** A service, an application that users come back to, and a browser of its own. */
export async function promptWorld(engine: EngineUnderTest, pages: ReturnType<typeof browserWith>, locale = "en-GB") {
  const service = await serviceForTest(engine);
  const origin = `http://localhost:${service.gatewayPort}`;
  await setTenant(service, { webauthn: { origins: [origin] } });
  const returned: URLSearchParams[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "", "http://localhost");
    if (url.pathname === "/callback") returned.push(url.searchParams);
    response.setHeader("content-type", "text/html").end("<!doctype html><title>shop</title><p>welcome back");
  });
  const returnUrl = `http://localhost:${await portOf(server, "localhost")}/callback`;
  const context = await pages.browser.newContext({ locale });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const troubles: string[] = [];
  page.on("pageerror", (error) => troubles.push(error.message));
  // A refused call is no trouble.
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      troubles.push(message.text());
  });
  const shop = application(service);

  /** Begins a log-in, and opens its prompt as the application's redirect does. */
  async function open(asked: Parameters<typeof shop.begin>[1] = {}): Promise<BegunPrompt> {
    const begun = await shop.begin("ann", { returnUrl, ...asked });
    const { pathname, search } = new URL(begun.promptUrl);
    await page.goto(`${origin}${pathname}${search}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    return begun;
  }

  /** Waits until the browser is back at the application; returns what it brings. */
  async function comeBack(): Promise<Record<string, string>> {
    await page.getByText("welcome back").waitFor();
    expect(troubles).toEqual([]);
    return Object.fromEntries(returned.at(-1) ?? []);
  }

  /** Redeems what came back, as the application does. */
  async function logIn(begun: BegunPrompt) {
    const { code = "", state } = await comeBack();
    expect(state).toBe(begun.state);
    return shop.redeem(begun, code, { returnUrl });
  }

  const button = (name: string | RegExp) => page.getByRole("button", { name });
  return { service, origin, page, context, shop, open, comeBack, logIn, button, troubles };
}

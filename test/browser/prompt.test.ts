import { get, type IncomingHttpHeaders } from "node:http";
import { join } from "node:path";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { languageOf } from "../../src/prompt/page/words/words.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { enrollCodes } from "../support/actors/backup-codes.ts";
import { browserWith } from "../support/actors/browser.ts";
import { enrollPhone, newestCode, switchOn } from "../support/actors/one-time-codes.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { serviceForTest } from "../support/worlds/service.ts";
import { expectAccessible, promptWorld } from "./prompt-world.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const pages = browserWith(join(import.meta.dirname, "page.ts"));

/** What a first visit may load, compressed. */
const MOST_BYTES = 130_000;

/** Gets a file as it is sent, without undoing its encoding. */
const load = (url: string, encoding: string) =>
  new Promise<{ headers: IncomingHttpHeaders; body: Buffer }>((resolve, reject) => {
    get(url, { headers: { "accept-encoding": encoding } }, async (response) => {
      resolve({ headers: response.headers, body: Buffer.concat(await response.toArray()) });
    }).on("error", reject);
  });

const plain = { br: brotliDecompressSync, gzip: gunzipSync, identity: (body: Buffer) => body };

test.each(["prompt", "console"])(
  "the files of the page %s are small, kept by their names, and not framed",
  async (name) => {
    const origin = `http://127.0.0.1:${(await serviceForTest(sqlite)).gatewayPort}`;
    const html = (await load(`${origin}/${name}/`, "identity")).body.toString();
    const loaded = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, path]) => path ?? "");
    expect(loaded).toHaveLength(2);
    const sizes = await Promise.all(
      [`/${name}/`, ...loaded].map(async (path) => {
        const { body: whole } = await load(`${origin}${path}`, "identity");
        for (const [encoding, undo] of Object.entries(plain)) {
          const { headers, body } = await load(`${origin}${path}`, encoding);
          expect(undo(body).equals(whole)).toBe(true);
          expect(headers).toMatchObject({
            "cache-control": loaded.includes(path) ? "public, max-age=31536000, immutable" : "no-store",
            "content-security-policy": expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'/),
            vary: "origin, accept-encoding",
          });
          expect(headers["content-encoding"] ?? "identity").toBe(encoding);
        }
        return (await load(`${origin}${path}`, "gzip, br;q=0.5")).body.length;
      }),
    );
    expect(sizes.reduce((total, size) => total + size)).toBeLessThan(MOST_BYTES);
  },
);

describe("the page of the hosted prompt", () => {
  test("takes an app's code, after a wrong one, and leads back to the application", async () => {
    const { service, page, open, logIn, button } = await promptWorld(sqlite, pages);
    const app = await enrollApp(service, "ann");
    const begun = await open();
    expect(new URL(page.url()).search).toBe("");
    await expectAccessible(page, "app");
    await page.getByLabel("Code", { exact: true }).fill(await wrongCode(app));
    await button("Confirm").click();
    await page.getByRole("alert").filter({ hasText: "This code is not right" }).waitFor();
    await expectAccessible(page, "wrong");
    // It stands selected, to be typed over; pasted codes have spaces.
    const code = await app.code();
    await page.keyboard.type(`${code.slice(0, 3)} ${code.slice(3)}`);
    await page.keyboard.press("Enter");
    expect((await logIn(begun)).redeemed?.factorType).toBe(FactorType.TOTP);
  });

  test("uses a passkey", async () => {
    const { service, page, context, origin, open, logIn, button } = await promptWorld(sqlite, pages);
    const cdp = await context.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const authenticator = { protocol: "ctap2", transport: "internal", hasResidentKey: true } as const;
    const options = { ...authenticator, hasUserVerification: true, isUserVerified: true } as const;
    await cdp.send("WebAuthn.addVirtualAuthenticator", { options: { ...options, automaticPresenceSimulation: true } });
    await page.goto(`${origin}/console/`);
    await page.getByLabel("Access token of a user").fill(await service.user("ann", "aal2"));
    await button("Show my passkeys").click();
    await button("Add a passkey").click();
    await page.getByRole("status").filter({ hasText: "is registered" }).waitFor();
    const begun = await open();
    await expectAccessible(page, "passkey");
    await button("Use your passkey").click();
    expect((await logIn(begun)).redeemed?.factorType).toBe(FactorType.WEBAUTHN);
  });

  test("sends a code by text message once it is asked to", async () => {
    const { service, page, open, logIn, button } = await promptWorld(sqlite, pages);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const begun = await open();
    await expectAccessible(page, "send");
    await button(/^Send a code to \+49/).click();
    await page.getByText(/^A code is on its way to \+49/).waitFor();
    await expectAccessible(page, "sent");
    await page.getByLabel("Code", { exact: true }).fill(await newestCode(service, "ann"));
    await button("Confirm").click();
    expect((await logIn(begun)).redeemed?.factorType).toBe(FactorType.SMS);
  });

  test("shows the number for the phone that it asks, and goes on once that approves", async () => {
    const { service, page, open, logIn, button } = await promptWorld(sqlite, pages);
    await switchPushOn(service);
    const phone = await pairPhone(service, "ann");
    const begun = await open();
    expect(await phone.pending()).toEqual([]);
    await button("Ask my phone").click();
    const number = await page.getByRole("status").locator("strong").textContent();
    await expectAccessible(page, "phone");
    const [waiting] = await phone.pending();
    if (waiting) await phone.approve(waiting, number ?? "");
    expect((await logIn(begun)).redeemed?.factorType).toBe(FactorType.PUSH);
  });

  test("says that the phone denied it", async () => {
    const { service, page, open, comeBack, button } = await promptWorld(sqlite, pages);
    await switchPushOn(service, { lockWhenReported: false });
    const phone = await pairPhone(service, "ann");
    await open();
    await button("Ask my phone").click();
    await page.getByRole("status").locator("strong").waitFor();
    const [waiting] = await phone.pending();
    if (waiting) await phone.deny(waiting);
    await page.getByText("The request was denied on the phone.").waitFor();
    await expectAccessible(page, "denied");
    await button("Back to the application").click();
    expect(await comeBack()).toMatchObject({ error: "access_denied", mfa_error: "denied" });
  });

  test("takes a backup code in place of the app, and leads back after too many wrong ones", async () => {
    const { service, page, open, logIn, comeBack, button } = await promptWorld(sqlite, pages);
    const { codes, app } = await enrollCodes(service, "ann");
    const begun = await open();
    await button("Backup code").click();
    await expectAccessible(page, "backup");
    await page.getByLabel("Code", { exact: true }).fill(codes[0] ?? "");
    await button("Confirm").click();
    expect((await logIn(begun)).redeemed?.factorType).toBe(FactorType.BACKUP_CODE);

    await open();
    for (let n = 0; n < 6; n += 1) {
      await page.getByLabel("Code", { exact: true }).fill(await wrongCode(app));
      const answered = page.waitForResponse(/VerifyChallenge$/);
      await button("Confirm").click();
      await answered;
      await page.getByRole("alert").filter({ hasText: /./ }).or(page.getByText("Too many wrong attempts.")).waitFor();
    }
    await page.getByText("Too many wrong attempts. Log in again later.").waitFor();
    await expectAccessible(page, "locked");
    await button("Back to the application").click();
    expect(await comeBack()).toMatchObject({ error: "access_denied", mfa_error: "locked" });
  });

  test("leads back without a proof when it is cancelled, or when there is nothing to prove", async () => {
    const { service, page, open, comeBack, button } = await promptWorld(sqlite, pages);
    const begun = await open();
    await page.getByText("There is no factor").waitFor();
    await expectAccessible(page, "no-factor");
    await button("Cancel and go back").click();
    const error = { error: "access_denied", state: begun.state, iss: "mfa-service" };
    expect(await comeBack()).toEqual({ ...error, mfa_error: "no_factor" });
    await enrollApp(service, "ann");
    const again = await open();
    await button("Cancel and go back").click();
    expect(await comeBack()).toEqual({ ...error, state: again.state, mfa_error: "cancelled" });
  });

  test("says so where its address no longer opens, or the prompt has ended", async () => {
    const { service, page, open, origin, button } = await promptWorld(sqlite, pages);
    const app = await enrollApp(service, "ann");
    const { promptUrl } = await open();
    const { pathname, search } = new URL(promptUrl);
    service.pass(10 * 60_000);
    await page.getByLabel("Code", { exact: true }).fill(await app.code());
    await button("Confirm").click();
    await page.getByRole("heading", { name: "This page has ended" }).waitFor();
    await page.goto("about:blank");
    await page.goto(`${origin}${pathname}${search}`);
    await page.getByRole("heading", { name: "This page has ended" }).waitFor();
    await expectAccessible(page, "ended");
  });

  test("is nothing to a browser that a prompt is passed on to, and is shown in no frame", async () => {
    const { service, page, origin, open, logIn, button } = await promptWorld(sqlite, pages);
    const app = await enrollApp(service, "ann");
    const begun = await open();
    const own = page.url();
    const { pathname, search } = new URL(begun.promptUrl);
    const context = await pages.browser.newContext({ locale: "en-GB" });
    onTestFinished(() => context.close());
    const other = await context.newPage();
    // The address of before the opening, and that of after it, without the cookie.
    for (const address of [`${origin}${pathname}${search}`, own]) {
      await other.goto("about:blank");
      await other.goto(address);
      await other.getByRole("heading", { name: "This page has ended" }).waitFor();
    }
    await other.route("**/embed", (route) =>
      route.fulfill({ contentType: "text/html", body: `<iframe src="${own}" title="prompt"></iframe>` }),
    );
    await other.goto(`${origin.replace("localhost", "shop.example")}/embed`);
    await expect
      .poll(() => other.frames().map((frame) => frame.url()))
      .toContainEqual(expect.stringMatching(/^chrome-error:/));
    await page.getByLabel("Code", { exact: true }).fill(await app.code());
    await button("Confirm").click();
    expect((await logIn(begun)).redeemed?.factorType).toBe(FactorType.TOTP);
  });

  test("goes on in each of two prompts of one browser, in whichever order", async () => {
    const { service, page, context, open, logIn, button } = await promptWorld(sqlite, pages);
    const app = await enrollApp(service, "ann");
    const first = await open();
    const address = page.url();
    const second = await open();
    const earlier = await context.newPage();
    await earlier.goto(address);
    await earlier.getByLabel("Code", { exact: true }).fill(await app.code());
    await earlier.getByRole("button", { name: "Confirm" }).click();
    await earlier.getByText("welcome back").waitFor();
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe("Confirm that it is you");
    service.pass(30_000);
    await page.getByLabel("Code", { exact: true }).fill(await app.code());
    await button("Confirm").click();
    expect((await logIn(second)).redeemed?.factorType).toBe(FactorType.TOTP);
    expect(first.promptId).not.toBe(second.promptId);
  });

  test("warns where the log-in was begun elsewhere, and shows the action that is approved", async () => {
    const { service, page, open } = await promptWorld(sqlite, pages);
    await enrollApp(service, "ann");
    await open({ client: { ip: "203.0.113.7", userAgent: "Mozilla/5.0 Elsewhere", application: "Shop" } });
    await page.getByText("Shop asks for your second factor.").waitFor();
    await page.getByText("begun in another network and in another browser. If that was not you, cancel.").waitFor();
    await expectAccessible(page, "elsewhere");
  });

  test.each(["de", "fr", "es", "ja", "ar"])("speaks the language of the browser: %s", async (tag) => {
    const { service, page, open } = await promptWorld(sqlite, pages, tag);
    await enrollApp(service, "ann");
    await open();
    const { words, direction } = languageOf([tag]);
    await page.getByRole("heading", { name: words.title }).waitFor();
    expect(await page.evaluate("[document.documentElement.lang, document.documentElement.dir]")).toEqual([
      tag,
      direction,
    ]);
    await expectAccessible(page, tag);
    // A backend may ask for another one.
    await open({ locale: "de-AT" });
    await page.getByRole("heading", { name: languageOf(["de"]).words.title }).waitFor();
  });
});

// mfa-service-client as a stranger has it: packed, installed into an empty folder, and used by its README alone.
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import type * as Assertions from "../../packages/client/src/assertion.ts";
import type * as Errors from "../../packages/client/src/errors.ts";
import type * as Node from "../../packages/client/src/node.ts";
import { appOf, enrollApp, showCode, wrongCode } from "../support/actors/authenticator-app.ts";
import { enrollPasskey } from "../support/actors/passkey.ts";
import { httpBrowser } from "../support/actors/prompt.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";
import { root, run, start } from "./process.ts";

const [engine] = engines; // what a client is written in and what the service stores on have nothing to do with each other
if (!engine) throw new Error("no engine");
const bin = (name: string) => join(root, "node_modules/.bin", name);
const readme = readFileSync(join(root, "packages/client/README.md"), "utf8");
const enrolledBefore = { now: new Date(Date.now() - 3600_000) };
const client = { ip: "203.0.113.7", userAgent: "Firefox/140 Linux" };

let folder: string;
let archive: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mfa-client-"));
  const packed = await run("npm", ["run", "-s", "client-package", "--", folder], { limitMs: 120_000 });
  expect(packed.code, packed.stderr).toBe(0);
  archive = packed.stdout.trim().split("\n").at(-1) ?? "";
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
  const install = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder];
  const installed = await run("npm", [...install, archive], { limitMs: 120_000 });
  expect(installed.code, installed.stderr).toBe(0);
}, 240_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** An entry of the installed package. */
async function entry<T>(name: string): Promise<T> {
  const path = createRequire(join(folder, "index.js")).resolve(`mfa-service-client/${name}`);
  return (await import(/* @vite-ignore */ pathToFileURL(path).href)) as T;
}

/** A backend that has the package, connected to a service. */
async function backend(service: ServiceUnderTest, options: Partial<Node.ConnectionOptions> = {}) {
  const node = await entry<typeof Node>("node");
  const { createAssertionVerifier, remoteKeys, onceInMemory } = await entry<typeof Assertions>("assertion");
  const credential = await service.backend("mfa.challenge mfa.verify mfa.status.read");
  const mfa = node.createMfa({ baseUrl: `http://127.0.0.1:${service.port}`, credential, ...options });
  const key = remoteKeys(`http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`);
  const verify = createAssertionVerifier({
    ...{ issuer: "mfa-service", audience: "shop", key, once: onceInMemory() },
    clock: () => service.clock.now,
  });
  const about = { userId: "ann", client, tenantId: "dev", verify, firstFactorTime: service.clock.now };
  return { ...node, mfa, about };
}

test("the package is small, and what publint and arethetypeswrong ask of one", async () => {
  expect(statSync(archive).size).toBeLessThan(200_000);
  const linted = await run(bin("publint"), ["--strict", join(root, "dist/mfa-service-client")]);
  expect(linted.code, linted.stdout).toBe(0);
  const typed = await run(bin("attw"), [archive, "--profile", "esm-only", "--no-color"]);
  expect(typed.code, typed.stdout).toBe(0);
});

test("the log-in in ten lines of the README works as it stands", async () => {
  const service = await serviceForTest(engine, enrolledBefore);
  const app = await enrollApp(service, "ann");
  service.clock.now = new Date();
  const [, lines = ""] = /^```js\n([\s\S]*?)^```$/m.exec(readme) ?? [];
  expect(lines.split("\n").filter((line) => /^(const|mfa|page|console)/.test(line)).length).toBeLessThanOrEqual(10);
  const ported = lines.replace("11005", String(service.port)).replace("11006", String(service.gatewayPort));
  writeFileSync(join(folder, "log-in.js"), ported);
  const SERVICE_TOKEN = await service.backend("mfa.challenge mfa.verify");
  const page = start(process.execPath, [join(folder, "log-in.js")], { SERVICE_TOKEN });
  await page.saw(/The code of .*\?/);
  page.child.stdin?.write(`${await app.code()}\n`);
  const { stdout, stderr, code } = await page.outcome;
  expect(stdout, stderr).toMatch(/logged in: aal2 pwd otp mfa\n$/);
  expect(code).toBe(0);
});

describe.each(["grpc", "json"] as const)("completeLogIn over %s", (protocol) => {
  const over = (service: ServiceUnderTest) =>
    backend(service, {
      protocol,
      baseUrl: `http://127.0.0.1:${protocol === "grpc" ? service.port : service.internalPort}`,
    });

  test("asks again for a wrong code, and ends with a session by the right one", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { mfa, about, completeLogIn } = await over(service);
    const asked: number[] = [];
    const code = (_: unknown, wrong: number) => {
      asked.push(wrong);
      return wrong === 0 ? wrongCode(app) : app.code();
    };
    const session = await completeLogIn(mfa, { ...about, code });
    expect(session).toMatchObject({ userId: "ann", acr: "aal2", amr: ["pwd", "otp", "mfa"], restricted: false });
    expect(session.authTime).toBe(Math.floor(service.clock.now.getTime() / 1000));
    expect(asked).toEqual([0, 1]);
    mfa.close();
  });

  test("proves a passkey where the user picks one, and waits for a phone", async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service);
    await enrollApp(service, "ann");
    const { passkey } = await enrollPasskey(service, "ann");
    const phone = await pairPhone(service, "ann", { acr: "aal2" });
    const { mfa, about, completeLogIn, kindOf } = await over(service);
    const pick = (kind: string) => (factors: readonly Parameters<typeof kindOf>[0][]) =>
      factors.find((factor) => kindOf(factor) === kind) as never;
    const hooks = {
      code: () => "000000",
      passkey: (options: unknown) => passkey.get(options as never) as never,
      number: async (number: string) => {
        const [waiting] = await phone.pending();
        await phone.approve(waiting as NonNullable<typeof waiting>, number);
      },
    };
    const byKey = await completeLogIn(mfa, { ...about, ...hooks, choose: pick("WEBAUTHN") });
    expect(byKey).toMatchObject({ acr: "aal2", amr: expect.arrayContaining(["urn:mfa:amr:webauthn"]) });
    const byPhone = await completeLogIn(mfa, { ...about, ...hooks, choose: pick("PUSH") });
    expect(byPhone).toMatchObject({ acr: "aal2", amr: ["pwd", "swk", "mca", "mfa"] });
    mfa.close();
  });
});

test("a user without a factor enrolls one by the ticket, and is refused where the application has no hook for that", async () => {
  const service = await serviceForTest(engine);
  const { mfa, about, completeLogIn, as } = await backend(service);
  const eve = { ...about, userId: "eve", strength: "ANY_FACTOR" } as const;
  await expect(completeLogIn(mfa, eve)).rejects.toMatchObject({ name: "LogInRefused", why: "ENROLLMENT_REQUIRED" });
  let secret = "";
  const enroll = async (ticket: string) => {
    const { provisioning } = await mfa.users.startTotpEnrollment({}, as({ ticket }));
    secret = provisioning?.secret ?? "";
    const code = await showCode(secret, service.clock.now);
    await mfa.users.finishTotpEnrollment({ code }, as({ ticket }));
  };
  // The code of the enrollment is spent: an app shows the next one soon.
  const code = () => appOf(service, secret)(30_000);
  expect(await completeLogIn(mfa, { ...eve, enroll, code })).toMatchObject({ userId: "eve", acr: "aal2" });
  await expect(completeLogIn(mfa, { ...eve })).rejects.toMatchObject({ why: "NO_FACTOR_OFFERED" });
  mfa.close();
});

test("refusals are told apart by their reason, and say how long to wait", async () => {
  const service = await serviceForTest(engine);
  const app = await enrollApp(service, "ann");
  const { reasonOf, retryAfterOf, isLocked, isCodeRejected } = await entry<typeof Errors>("errors");
  const { mfa } = await backend(service);
  const typeWrong = async () =>
    mfa.internal.verifyUserTotpCode({ userId: "ann", code: await wrongCode(app), client }).catch((error) => error);
  expect(isCodeRejected(await typeWrong())).toBe(true);
  for (let more = 0; more < 4; more++) await typeWrong();
  const locked = await typeWrong();
  expect([reasonOf(locked), isLocked(locked), isCodeRejected(locked)]).toEqual(["LOCKED", true, false]);
  expect(retryAfterOf(locked)).toBeGreaterThan(0);
  expect(retryAfterOf(locked)).toBeLessThanOrEqual(60_000);
  const stranger = (await backend(service, { credential: "no-token" })).mfa;
  const refused = await stranger.internal.getUserMfaStatus({ userId: "ann" }).catch((error: unknown) => error);
  expect([reasonOf(refused), retryAfterOf(refused)]).toEqual(["INVALID_CREDENTIAL", undefined]);
  const nobody = (await backend(service, { baseUrl: "http://127.0.0.1:1" })).mfa;
  const unreachable = await nobody.internal.getUserMfaStatus({ userId: "ann" }).catch((error: unknown) => error);
  expect(reasonOf(unreachable)).toBe("Unavailable");
  for (const one of [mfa, stranger, nobody]) one.close();
});

test("the generated messages can be imported, and are those of the contract", async () => {
  const generated = await entry<{ FactorType: typeof FactorType }>("gen/mfa/v1/factor_pb");
  expect(generated.FactorType).toEqual(FactorType);
});

/** Starts an example as a stranger has it: beside the installed package, with Express from npm. */
async function startExample(service: ServiceUnderTest, name: string) {
  const install = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", folder];
  const installed = await run("npm", [...install, "express@5.3.0"], { limitMs: 100_000 });
  expect(installed.code, installed.stderr).toBe(0);
  writeFileSync(join(folder, name), readFileSync(join(root, "packages/client/examples", name)));
  const shop = start(process.execPath, [join(folder, name)], {
    PORT: "0",
    SERVICE_TOKEN: await service.backend("mfa.challenge mfa.verify"),
    MFA_ADDRESS: `http://127.0.0.1:${service.port}`,
    MFA_KEYS: `http://127.0.0.1:${service.gatewayPort}/.well-known/jwks.json`,
  });
  onTestFinished(() => void shop.child.kill());
  const [, url = ""] = await shop.saw(/(http:\S+)\n/);
  return url;
}

test("the example with own pages in Express logs in by password and code, and a route wants a fresh second factor", {
  timeout: 120_000,
}, async () => {
  const service = await serviceForTest(engine, enrolledBefore);
  const app = await enrollApp(service, "ann");
  service.clock.now = new Date();
  const url = await startExample(service, "express.js");
  let cookie = "";
  const visit = async (path: string, form?: Record<string, string>) => {
    const body = form && { method: "POST", body: new URLSearchParams(form) };
    const response = await fetch(new URL(path, url), { ...body, redirect: "manual", headers: { cookie } });
    cookie = response.headers.get("set-cookie")?.split(";")[0] ?? cookie;
    return { status: response.status, text: await response.text(), header: response.headers.get("www-authenticate") };
  };
  expect(await visit("/password", { user: "ann", password: "wrong" })).toMatchObject({ status: 401 });
  const asked = await visit("/password", { user: "ann", password: "correct horse" });
  expect(asked).toMatchObject({ status: 200, text: expect.stringContaining("TOTP code") });
  const waiting = cookie;
  expect(await visit("/keys")).toMatchObject({ status: 401, header: "Bearer" });
  const wrong = await visit("/code", { code: await wrongCode(app) });
  expect(wrong).toMatchObject({ status: 403, text: expect.stringContaining("That code was not right.") });
  expect(await visit("/code", { code: await app.code() })).toMatchObject({ status: 303 });
  expect(cookie).not.toBe(waiting);
  expect((await visit("/account")).text).toContain("ann, aal2");
  expect(await visit("/keys")).toMatchObject({ status: 200, text: expect.stringContaining("Your keys") });
});

test("the example with the service's page logs in without a page, a script or a code of its own, in this browser only", {
  timeout: 120_000,
}, async () => {
  const service = await serviceForTest(engine, enrolledBefore);
  const app = await enrollApp(service, "ann");
  service.clock.now = new Date();
  const url = await startExample(service, "prompt.js");
  /** The password is right: the application sends the browser to the page, with a cookie of its own. */
  const password = async () => {
    const body = new URLSearchParams({ user: "ann", password: "correct horse" });
    const sent = await fetch(new URL("/password", url), { method: "POST", body, redirect: "manual" });
    expect(sent.status).toBe(303);
    expect(sent.headers.get("set-cookie")).toMatch(
      /^__Host-mfa_log_in=[\w-]+; Max-Age=900; Path=\/; Secure; HttpOnly; Same/,
    );
    return {
      cookie: sent.headers.get("set-cookie")?.split(";")[0] ?? "",
      promptUrl: sent.headers.get("location") ?? "",
    };
  };
  /** A browser goes through the page and comes back. */
  const prove = async (promptUrl: string, code: string) => {
    const browser = httpBrowser(service);
    const promptId = (await browser.open(promptUrl)).location.split("#")[1] ?? "";
    expect((await browser.prove(promptId, { totpCode: code })).reason).toBe("");
    return (await browser.finish(promptId)).url;
  };
  const callback = async (address: URL, cookie: string) => {
    const response = await fetch(address, { headers: { cookie } });
    return `${response.status} ${await response.text()}`;
  };
  const begun = await password();
  const back = await prove(begun.promptUrl, await app.code());
  // The victim of a prompt that somebody else began: a good code, and no cookie, or one of another log-in.
  expect(await callback(back, "")).toBe("403 Not logged in: OTHER_BROWSER");
  expect(await callback(back, (await password()).cookie)).toBe("403 Not logged in: OTHER_BROWSER");
  expect(await callback(back, begun.cookie)).toBe("200 Logged in: ann, aal2, pwd otp mfa");
  expect(await callback(back, begun.cookie)).toMatch(/^403 Not logged in: .*the code was not accepted/);
  const denied = new URL(back);
  denied.searchParams.delete("code");
  expect(await callback(denied, begun.cookie)).toBe("403 Not logged in: DENIED");
});

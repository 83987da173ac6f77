// Each threat of the hosted prompt, played over HTTP: docs/adr says what each of them gains.
import { describe, expect, test } from "vitest";
import { ChallengePurpose } from "../../gen/mfa/v1/challenge_pb.js";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { prompts } from "../../src/prompt/prompts.table.ts";
import { enrollApp, wrongCode } from "../support/actors/authenticator-app.ts";
import { backendOf, totp } from "../support/actors/backend.ts";
import { failure } from "../support/actors/grpc-client.ts";
import { enrollPhone, switchOn } from "../support/actors/one-time-codes.ts";
import { application, CALLBACK, httpBrowser, leadsTo, provenPrompt } from "../support/actors/prompt.ts";
import { pairPhone, switchPushOn } from "../support/actors/push-phones.ts";
import { engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { eventsOf } from "../support/report/records.ts";
import { type ServiceUnderTest, serviceForTest, setTenant } from "../support/worlds/service.ts";

const refusal = async (call: Promise<unknown>) => (await failure(call)).reason;

/** A service with ann's app, and a browser that has opened her prompt. */
async function opened(service: ServiceUnderTest, userId = "ann") {
  const shop = application(service);
  const begun = await shop.begin(userId);
  const browser = httpBrowser(service);
  const { location } = await browser.open(begun.promptUrl);
  return { shop, begun, browser, location, promptId: begun.promptId };
}

describe.each(engines)("the hosted prompt on $name", (engine) => {
  test("brings what a user proved back to the application, which gets a session of two factors", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { shop, begun, browser, promptId } = await opened(service);
    const { reply } = await browser.call(promptId, "GetPrompt");
    expect(reply).toMatchObject({ userId: "ann", application: "shop", returnHost: "localhost:4000" });
    expect(reply.challenge?.factors).toMatchObject([{ type: "FACTOR_TYPE_TOTP" }]);
    expect((await browser.prove(promptId, { totpCode: await wrongCode(app) })).reason).toBe("CODE_REJECTED");
    expect((await browser.prove(promptId, { totpCode: await app.code() })).reason).toBe("");
    const { url, code, parameters } = await browser.finish(promptId);
    expect(`${url.origin}${url.pathname}`).toBe(CALLBACK);
    expect(parameters).toEqual({ code, state: begun.state, iss: "mfa-service" });
    const { redeemed } = await shop.redeem(begun, code);
    expect(redeemed).toMatchObject({ factorType: FactorType.TOTP, factorId: app.deviceId, restrictedSession: false });
    expect(redeemed?.assertion).toMatchObject({ acr: "aal2", amr: ["otp", "mfa"] });
  });

  test("gains nothing for who begins a log-in and passes the prompt on unopened: the code goes to the victim's browser", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const shop = application(service);
    // Knows ann's password: the application keeps state and verifier for this browser.
    const attackers = await shop.begin("ann");
    const victim = httpBrowser(service);
    await victim.open(attackers.promptUrl);
    await victim.prove(attackers.promptId, { totpCode: await app.code() });
    const { parameters } = await victim.finish(attackers.promptId);
    // The victim's browser brings the code to an application that keeps nothing for it.
    const keptFor = new Map([["attacker", attackers]]);
    expect(keptFor.get("victim")?.state).not.toBe(parameters.state);
    // The attacker has state and verifier and everything he was given, and no code.
    const attacker = httpBrowser(service);
    expect((await attacker.open(attackers.promptUrl)).location).toBe("/prompt/#closed");
    for (const rpc of ["GetPrompt", "FinishPrompt", "CancelPrompt"]) {
      expect((await attacker.call(attackers.promptId, rpc)).reason).toBe("INVALID_CREDENTIAL");
    }
    const guess = `${attackers.promptId}.${"A".repeat(22)}`;
    expect(await refusal(shop.redeem(attackers, guess))).toBe("CODE_REJECTED");
  });

  test("gains nothing for who opens a prompt and passes it on then: nobody else can prove it", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { begun, browser: attacker, location, promptId } = await opened(service);
    const victim = httpBrowser(service);
    expect((await victim.open(begun.promptUrl)).location).toBe("/prompt/#closed");
    expect(location).toBe(`/prompt/#${promptId}`);
    const { reply } = await attacker.call(promptId, "GetPrompt");
    const proof = { challengeId: reply.challenge?.challengeId, proof: { totpCode: await app.code() } };
    expect((await victim.call(promptId, "VerifyChallenge", proof)).reason).toBe("INVALID_CREDENTIAL");
    expect((await attacker.call(promptId, "FinishPrompt")).reason).toBe("WRONG_STATE");
  });

  test("opens once and within a minute, for one of many who try at the same time", async () => {
    const service = await serviceForTest(engine);
    const shop = application(service);
    const begun = await shop.begin();
    const browsers = Array.from({ length: 12 }, () => httpBrowser(service));
    const led = await Promise.all(browsers.map((browser) => browser.open(begun.promptUrl)));
    expect(led.filter(({ location }) => location === `/prompt/#${begun.promptId}`)).toHaveLength(1);
    const late = await shop.begin();
    service.pass(60_000);
    expect((await httpBrowser(service).open(late.promptUrl)).location).toBe("/prompt/#closed");
    expect((await httpBrowser(service).open("http://x/prompt/open?h=nonsense")).location).toBe("/prompt/#closed");
    expect((await httpBrowser(service).open("http://x/prompt/open")).location).toBe("/prompt/#closed");
  });

  test("takes the cookie of its own browser from pages of its own origin, and no other word", async () => {
    const service = await serviceForTest(engine, { origins: ["https://app.example"] });
    const { browser, promptId } = await opened(service);
    const other = await opened(service);
    const reasonOf = async (id: string, from?: string) => (await browser.call(id, "GetPrompt", {}, from)).reason;
    expect(await reasonOf(promptId)).toBe("");
    expect(await reasonOf(promptId, "https://app.example")).toBe("INVALID_CREDENTIAL");
    expect(await reasonOf(promptId, "null")).toBe("INVALID_CREDENTIAL");
    expect(await reasonOf(other.promptId)).toBe("INVALID_CREDENTIAL");
    // Of another prompt under this one's name, and of no prompt.
    const [name = ""] = browser.jar.keys();
    browser.jar.set(name, [...other.browser.jar.values()][0] ?? "");
    expect(await reasonOf(promptId)).toBe("INVALID_CREDENTIAL");
    browser.jar.set(name, `${promptId}.${"A".repeat(22)}`);
    expect(await reasonOf(promptId)).toBe("INVALID_CREDENTIAL");
  });

  test("allows its browser this prompt's challenge and nothing else of the user", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { browser, promptId } = await opened(service);
    for (const rpc of ["ListFactors", "GenerateBackupCodes", "StepUp", "CreateChallenge", "CancelChallenge"]) {
      expect((await browser.call(promptId, rpc)).reason).toBe("ACCESS_DENIED");
    }
    const own = await service.mfa.createChallenge(
      { terms: { purpose: ChallengePurpose.LOG_IN, audience: "shop" } },
      app.token,
    );
    const other = await opened(service);
    const { reply } = await other.browser.call(other.promptId, "GetPrompt");
    for (const challengeId of [own.challenge?.challengeId, reply.challenge?.challengeId]) {
      expect((await browser.call(promptId, "GetChallenge", { challengeId })).reason).toBe("NOT_FOUND");
    }
  });

  test("sends browsers back to listed addresses only, compared as a whole", async () => {
    const service = await serviceForTest(engine);
    const returnUrls = ["https://shop.example/back?from=mfa"];
    await setTenant(service, { prompt: { clients: [{ clientId: "shop", returnUrls }] } });
    const shop = application(service);
    const begun = await shop.begin("ann", { returnUrl: "https://shop.example/back?from=mfa" });
    const browser = httpBrowser(service);
    await browser.open(begun.promptUrl);
    const { reply } = await browser.call(begun.promptId, "CancelPrompt");
    expect(reply.returnUrl).toContain("https://shop.example/back?from=mfa&error=access_denied");
    for (const [returnUrl, reason] of [
      ["https://shop.example/back", "POLICY_FORBIDS"],
      ["https://shop.example/back?from=mfa&x=1", "POLICY_FORBIDS"],
      ["https://shop.example/back/../evil?from=mfa", "POLICY_FORBIDS"],
      ["https://shop.example.evil.example/back?from=mfa", "POLICY_FORBIDS"],
      ["http://shop.example/back?from=mfa", "POLICY_FORBIDS"],
      ["https://evil.example/?https://shop.example/back?from=mfa", "POLICY_FORBIDS"],
      ["http://localhost.evil.example/", "POLICY_FORBIDS"],
      ["https://shop.example@evil.example/back?from=mfa", "INVALID_FIELD"],
      ["https://shop.example\\.evil.example/", "INVALID_FIELD"],
      ["javascript:alert(1)", "INVALID_FIELD"],
    ] as const) {
      expect([returnUrl, await refusal(shop.begin("ann", { returnUrl }))]).toEqual([returnUrl, reason]);
    }
    const bank = application(service, "bank");
    expect(await refusal(bank.begin("ann", { returnUrl: returnUrls[0] ?? "" }))).toBe("POLICY_FORBIDS");
    const elsewhere = application(service, "shop", "other");
    expect(await refusal(elsewhere.begin("ann", { returnUrl: returnUrls[0] ?? "" }))).toBe("POLICY_FORBIDS");
  });

  test("is redeemed once, by one of many who present the code at the same time", async () => {
    const service = await serviceForTest(engine);
    const { shop, begun, code } = await provenPrompt(service, await enrollApp(service, "ann"));
    const tries = await Promise.allSettled(Array.from({ length: 12 }, () => shop.redeem(begun, code)));
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await refusal(shop.redeem(begun, code))).toBe("CODE_REJECTED");
    expect(await eventsOf(service.store)).toContain("PROOF_REPLAYED REPLAYED");
  });

  test("is of no use to who steals the code: not without the verifier, not as another backend, user or address", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const thefts: readonly ((proven: Awaited<ReturnType<typeof provenPrompt>>) => Promise<unknown>)[] = [
      ({ shop, code }) => shop.redeem({ codeVerifier: "v".repeat(43) }, code),
      ({ code, begun }) => application(service, "bank").redeem(begun, code),
      ({ shop, code, begun }) => shop.redeem(begun, code, { returnUrl: "http://localhost:4000/other" }),
    ];
    for (const steal of thefts) {
      const proven = await provenPrompt(service, app);
      expect(await refusal(steal(proven))).toBe("CODE_REJECTED");
      // It is dead then for the right one too.
      expect(await refusal(proven.shop.redeem(proven.begun, proven.code))).toBe("CODE_REJECTED");
      service.pass(30_000);
    }
    const proven = await provenPrompt(service, app);
    const { shop, begun, code } = proven;
    expect(await refusal(shop.redeem(begun, code, { userId: "bob" }))).toBe("CODE_REJECTED");
    expect(await refusal(application(service, "shop", "other").redeem(begun, code))).toBe("CODE_REJECTED");
    const wrong = `${code.slice(0, -2)}${code.endsWith("AA") ? "BB" : "AA"}`;
    expect(await refusal(shop.redeem(begun, wrong))).toBe("CODE_REJECTED");
    // Whoever cannot say the code has ended nothing.
    expect((await shop.redeem(begun, code)).redeemed?.assertion?.acr).toBe("aal2");
  });

  test("has codes that are good for a minute, and a newer one ends the older", async () => {
    const service = await serviceForTest(engine);
    const { shop, begun, browser, code } = await provenPrompt(service, await enrollApp(service, "ann"));
    const newer = await browser.finish(begun.promptId);
    expect(await refusal(shop.redeem(begun, code))).toBe("CODE_REJECTED");
    service.pass(60_000);
    expect(await refusal(shop.redeem(begun, newer.code))).toBe("CODE_REJECTED");
  });

  test("compares session, nonce and purpose with those that it was created for", async () => {
    const service = await serviceForTest(engine);
    const terms = { purpose: ChallengePurpose.LOG_IN, sessionId: "s1", nonce: "n1" };
    const { shop, begun, code } = await provenPrompt(service, await enrollApp(service, "ann"), { asked: { terms } });
    expect(await refusal(shop.redeem(begun, code))).toBe("ASSERTION_REJECTED");
    expect(await refusal(shop.redeem(begun, code, { sessionId: "s2", nonce: "n1" }))).toBe("ASSERTION_REJECTED");
    const asked = { sessionId: "s1", nonce: "n1" };
    const stepUp = { ...asked, purpose: ChallengePurpose.STEP_UP };
    expect(await refusal(shop.redeem(begun, code, stepUp))).toBe("ASSERTION_REJECTED");
    expect((await shop.redeem(begun, code, asked)).redeemed?.assertion?.acr).toBe("aal2");
  });

  test("has a challenge that no backend reads, proves or redeems by its id, and no other session", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { browser, promptId } = await opened(service);
    const { reply } = await browser.call(promptId, "GetPrompt");
    const { challengeId = "" } = reply.challenge ?? {};
    const token = await backendOf(service);
    const client = { ip: "203.0.113.7" };
    const proof = totp(await app.code());
    const key = { userId: "ann", challengeId };
    expect(await refusal(service.internal.getUserChallenge(key, token))).toBe("NOT_FOUND");
    expect(await refusal(service.internal.verifyUserChallenge({ ...key, proof, client }, token))).toBe("NOT_FOUND");
    expect(await refusal(service.mfa.verifyChallenge({ challengeId, proof }, app.token))).toBe("NOT_FOUND");
    expect(await refusal(service.mfa.stepUp({ challengeId, proof }, app.token))).toBe("NOT_FOUND");
    expect((await browser.prove(promptId, { totpCode: await app.code() })).reason).toBe("");
    expect(await refusal(service.internal.redeemChallenge({ ...key, client }, token))).toBe("NOT_FOUND");
  });

  test("never lets a user without a factor in, whatever EvaluateMfa has decided", async () => {
    const service = await serviceForTest(engine);
    const client = { ip: "203.0.113.7" };
    const token = await backendOf(service);
    const { decisionId, decision } = await service.internal.evaluateMfa({ userId: "new", client }, token);
    expect(decision).toBe(1);
    const shop = application(service);
    const begun = await shop.begin("new", { decisionId });
    const browser = httpBrowser(service);
    await browser.open(begun.promptUrl);
    const { reply } = await browser.call(begun.promptId, "GetPrompt");
    expect(reply.challenge?.factors).toBeUndefined();
    expect((await browser.prove(begun.promptId, { totpCode: "123456" })).reason).toBe("CODE_REJECTED");
    expect((await browser.call(begun.promptId, "FinishPrompt")).reason).toBe("WRONG_STATE");
    const ended = await browser.call(begun.promptId, "CancelPrompt");
    const parameters = Object.fromEntries(leadsTo(ended.reply).searchParams);
    expect(parameters).toEqual({
      ...{ error: "access_denied", mfa_error: "no_factor", state: begun.state, iss: "mfa-service" },
    });
  });

  test("sends nothing and rings no phone before the user asks for it on the page", async () => {
    const service = await serviceForTest(engine);
    await switchOn(service);
    await enrollPhone(service, "ann");
    const messages = async () => {
      const { messages: found } = await service.internal.listInboxMessages({}, await service.backend("mfa.dev"));
      return found.filter(({ code }) => code !== "").length;
    };
    const before = await messages();
    const { browser, promptId } = await opened(service);
    const { reply } = await browser.call(promptId, "GetPrompt");
    expect(await messages()).toBe(before);
    const { challengeId = "" } = reply.challenge ?? {};
    const factorType = "FACTOR_TYPE_SMS";
    expect((await browser.call(promptId, "ResendChallenge", { challengeId, factorType })).reason).toBe("");
    await expect.poll(messages).toBe(before + 1);
  });

  test("is proved by the phone that its own page asked, with the number that stands there", async () => {
    const service = await serviceForTest(engine);
    await switchPushOn(service);
    const phone = await pairPhone(service, "ann");
    const { browser, promptId, shop, begun } = await opened(service);
    const { reply } = await browser.call(promptId, "GetPrompt");
    const { challengeId = "" } = reply.challenge ?? {};
    const factorType = "FACTOR_TYPE_PUSH";
    const asked = await browser.call(promptId, "ResendChallenge", { challengeId, factorType });
    const [waiting] = await phone.pending();
    if (waiting) await phone.approve(waiting, asked.reply.preparation?.push?.number ?? "");
    const { code } = await browser.finish(promptId);
    expect((await shop.redeem(begun, code)).redeemed).toMatchObject({ factorType: FactorType.PUSH });
  });

  test("goes on in each of several prompts of one browser by itself", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const shop = application(service);
    const browser = httpBrowser(service);
    const [one, two] = [await shop.begin(), await shop.begin()];
    await browser.open(one.promptUrl);
    await browser.open(two.promptUrl);
    expect(browser.jar.size).toBe(2);
    await browser.prove(one.promptId, { totpCode: await app.code() });
    expect((await browser.call(two.promptId, "FinishPrompt")).reason).toBe("WRONG_STATE");
    const { code } = await browser.finish(one.promptId);
    expect(await refusal(shop.redeem(two, code))).toBe("CODE_REJECTED");
  });

  test("says in which other network or browser the log-in was begun", async () => {
    const service = await serviceForTest(engine);
    const shop = application(service);
    const begun = await shop.begin("ann", { client: { ip: "203.0.113.7", userAgent: "Mozilla/5.0 Elsewhere" } });
    const browser = httpBrowser(service);
    await browser.open(begun.promptUrl);
    const { reply } = await browser.call(begun.promptId, "GetPrompt");
    expect(reply).toMatchObject({ otherNetwork: true, otherBrowser: true });
  });

  test("ends when it is cancelled, with its challenge, and when its time is over", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const { shop, begun, browser, code } = await provenPrompt(service, app);
    const { reply } = await browser.call(begun.promptId, "CancelPrompt");
    expect(leadsTo(reply).searchParams.get("mfa_error")).toBe("cancelled");
    expect((await browser.call(begun.promptId, "GetPrompt")).reason).toBe("INVALID_CREDENTIAL");
    expect(await refusal(shop.redeem(begun, code))).toBe("CODE_REJECTED");
    const late = await opened(service);
    service.pass(10 * 60_000);
    expect((await late.browser.call(late.promptId, "GetPrompt")).reason).toBe("INVALID_CREDENTIAL");
  });

  test("keeps handle, cookie and code out of log, rows, referrers and history", async () => {
    const service = await serviceForTest(engine);
    const app = await enrollApp(service, "ann");
    const shop = application(service);
    const begun = await shop.begin();
    const browser = httpBrowser(service);
    const { headers, location, status } = await browser.open(begun.promptUrl);
    expect([status, location]).toEqual([303, `/prompt/#${begun.promptId}`]);
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("set-cookie")).toMatch(
      /^__Host-mfa_prompt_[\w-]{22}=[\w.-]+; Path=\/; Max-Age=\d+; Secure; HttpOnly; SameSite=Strict$/,
    );
    await browser.prove(begun.promptId, { totpCode: await app.code() });
    const { code } = await browser.finish(begun.promptId);
    await shop.redeem(begun, code);
    const handle = new URL(begun.promptUrl).searchParams.get("h") ?? "";
    const kept = `${service.log.join("")}${JSON.stringify(await rowsIn(service.store, prompts))}`;
    for (const secret of [handle, [...browser.jar.values()][0] ?? "", code]) {
      expect(secret.split(".")[1]).toMatch(/^[\w-]{22}$/);
      expect(kept).not.toContain(secret.split(".")[1]);
    }
  });

  test("trusts the client along with the proof, and speaks the language that the backend asks for", async () => {
    const service = await serviceForTest(engine);
    await setTenant(service, { trustedDevices: { enabled: true } });
    const asked = { locale: "de" };
    const { shop, begun, browser, code } = await provenPrompt(service, await enrollApp(service, "ann"), { asked });
    expect((await browser.call(begun.promptId, "GetPrompt")).reply).toMatchObject({ locale: "de" });
    const { redeemed } = await shop.redeem(begun, code, { trust: { clientId: "web" } });
    expect(redeemed?.trustToken).not.toBe("");
  });

  test("is forgotten with its user", async () => {
    const service = await serviceForTest(engine);
    await opened(service);
    expect(await rowsIn(service.store, prompts)).toHaveLength(1);
    const request = { userId: "ann", erasureId: "0190b4a2-7c1e-7a3b-9d2f-3a4b5c6d7e8f" };
    await service.internal.eraseUser(request, await service.backend("mfa.erase"));
    expect(await rowsIn(service.store, prompts)).toHaveLength(0);
  });
});

// The ways to phones beside fakes of their providers: servers on loopback that speak the providers' wire formats.
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { describe, expect, test } from "vitest";
import type { Outgoing } from "../../src/delivery/provider.ts";
import { openPushCarrier, type PushCarrierOptions } from "../../src/delivery/push-carriers.ts";
import type { EncodedVapidKey } from "../../src/delivery/web-push.ts";
import { fakeApns } from "../support/fakes/apns.ts";
import { fakeFcm } from "../support/fakes/fcm.ts";
import { httpPeer } from "../support/fakes/http-peer.ts";
import { silentServer } from "../support/fakes/mail-server.ts";
import { fakeWebPush } from "../support/fakes/web-push.ts";
import { owner } from "../support/worlds/outbox.ts";

const MINUTE = 60_000;

/** A clock that the test moves, and a message that two minutes are left for. */
function beginning() {
  const clock = { now: new Date("2026-03-01T12:00:00.000Z") };
  const message: Outgoing = {
    owner,
    messageId: "0195f3a0-0000-7000-8000-000000000001",
    idempotencyKey: "push.challenge.device",
    channel: "web-push",
    kind: "push_challenge",
    data: { deviceId: "device", pushChallengeId: "challenge" },
    content: {},
    createTime: clock.now,
    expireTime: new Date(clock.now.getTime() + 2 * MINUTE),
  };
  return { clock, message, at: () => clock.now };
}

/** The key of a tenant for Web Push. */
function vapidKey(): EncodedVapidKey {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    privateKey,
    publicKey: publicKey.export({ format: "der", type: "spki" }).subarray(-65).toString("base64url"),
  };
}

/** Opens a way to phones, and answers what tells one. */
async function opened(options: PushCarrierOptions, { message, at }: ReturnType<typeof beginning>, key = vapidKey()) {
  const carrier = await openPushCarrier(options, { clock: at, vapidKeyOf: async () => key });
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  const carry = (address: Record<string, string>, signal = AbortSignal.timeout(15_000)) =>
    carrier.carry({ pushChallengeId: "challenge", address }, message, signal);
  return {
    key,
    carry,
    toBrowser: ({ endpoint, p256dh, auth }: { endpoint: string; p256dh: Uint8Array; auth: Uint8Array }) =>
      carry({ endpoint, p256dh: base64(p256dh), auth: base64(auth) }),
  };
}

describe("Web Push, beside a fake push service", () => {
  test("brings a browser the challenge's id and nothing else, encrypted for it alone, by a sender that signs", async () => {
    const at = beginning();
    const service = await fakeWebPush(at.at);
    const { key, toBrowser } = await opened(service.settings, at);
    const [browser, other] = [service.subscribe(key.publicKey), service.subscribe(key.publicKey)];
    expect(await toBrowser(browser.subscription)).toEqual({ outcome: "delivered" });
    const posted = await service.taken.nth(1);
    expect(posted.subject).toBe("mailto:ops@example.com");
    expect(posted.headers).toMatchObject({ ttl: "120", urgency: "high", topic: "mfa" });
    expect(browser.read(posted)).toEqual({ push_challenge_id: "challenge" });
    expect(() => other.read(posted)).toThrow();
    expect(posted.body.toString("latin1")).not.toContain("challenge");
  });

  test("never encrypts twice alike", async () => {
    const at = beginning();
    const service = await fakeWebPush(at.at);
    const { key, toBrowser } = await opened(service.settings, at);
    const browser = service.subscribe(key.publicKey);
    for (let n = 0; n < 2; n++) await toBrowser(browser.subscription);
    const [first, second] = service.taken.arrived.map(({ body }) => body);
    // Salt and our key of the moment are the first 86 bytes.
    expect(first?.subarray(0, 16)).not.toEqual(second?.subarray(0, 16));
    expect(first?.subarray(21, 86)).not.toEqual(second?.subarray(21, 86));
  });

  test("is refused, and tried no more, where the subscription is another sender's", async () => {
    const at = beginning();
    const service = await fakeWebPush(at.at);
    const { toBrowser } = await opened(service.settings, at);
    const browser = service.subscribe(vapidKey().publicKey);
    expect(await toBrowser(browser.subscription)).toEqual({ outcome: "refused", error: "WEB_PUSH_403" });
  });

  test.each([
    [404, { outcome: "gone", error: "WEB_PUSH_404" }],
    [410, { outcome: "gone", error: "WEB_PUSH_410" }],
    [400, { outcome: "refused", error: "WEB_PUSH_400" }],
    [413, { outcome: "refused", error: "WEB_PUSH_413" }],
    [429, { outcome: "retry", error: "WEB_PUSH_429" }],
    [500, { outcome: "retry", error: "WEB_PUSH_500" }],
    [503, { outcome: "retry", error: "WEB_PUSH_503" }],
    [307, { outcome: "refused", error: "WEB_PUSH_307" }],
  ])("answered with %i is %o, and no redirect is followed", async (status, outcome) => {
    const at = beginning();
    const service = await fakeWebPush(at.at, () => ({ status }));
    const { key, toBrowser } = await opened(service.settings, at);
    expect(await toBrowser(service.subscribe(key.publicKey).subscription)).toEqual(outcome);
    expect(service.asked.arrived).toHaveLength(1);
  });

  test.each([
    ["60", 60_000],
    ["Sun, 01 Mar 2026 12:01:30 GMT", 90_000],
    ["Sun, 01 Mar 2026 11:59:00 GMT", undefined],
    ["soon", undefined],
  ])("that asks for a pause of %j is told as asking for %s ms, as FCM and webhooks are", async (retryAfter, asked) => {
    const at = beginning();
    const no = { status: 429, retryAfter };
    const later = asked === undefined ? {} : { retryAfterMs: asked };
    const service = await fakeWebPush(at.at, () => no);
    const { key, toBrowser } = await opened(service.settings, at);
    const outcome = await toBrowser(service.subscribe(key.publicKey).subscription);
    expect(outcome).toEqual({ outcome: "retry", error: "WEB_PUSH_429", ...later });
    const fcm = await fakeFcm(at.at, { send: () => ({ ...no, reason: "QUOTA_EXCEEDED" }) });
    const toApp = await (await opened(fcm.settings, at)).carry({ token: "a" });
    expect(toApp).toEqual({ outcome: "retry", error: "FCM_QUOTA_EXCEEDED", ...later });
    const peer = await httpPeer(() => ({ status: 429, headers: { "retry-after": retryAfter } }));
    const webhook = { kind: "webhook", url: peer.url, secret: `whsec_${randomBytes(32).toString("base64")}` } as const;
    const toTablet = await (await opened(webhook, at)).carry({ token: "tablet-7" });
    expect(toTablet).toEqual({ outcome: "retry", error: "HTTP_429", ...later });
  });

  test("is not given to a server whose certificate nobody vouches for", async () => {
    const at = beginning();
    const service = await fakeWebPush(at.at);
    const { key, toBrowser } = await opened({ ...service.settings, caFile: undefined }, at);
    await expect(toBrowser(service.subscribe(key.publicKey).subscription)).rejects.toThrow(/certificate/);
    expect(service.asked.arrived).toEqual([]);
  });
});

describe("FCM, beside a fake of its HTTP v1 API and of Google's token endpoint", () => {
  test("tells an app the challenge's id, for as long as it is worth anything, under one token for all", async () => {
    const at = beginning();
    const fcm = await fakeFcm(at.at);
    const { carry } = await opened(fcm.settings, at);
    const all = await Promise.all(["a", "b", "c"].map((token) => carry({ token })));
    expect(all).toEqual(all.map(() => ({ outcome: "delivered" })));
    expect(fcm.sent.arrived[0]).toEqual({
      token: "a",
      data: { push_challenge_id: "challenge" },
      android: { priority: "HIGH", ttl: "120s" },
    });
    expect(fcm.granted).toHaveLength(1);
    at.clock.now = new Date(at.clock.now.getTime() + 58 * MINUTE);
    await carry({ token: "d" });
    expect(fcm.granted).toHaveLength(1);
    at.clock.now = new Date(at.clock.now.getTime() + MINUTE);
    expect(await carry({ token: "e" })).toEqual({ outcome: "delivered" });
    expect(fcm.granted).toHaveLength(2);
  });

  test.each([
    [
      { status: 404, reason: "UNREGISTERED" },
      { outcome: "gone", error: "FCM_UNREGISTERED" },
    ],
    [
      { status: 400, reason: "INVALID_ARGUMENT" },
      { outcome: "refused", error: "FCM_INVALID_ARGUMENT" },
    ],
    // By a wrong project of ours, as well as by a wrong app: no reason to forget where everybody is.
    [
      { status: 403, reason: "SENDER_ID_MISMATCH" },
      { outcome: "refused", error: "FCM_SENDER_ID_MISMATCH" },
    ],
    [{ status: 404 }, { outcome: "refused", error: "FCM_NOT_FOUND" }],
    [
      { status: 429, reason: "QUOTA_EXCEEDED" },
      { outcome: "retry", error: "FCM_QUOTA_EXCEEDED" },
    ],
    [
      { status: 500, reason: "INTERNAL" },
      { outcome: "retry", error: "FCM_INTERNAL" },
    ],
    [
      { status: 503, reason: "UNAVAILABLE" },
      { outcome: "retry", error: "FCM_UNAVAILABLE" },
    ],
  ])("answered with %o is %o", async (no, outcome) => {
    const at = beginning();
    const fcm = await fakeFcm(at.at, { send: () => no });
    const { carry } = await opened(fcm.settings, at);
    expect(await carry({ token: "a" })).toEqual(outcome);
  });

  test("asks for another token once its own is refused", async () => {
    const at = beginning();
    const fcm = await fakeFcm(at.at);
    const { carry } = await opened(fcm.settings, at);
    await carry({ token: "a" });
    fcm.revoke();
    expect(await carry({ token: "a" })).toMatchObject({ outcome: "denied" });
    expect(await carry({ token: "a" })).toEqual({ outcome: "delivered" });
    expect(fcm.granted).toHaveLength(2);
  });

  test.each([
    [{ status: 503, reason: "internal_failure" }, "FCM_TOKEN_503", "retry"],
    [{ status: 429, reason: "slow_down" }, "FCM_TOKEN_429", "retry"],
    [{ status: 400, reason: "invalid_grant" }, "FCM_TOKEN_400", "denied"],
  ] as const)("sends nothing where no token is given, and asks again: %o", async (no, error, outcome) => {
    const at = beginning();
    let answer: typeof no | undefined = no;
    const fcm = await fakeFcm(at.at, { token: () => answer });
    const { carry } = await opened(fcm.settings, at);
    expect(await carry({ token: "a" })).toEqual({ outcome, error });
    expect(fcm.sent.arrived).toEqual([]);
    answer = undefined;
    expect(await carry({ token: "a" })).toEqual({ outcome: "delivered" });
  });

  test("gets no token by the key of another account", async () => {
    const at = beginning();
    const [fcm, other] = [await fakeFcm(at.at), await fakeFcm(at.at)];
    const account = JSON.parse(fcm.settings.serviceAccount);
    const { private_key } = JSON.parse(other.settings.serviceAccount);
    const serviceAccount = JSON.stringify({ ...account, private_key });
    const { carry } = await opened({ ...fcm.settings, serviceAccount }, at);
    expect(await carry({ token: "a" })).toEqual({ outcome: "denied", error: "FCM_TOKEN_400" });
  });

  test("one that gives up its wait takes the token of nobody else", async () => {
    const at = beginning();
    const fcm = await fakeFcm(at.at);
    const { carry } = await opened(fcm.settings, at);
    const [given, kept] = await Promise.allSettled([carry({ token: "a" }, AbortSignal.abort()), carry({ token: "b" })]);
    expect(given.status).toBe("rejected");
    expect(kept).toMatchObject({ value: { outcome: "delivered" } });
    expect(fcm.sent.arrived.map(({ token }) => token)).toEqual(["b"]);
  });
});

describe("APNs, beside a fake of it over HTTP/2", () => {
  const token = "ab".repeat(32);

  test("tells an app the challenge's id, with a text of the app's own, by one connection and one provider token", async () => {
    const at = beginning();
    const apns = await fakeApns(at.at);
    const { carry } = await opened(apns.settings, at);
    for (let n = 0; n < 3; n++) expect(await carry({ token })).toEqual({ outcome: "delivered" });
    const { headers, payload } = await apns.sent.nth(1);
    expect(headers).toMatchObject({
      ":path": `/3/device/${token}`,
      "apns-id": at.message.messageId,
      "apns-priority": "10",
      "apns-expiration": String(at.message.expireTime.getTime() / 1000),
    });
    expect(payload).toEqual({
      aps: { alert: { "loc-key": "MFA_APPROVAL_REQUEST" }, sound: "default", "mutable-content": 1 },
      push_challenge_id: "challenge",
    });
    expect(apns.sessions).toHaveLength(1);
    const bearers = () => new Set(apns.sent.arrived.map(({ headers: { authorization } }) => authorization)).size;
    expect(bearers()).toBe(1);
    at.clock.now = new Date(at.clock.now.getTime() + 51 * MINUTE);
    expect(await carry({ token })).toEqual({ outcome: "delivered" });
    expect(bearers()).toBe(2);
  });

  test.each([
    [
      { status: 410, reason: "Unregistered" },
      { outcome: "gone", error: "APNS_UNREGISTERED" },
    ],
    [
      { status: 410, reason: "ExpiredToken" },
      { outcome: "gone", error: "APNS_EXPIRED_TOKEN" },
    ],
    // Also what the wrong environment or topic of ours brings, for every phone: no reason to forget them all.
    [
      { status: 400, reason: "BadDeviceToken" },
      { outcome: "refused", error: "APNS_BAD_DEVICE_TOKEN" },
    ],
    [
      { status: 400, reason: "DeviceTokenNotForTopic" },
      { outcome: "refused", error: "APNS_DEVICE_TOKEN_NOT_FOR_TOPIC" },
    ],
    [
      { status: 403, reason: "InvalidProviderToken" },
      { outcome: "denied", error: "APNS_INVALID_PROVIDER_TOKEN" },
    ],
    [
      { status: 413, reason: "PayloadTooLarge" },
      { outcome: "refused", error: "APNS_PAYLOAD_TOO_LARGE" },
    ],
    [
      { status: 429, reason: "TooManyRequests" },
      { outcome: "retry", error: "APNS_TOO_MANY_REQUESTS" },
    ],
    [
      { status: 500, reason: "InternalServerError" },
      { outcome: "retry", error: "APNS_INTERNAL_SERVER_ERROR" },
    ],
    [
      { status: 503, reason: "ServiceUnavailable" },
      { outcome: "retry", error: "APNS_SERVICE_UNAVAILABLE" },
    ],
    [
      { status: 503, reason: "<b>4 words that are no reason</b>" },
      { outcome: "retry", error: "APNS_503" },
    ],
    [{ status: 503 }, { outcome: "retry", error: "APNS_503" }],
  ])("answered with %o is %o", async (no, outcome) => {
    const at = beginning();
    const apns = await fakeApns(at.at, () => no);
    const { carry } = await opened(apns.settings, at);
    expect(await carry({ token })).toEqual(outcome);
  });

  test("makes another provider token once its own has expired for Apple", async () => {
    const at = beginning();
    const apns = await fakeApns(
      () => new Date(at.clock.now.getTime() + (apns.sent.arrived.length > 0 ? 0 : 70 * MINUTE)),
    );
    const { carry } = await opened(apns.settings, at);
    expect(await carry({ token })).toEqual({ outcome: "retry", error: "APNS_EXPIRED_PROVIDER_TOKEN" });
    at.clock.now = new Date(at.clock.now.getTime() + 1_000);
    expect(await carry({ token })).toEqual({ outcome: "delivered" });
    const [first, second] = apns.sent.arrived.map(({ headers: { authorization } }) => authorization);
    expect(first).not.toBe(second);
  });

  test.each([
    ["says that it goes away", (session: import("node:http2").Http2Session) => session.goaway()],
    ["closes it", (session: import("node:http2").Http2Session) => session.close()],
    ["cuts it", (session: import("node:http2").Http2Session) => session.destroy()],
  ])("goes by a new connection once the server %s", async (_, end) => {
    const at = beginning();
    const apns = await fakeApns(at.at);
    const { carry } = await opened(apns.settings, at);
    await carry({ token });
    const [session] = apns.sessions;
    if (!session) throw new Error("no connection");
    end(session);
    // What meets the end is tried again, as the outbox does with whatever is thrown.
    let outcome: unknown;
    for (let n = 0; n < 50 && !outcome; n++) outcome = await carry({ token }).catch(() => undefined);
    expect(outcome).toEqual({ outcome: "delivered" });
    expect(apns.sent.arrived.at(-1)?.connection).toBeGreaterThan(1);
  });

  test("a message that the server drops half-way fails, and the next one goes", async () => {
    const at = beginning();
    let drops = true;
    const apns = await fakeApns(at.at, () => {
      if (drops) apns.sessions.at(-1)?.destroy();
      return undefined;
    });
    const { carry } = await opened(apns.settings, at);
    await expect(carry({ token })).rejects.toThrow();
    drops = false;
    expect(await carry({ token })).toEqual({ outcome: "delivered" });
  });

  test("is not given to a server whose certificate nobody vouches for, nor to none", async () => {
    const at = beginning();
    const apns = await fakeApns(at.at);
    for (const change of [{ caFile: undefined }, { baseUrl: "https://localhost:1" }]) {
      const { carry } = await opened({ ...apns.settings, ...change }, at);
      await expect(carry({ token })).rejects.toThrow();
    }
    expect(apns.sent.arrived).toEqual([]);
  });

  test("takes another connection once one has gone silent", async () => {
    const at = beginning();
    const [asked, stop] = [Promise.withResolvers<void>(), new AbortController()];
    const apns = await fakeApns(at.at, ({ connection }) => {
      if (connection > 1) return undefined;
      asked.resolve();
      return "silence";
    });
    const { carry } = await opened(apns.settings, at);
    const carried = carry({ token }, stop.signal);
    await asked.promise;
    stop.abort();
    await expect(carried).rejects.toThrow();
    expect(await carry({ token })).toEqual({ outcome: "delivered" });
  });

  test("ends with the signal where nobody answers", async () => {
    const at = beginning();
    const silent = await silentServer();
    const apns = await fakeApns(at.at);
    const { carry } = await opened({ ...apns.settings, baseUrl: `https://localhost:${silent.port}` }, at);
    const stop = new AbortController();
    const carried = carry({ token }, stop.signal);
    await silent.connected;
    stop.abort();
    await expect(carried).rejects.toThrow();
  });
});

describe("a signed webhook for phones, as the npm package standardwebhooks judges it", () => {
  const secret = `whsec_${randomBytes(32).toString("base64")}`;

  test("brings target and challenge, signed, under the message's own id", async () => {
    const at = beginning();
    // The package knows no clock but the machine's.
    at.clock.now = new Date();
    const peer = await httpPeer();
    const { carry } = await opened({ kind: "webhook", url: `${peer.url}/push`, secret }, at);
    expect(await carry({ token: "tablet-7" })).toEqual({ outcome: "delivered" });
    const { body, headers } = await peer.request();
    const said = new Webhook(secret).verify(body, headers as Record<string, string>);
    expect(said).toMatchObject({
      type: "message.push",
      data: {
        ...{ tenant_id: "dev", kind: "push_challenge", target: "tablet-7", push_challenge_id: "challenge" },
        expire_time: at.message.expireTime.toISOString(),
      },
    });
    expect(headers["webhook-id"]).toBe("push.challenge.device");
    const other = new Webhook(`whsec_${randomBytes(32).toString("base64")}`);
    expect(() => other.verify(body, headers as Record<string, string>)).toThrow();
  });

  test.each([
    [410, { outcome: "gone", error: "HTTP_410" }],
    [404, { outcome: "denied", error: "HTTP_404" }],
    [429, { outcome: "retry", error: "HTTP_429" }],
    [503, { outcome: "retry", error: "HTTP_503" }],
  ])("answered with %i is %o", async (status, outcome) => {
    const at = beginning();
    const peer = await httpPeer(() => ({ status }));
    const { carry } = await opened({ kind: "webhook", url: peer.url, secret }, at);
    expect(await carry({ token: "tablet-7" })).toEqual(outcome);
  });
});

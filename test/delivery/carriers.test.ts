import { createHmac, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Letter } from "../../src/delivery/carrier.ts";
import { type CarrierOptions, openCarrier } from "../../src/delivery/carriers.ts";
import type { Outgoing } from "../../src/delivery/provider.ts";
import { type Answer, httpPeer, type Received } from "../support/fakes/http-peer.ts";
import { credentials, mailServer, silentServer } from "../support/fakes/mail-server.ts";
import { owner } from "../support/worlds/outbox.ts";

const now = new Date("2026-03-01T12:00:00.000Z");
const message: Outgoing = {
  owner,
  messageId: "0195-m",
  idempotencyKey: "0195-k",
  channel: "email",
  kind: "code",
  data: {},
  content: { code: "123456" },
  createTime: now,
  expireTime: new Date(now.getTime() + 300_000),
};
const letter: Letter = { to: "ann@example.com", subject: "Your code", text: "123456 is your code.\n" };

const carry = async (options: CarrierOptions, changes: Partial<Letter> = {}, signal = AbortSignal.timeout(15_000)) => {
  const carrier = await openCarrier(options, () => now);
  return carrier.carry({ ...letter, ...changes }, message, signal);
};

describe("mail by SMTP", () => {
  test("goes out encrypted, logged in, as plain text that says it is automatic", async () => {
    const server = await mailServer();
    expect(await carry(server.settings)).toEqual({ outcome: "delivered" });
    const { mail, encrypted, user, to } = await server.mail();
    expect({ encrypted, user, to }).toEqual({ encrypted: true, user: credentials.user, to: ["ann@example.com"] });
    expect(mail).toMatchObject({
      from: { address: "no-reply@example.com", name: "Example" },
      to: [{ address: "ann@example.com" }],
      subject: "Your code",
      text: "123456 is your code.\n",
      messageId: "<0195-k@example.com>",
    });
    expect(mail.html).toBeUndefined();
    expect(mail.headers).toContainEqual(expect.objectContaining({ key: "auto-submitted", value: "auto-generated" }));
  });

  test("goes out by TLS from the first byte where it is set so", async () => {
    const server = await mailServer({ options: { secure: true } });
    expect(await carry(server.settings)).toEqual({ outcome: "delivered" });
    expect((await server.mail()).encrypted).toBe(true);
  });

  test("is never sent in clear: not to a server without STARTTLS", async () => {
    const server = await mailServer({
      options: { hideSTARTTLS: true, disabledCommands: ["STARTTLS"], authOptional: true },
    });
    expect(await carry({ ...server.settings, user: undefined })).toMatchObject({ outcome: "denied" });
    expect(server.arrived).toEqual([]);
  });

  test("is not given to a server whose certificate nobody vouches for", async () => {
    const server = await mailServer();
    const outcome = await carry({ ...server.settings, caFile: undefined });
    expect(outcome).toMatchObject({ outcome: "retry" });
    expect(server.arrived).toEqual([]);
  });

  test.each([
    [451, "retry"],
    [452, "retry"],
    [550, "gone"],
    [551, "gone"],
    [553, "gone"],
    [552, "refused"],
    [554, "refused"],
  ] as const)("to a recipient answered with %i is %s", async (code, outcome) => {
    const server = await mailServer({ refuse: () => code });
    expect(await carry(server.settings)).toEqual({ outcome, error: `SMTP_${code}` });
  });

  test.each([
    [451, "retry"],
    [554, "refused"],
  ] as const)("whose text is answered with %i is %s", async (code, outcome) => {
    const server = await mailServer({ refuseText: () => code });
    expect(await carry(server.settings)).toEqual({ outcome, error: `SMTP_${code}` });
  });

  test("is denied to us where the log-in fails or is missing, and where our sender or host is not wanted", async () => {
    const server = await mailServer();
    const wrong = { ...server.settings, password: "wrong" };
    expect(await carry(wrong)).toEqual({ outcome: "denied", error: "SMTP_535" });
    expect(await carry({ ...server.settings, user: undefined })).toEqual({ outcome: "denied", error: "SMTP_530" });
    const no = (responseCode: number) => Object.assign(new Error("no"), { responseCode });
    const picky = await mailServer({ options: { onMailFrom: (_address, _session, done) => done(no(553)) } });
    expect(await carry(picky.settings)).toEqual({ outcome: "denied", error: "SMTP_553" });
    const noRelay = Object.assign(new Error("5.7.1 relay access denied"), { responseCode: 550 });
    const relay = await mailServer({ options: { onRcptTo: (_address, _session, done) => done(noRelay) } });
    expect(await carry(relay.settings)).toEqual({ outcome: "denied", error: "SMTP_550" });
    const closed = await mailServer({ options: { onConnect: (_session, done) => done(no(554)) } });
    expect(await carry(closed.settings)).toEqual({ outcome: "denied", error: "SMTP_554" });
  });

  test("is to be tried again where nobody listens, and where nobody answers", { timeout: 20_000 }, async () => {
    const server = await mailServer();
    const silent = await silentServer();
    const nobody = await carry({ ...server.settings, port: 1 });
    expect(nobody).toMatchObject({ outcome: "retry" });
    expect(await carry({ ...server.settings, port: silent.port })).toEqual({ outcome: "retry", error: "ETIMEDOUT" });
  });

  test("is given up with the signal, connection and all, where an answer never ends", async () => {
    const server = await mailServer();
    // A time-out of the connection's never comes: there is always something to read.
    const endless = await silentServer("250-one moment\r\n");
    const stop = new AbortController();
    const carried = carry({ ...server.settings, port: endless.port }, {}, stop.signal);
    await endless.connected;
    stop.abort();
    expect(await carried).toMatchObject({ outcome: "retry" });
    await endless.abandoned;
  });

  test("cannot be given headers, recipients or files by what is in it", async () => {
    const server = await mailServer();
    await carry(server.settings, {
      subject: "hi\r\nBcc: eve@example.com",
      text: "Content-Type: text/html\r\n\r\n.\r\n<script>",
    });
    const { mail, to } = await server.mail();
    expect(to).toEqual(["ann@example.com"]);
    expect(mail.bcc).toBeUndefined();
    expect(mail.html).toBeUndefined();
  });
});

describe("messages by a signed webhook", () => {
  const key = randomBytes(32);
  const secret = `whsec_${key.toString("base64")}`;
  const settings = (url: string) => ({ kind: "webhook", url: `${url}/messages`, secret }) as const;
  /** Standard Webhooks, as a receiver checks it. */
  const isSigned = ({ headers, body }: Received) => {
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    return headers["webhook-signature"] === `v1,${createHmac("sha256", key).update(signed).digest("base64")}`;
  };

  test("carry everything, signed, under the message's own id", async () => {
    const peer = await httpPeer((request) => ({ status: isSigned(request) ? 204 : 401 }));
    expect(await carry(settings(peer.url))).toEqual({ outcome: "delivered" });
    const { method, url, headers, body } = await peer.request();
    expect({ method, url, type: headers["content-type"] }).toEqual({
      ...{ method: "POST", url: "/messages", type: "application/json" },
    });
    expect(headers["webhook-id"]).toBe("0195-k");
    expect(headers["webhook-timestamp"]).toBe(String(now.getTime() / 1000));
    expect(JSON.parse(body)).toEqual({
      type: "message.email",
      timestamp: now.toISOString(),
      data: {
        ...{ tenant_id: "dev", channel: "email", kind: "code", to: "ann@example.com" },
        ...{ subject: "Your code", text: "123456 is your code.\n", expire_time: "2026-03-01T12:05:00.000Z" },
      },
    });
  });

  test("are denied to us by a receiver with another secret", async () => {
    const peer = await httpPeer((request) => ({ status: isSigned(request) ? 204 : 401 }));
    const other = { ...settings(peer.url), secret: `whsec_${randomBytes(32).toString("base64")}` };
    expect(await carry(other)).toEqual({ outcome: "denied", error: "HTTP_401" });
  });

  test.each([
    [200, { outcome: "delivered" }],
    [301, { outcome: "denied", error: "HTTP_301" }],
    [403, { outcome: "denied", error: "HTTP_403" }],
    [400, { outcome: "refused", error: "HTTP_400" }],
    [404, { outcome: "denied", error: "HTTP_404" }],
    [405, { outcome: "denied", error: "HTTP_405" }],
    [410, { outcome: "gone", error: "HTTP_410" }],
    [429, { outcome: "retry", error: "HTTP_429" }],
    [503, { outcome: "retry", error: "HTTP_503" }],
  ])("answered with %i are %o", async (status, outcome) => {
    const peer = await httpPeer(() => ({ status, headers: { location: "http://127.0.0.1:1/" } }));
    expect(await carry(settings(peer.url))).toEqual(outcome);
    expect(peer.received).toHaveLength(1);
  });

  test("end with the signal where nobody answers", async () => {
    const silent = await silentServer();
    const stop = new AbortController();
    const carried = carry(settings(`http://127.0.0.1:${silent.port}`), {}, stop.signal);
    await silent.connected;
    stop.abort();
    await expect(carried).rejects.toThrow();
  });
});

describe("text messages by Twilio", () => {
  const account = { accountSid: `AC${"0".repeat(32)}`, authToken: "t0ken" };
  const settings = (baseUrl: string, from = "+15550006789") => ({ kind: "twilio", ...account, from, baseUrl }) as const;
  /** As Twilio's API answers (twilio.com/docs/sms/api/message-resource, /docs/api/errors). */
  const twilio =
    (error?: { status: number; code: number }) =>
    ({ headers }: Received): Answer => {
      const expected = `Basic ${Buffer.from(`${account.accountSid}:${account.authToken}`).toString("base64")}`;
      const json = (status: number, body: object) => ({ status, body: JSON.stringify(body) });
      if (headers.authorization !== expected) return json(401, { code: 20003, message: "Authenticate", status: 401 });
      if (error) return json(error.status, { ...error, message: "to +4915112345678", more_info: "" });
      return json(201, { sid: `SM${"1".repeat(32)}`, status: "queued", error_code: null });
    };
  const sms = { to: "+4915112345678", subject: "", text: "123456 & more" };

  test("are one form each, with the account's log-in and the time that is left", async () => {
    const peer = await httpPeer(twilio());
    expect(await carry(settings(peer.url), sms)).toEqual({ outcome: "delivered" });
    const { method, url, headers, body } = await peer.request();
    expect({ method, url }).toEqual({
      method: "POST",
      url: `/2010-04-01/Accounts/${account.accountSid}/Messages.json`,
    });
    expect(headers["content-type"]).toMatch(/^application\/x-www-form-urlencoded/);
    expect(headers["i-twilio-idempotency-token"]).toBe("0195-k");
    expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
      ...{ To: sms.to, From: "+15550006789", Body: sms.text, ValidityPeriod: "300" },
    });
  });

  test("go by a messaging service where one is named", async () => {
    const peer = await httpPeer(twilio());
    await carry(settings(peer.url, `MG${"2".repeat(32)}`), sms);
    const form = new URLSearchParams((await peer.request()).body);
    expect([form.get("MessagingServiceSid"), form.get("From")]).toEqual([`MG${"2".repeat(32)}`, null]);
  });

  test.each([
    [
      { status: 400, code: 21211 },
      { outcome: "gone", error: "TWILIO_21211" },
    ],
    [
      { status: 400, code: 21610 },
      { outcome: "gone", error: "TWILIO_21610" },
    ],
    [
      { status: 400, code: 21617 },
      { outcome: "refused", error: "TWILIO_21617" },
    ],
    [
      { status: 400, code: 21611 },
      { outcome: "retry", error: "TWILIO_21611" },
    ],
    [
      { status: 429, code: 20429 },
      { outcome: "retry", error: "TWILIO_20429" },
    ],
    [
      { status: 503, code: 20503 },
      { outcome: "retry", error: "TWILIO_20503" },
    ],
  ])("answered with %o are %o", async (error, outcome) => {
    const peer = await httpPeer(twilio(error));
    expect(await carry(settings(peer.url), sms)).toEqual(outcome);
  });

  test.each([
    ...[21606, 21408, 21659, 30034, 21212, 21608, 21703, 20005].map((code) => ({ status: 400, code })),
    { status: 404, code: 20404 },
  ])("are denied to us, and not given up, where the account is at fault: %o", async (error) => {
    const peer = await httpPeer(twilio(error));
    expect(await carry(settings(peer.url), sms)).toEqual({ outcome: "denied", error: `TWILIO_${error.code}` });
  });

  test("are denied to us with a wrong token, and to be tried again when the answer is no JSON", async () => {
    const peer = await httpPeer(twilio());
    const wrong = { ...settings(peer.url), authToken: "wrong" };
    expect(await carry(wrong, sms)).toEqual({ outcome: "denied", error: "TWILIO_20003" });
    const broken = await httpPeer(() => ({ status: 502, body: "<html>" }));
    expect(await carry(settings(broken.url), sms)).toEqual({ outcome: "retry", error: "HTTP_502" });
  });
});

// What carriers report of messages that they took, over the gateway, in the form that the carriers use.
import { createHmac, randomBytes } from "node:crypto";
import { describe, expect, test, vi } from "vitest";
import { FactorType } from "../../gen/mfa/v1/factor_pb.js";
import { DeliveryState } from "../../gen/mfa/v1/otp_pb.js";
import { webhookHeaders } from "../../src/crypto/standard-webhook.ts";
import { outboxMessages } from "../../src/outbox/outbox.table.ts";
import { backendOf, logIn } from "../support/actors/backend.ts";
import { phone, switchOn } from "../support/actors/one-time-codes.ts";
import { type EngineUnderTest, engines } from "../support/engine/engines.ts";
import { rowsIn } from "../support/engine/rows.ts";
import { httpPeer, type Received } from "../support/fakes/http-peer.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const TOKEN = "t0ken";
const PUBLIC = "https://mfa.example.com/delivery/receipts/twilio";

/** Signs a report as Twilio does: over the public address and the sorted fields. */
function signed(url: string, fields: Readonly<Record<string, string>>, token = TOKEN) {
  const text = Object.keys(fields)
    .sort()
    .map((name) => `${name}${fields[name]}`)
    .join("");
  return createHmac("sha1", token).update(`${url}${text}`).digest("base64");
}

async function byTwilio(engine: EngineUnderTest) {
  const twilio = await httpPeer(() => ({ status: 201, body: JSON.stringify({ sid: "SM1", status: "queued" }) }));
  const carrier = {
    kind: "twilio",
    ...{ accountSid: `AC${"0".repeat(32)}`, authToken: TOKEN, from: "+15550006789" },
    ...{ baseUrl: twilio.url, receiptUrl: PUBLIC },
  } as const;
  const service = await serviceForTest(engine, { delivery: { sms: [carrier] } });
  await switchOn(service);
  const token = await service.user("ann");
  const { delivery } = await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, token);
  const callback = new URLSearchParams((await twilio.request()).body).get("StatusCallback") ?? "";
  /** Posts as Twilio does, to where the gateway stands behind the public address. */
  const report = async (fields: Record<string, string>, key = TOKEN) => {
    const { pathname, search } = new URL(callback);
    const response = await fetch(`http://127.0.0.1:${service.gatewayPort}${pathname}${search}`, {
      method: "POST",
      headers: { "x-twilio-signature": signed(callback, fields, key) },
      body: new URLSearchParams(fields),
    });
    return response.status;
  };
  return { service, token, twilio, callback, report, challengeId: delivery?.challengeId ?? "" };
}

const message = async (service: ServiceUnderTest) => {
  const [row] = (await rowsIn(service.store, outboxMessages)).filter(({ channel }) => channel === "sms");
  return row && { state: row.state, lastError: row.lastError };
};

describe.each(engines)("reports of carriers on $name", (engine) => {
  test("say that a text message was delivered, once it was sent", async () => {
    const { service, callback, report } = await byTwilio(engine);
    expect(callback).toMatch(/^https:\/\/mfa\.example\.com\/delivery\/receipts\/twilio\?tenant=dev&key=[\w-]+$/);
    await vi.waitUntil(async () => (await message(service))?.state === "sent", { timeout: 20_000 });
    expect(await report({ MessageStatus: "sent" })).toBe(204);
    expect((await message(service))?.state).toBe("sent");
    expect(await report({ MessageStatus: "delivered" })).toBe(204);
    expect(await message(service)).toEqual({ state: "delivered", lastError: "" });
    // What was reported stays: a late report of something else changes nothing.
    expect(await report({ MessageStatus: "failed", ErrorCode: "30003" })).toBe(204);
    expect((await message(service))?.state).toBe("delivered");
  });

  test("say that it failed, and tell the operator where the account is at fault", async () => {
    const { service, report } = await byTwilio(engine);
    await vi.waitUntil(async () => (await message(service))?.state === "sent", { timeout: 20_000 });
    expect(await report({ MessageStatus: "undelivered", ErrorCode: "30034" })).toBe(204);
    expect(await message(service)).toEqual({ state: "failed", lastError: "TWILIO_30034" });
    const told = service.log.filter((line) => line.includes("refuses this service"));
    expect(told.map((line) => JSON.parse(line))).toMatchObject([{ provider: "twilio", error: "TWILIO_30034" }]);
    const metrics = await (await fetch(`http://127.0.0.1:${service.adminPort}/metrics`)).text();
    expect(metrics).toContain('mfa_carrier_denials_total{provider="twilio",channel="sms",error="TWILIO_30034"} 1');
    expect(metrics).toContain('mfa_messages_total{channel="sms",state="failed"} 1');
  });

  test("count only under the carrier's own signature, over the address and every field", async () => {
    const { service, report, callback } = await byTwilio(engine);
    await vi.waitUntil(async () => (await message(service))?.state === "sent", { timeout: 20_000 });
    expect(await report({ MessageStatus: "delivered" }, "another")).toBe(403);
    const { pathname } = new URL(callback);
    const fields = { MessageStatus: "delivered" };
    const moved = await fetch(`http://127.0.0.1:${service.gatewayPort}${pathname}?tenant=other&key=x`, {
      method: "POST",
      headers: { "x-twilio-signature": signed(callback, fields) },
      body: new URLSearchParams(fields),
    });
    expect(moved.status).toBe(403);
    const long = await fetch(`http://127.0.0.1:${service.gatewayPort}${pathname}`, {
      method: "POST",
      body: "x".repeat(17_000),
    });
    expect(long.status).toBe(413);
    expect((await message(service))?.state).toBe("sent");
  });

  test("come from an operator's own program under the secret of its webhook, for five minutes", async () => {
    const secret = randomBytes(32);
    const peer = await httpPeer(() => ({ status: 204 }));
    const carrier = { kind: "webhook", url: peer.url, secret: `whsec_${secret.toString("base64")}` } as const;
    const service = await serviceForTest(engine, { delivery: { sms: [{ ...carrier, receipts: true }] } });
    await switchOn(service);
    await service.mfa.startSmsEnrollment({ phoneNumber: phone() }, await service.user("ann"));
    const { headers }: Received = await peer.request();
    const report = async (type: string, { now = service.clock.now, key = secret, error = "" } = {}) => {
      const data = { tenant_id: "dev", webhook_id: headers["webhook-id"], error };
      const body = JSON.stringify({ type, data });
      const { status } = await fetch(`http://127.0.0.1:${service.gatewayPort}/delivery/receipts/webhook`, {
        method: "POST",
        headers: webhookHeaders({ id: "r-1", now, body }, [key]),
        body,
      });
      return status;
    };
    await vi.waitUntil(async () => (await message(service))?.state === "sent", { timeout: 20_000 });
    expect(await report("message.delivered", { key: randomBytes(32) })).toBe(403);
    const old = new Date(service.clock.now.getTime() - 301_000);
    expect(await report("message.delivered", { now: old })).toBe(403);
    expect(await report("message.failed", { error: "the number +49 was off" })).toBe(204);
    expect(await message(service)).toEqual({ state: "failed", lastError: "UNDELIVERED" });
  });

  test("are asked for again, and told of in the log, where they cannot be kept", async () => {
    const { service, report } = await byTwilio(engine);
    await vi.waitUntil(async () => (await message(service))?.state === "sent", { timeout: 20_000 });
    await service.execute("ALTER TABLE outbox_messages RENAME TO gone");
    expect(await report({ MessageStatus: "delivered" })).toBe(503);
    expect(service.log.join("\n")).toContain("a delivery report could not be stored");
    await service.execute("ALTER TABLE gone RENAME TO outbox_messages");
    expect(await report({ MessageStatus: "delivered" })).toBe(204);
    expect((await message(service))?.state).toBe("delivered");
  });

  test("find no path where no carrier is set to report", async () => {
    const service = await serviceForTest(engine);
    const { status } = await fetch(`http://127.0.0.1:${service.gatewayPort}/delivery/receipts/twilio`, {
      method: "POST",
    });
    expect(status).toBe(404);
  });

  test("are shown with the challenge that the code was sent for", async () => {
    const { service, token, twilio, challengeId } = await byTwilio(engine);
    const code = /\d{6}/.exec(new URLSearchParams((await twilio.request()).body).get("Body") ?? "")?.[0] ?? "";
    await service.mfa.finishSmsEnrollment({ challengeId, code }, token);
    service.pass(60_000);
    const backend = await backendOf(service);
    const request = { ...logIn("ann"), prepareFactorType: FactorType.SMS };
    const { challenge } = await service.internal.createUserChallenge(request, backend);
    const asked = { userId: "ann", challengeId: challenge?.challengeId ?? "" };
    const shown = async () => (await service.internal.getUserChallenge(asked, backend)).challenge?.delivery;
    await vi.waitUntil(async () => (await shown())?.deliveryState === DeliveryState.SENT, { timeout: 20_000 });
    const sent = twilio.received.map(({ body }) => new URLSearchParams(body));
    const newest = sent.findLast((form) => form.get("Body")?.includes("is your code"));
    const url = newest?.get("StatusCallback") ?? "";
    const fields = { MessageStatus: "delivered" };
    const { pathname, search } = new URL(url);
    await fetch(`http://127.0.0.1:${service.gatewayPort}${pathname}${search}`, {
      method: "POST",
      headers: { "x-twilio-signature": signed(url, fields) },
      body: new URLSearchParams(fields),
    });
    expect((await shown())?.deliveryState).toBe(DeliveryState.DELIVERED);
  });
});

import { type Carrier, outcomeOfStatus, retryAfterMs } from "./carrier.ts";

/** An account at Twilio. */
export interface TwilioOptions {
  readonly accountSid: string;
  /** Of the account; or an API key, with its id as `apiKeySid`. */
  readonly authToken: string;
  readonly apiKeySid?: string | undefined;
  /** A number of the account, or a messaging service ("MG…"). */
  readonly from: string;
  readonly baseUrl: string;
  readonly clock: () => Date;
}

/** Not a number, none that gets text messages, or one whose holder said STOP. */
const GONE = new Set([21211, 21217, 21610, 21614]);
const LONGEST_VALIDITY_S = 36_000;

async function codeOf(response: Response): Promise<number | undefined> {
  const body: unknown = await response.json().catch(() => undefined);
  const code = typeof body === "object" && body !== null && "code" in body ? body.code : undefined;
  return Number.isSafeInteger(code) ? Number(code) : undefined;
}

/** Twilio's REST API, by one request a message. A code that runs out on the way is dropped there too. */
export const twilioCarrier = (options: TwilioOptions): Carrier => ({
  name: "twilio",
  async carry({ to, text }, { idempotencyKey, expireTime }, signal) {
    const { accountSid, authToken, apiKeySid = accountSid, from, baseUrl, clock } = options;
    const left = Math.floor((expireTime.getTime() - clock().getTime()) / 1000);
    const form = new URLSearchParams({
      To: to,
      [from.startsWith("MG") ? "MessagingServiceSid" : "From"]: from,
      Body: text,
      ValidityPeriod: String(Math.min(Math.max(left, 1), LONGEST_VALIDITY_S)),
    });
    const response = await fetch(`${baseUrl}/2010-04-01/Accounts/${accountSid}/Messages.json`, {
      method: "POST",
      redirect: "manual",
      signal,
      body: form,
      headers: {
        authorization: `Basic ${Buffer.from(`${apiKeySid}:${authToken}`).toString("base64")}`,
        "i-twilio-idempotency-token": idempotencyKey,
      },
    });
    const code = response.ok ? undefined : await codeOf(response);
    if (response.ok) await response.body?.cancel();
    if (code !== undefined && GONE.has(code)) return { outcome: "gone", error: `TWILIO_${code}` };
    const outcome = outcomeOfStatus(
      response.status,
      "HTTP",
      retryAfterMs(response.headers.get("retry-after"), clock()),
    );
    return outcome.outcome === "delivered" || code === undefined ? outcome : { ...outcome, error: `TWILIO_${code}` };
  },
});

import { type Carrier, outcomeOfStatus, retryAfterMs } from "./carrier.ts";
import { outcomeOfCode } from "./twilio-errors.ts";
import { receiptUrlOf, twilioReceipts } from "./twilio-receipts.ts";

/** An account at Twilio. */
export interface TwilioOptions {
  readonly accountSid: string;
  /** Of the account; or an API key, with its id as `apiKeySid`. */
  readonly authToken: string;
  readonly apiKeySid?: string | undefined;
  /** A number of the account, or a messaging service ("MG…"). */
  readonly from: string;
  readonly baseUrl: string;
  /** The URL of delivery reports; none by default. */
  readonly receiptUrl?: string | undefined;
  /** The key of report signatures: the account's token, which `authToken` is unless an API key is used. */
  readonly receiptToken?: string | undefined;
  readonly clock: () => Date;
}

const LONGEST_VALIDITY_S = 36_000;

async function codeOf(response: Response): Promise<number | undefined> {
  const body: unknown = await response.json().catch(() => undefined);
  const code = typeof body === "object" && body !== null && "code" in body ? body.code : undefined;
  return Number.isSafeInteger(code) ? Number(code) : undefined;
}

/** Twilio's REST API, one request for each message. Twilio drops a code that expires in its queue. */
export const twilioCarrier = (options: TwilioOptions): Carrier => ({
  name: "twilio",
  ...(options.receiptUrl && {
    receipts: twilioReceipts({
      receiptUrl: options.receiptUrl,
      receiptToken: options.receiptToken ?? options.authToken,
    }),
  }),
  async carry({ to, text }, message, signal) {
    const { accountSid, authToken, apiKeySid = accountSid, from, baseUrl, receiptUrl, clock } = options;
    const { idempotencyKey, expireTime } = message;
    const left = Math.floor((expireTime.getTime() - clock().getTime()) / 1000);
    const form = new URLSearchParams({
      To: to,
      [from.startsWith("MG") ? "MessagingServiceSid" : "From"]: from,
      Body: text,
      ValidityPeriod: String(Math.min(Math.max(left, 1), LONGEST_VALIDITY_S)),
      ...(receiptUrl && { StatusCallback: receiptUrlOf(receiptUrl, message) }),
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
    const waitMs = retryAfterMs(response.headers.get("retry-after"), clock());
    const outcome = outcomeOfStatus(response.status, "HTTP", waitMs);
    if (outcome.outcome === "delivered" || code === undefined) return outcome;
    return { ...outcome, outcome: outcomeOfCode(code) ?? outcome.outcome, error: `TWILIO_${code}` };
  },
});

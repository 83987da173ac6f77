/** A factor on offer, as the contract's JSON has it (`ChallengeFactor`). */
export interface OfferedFactor {
  readonly type: string;
  readonly factorId?: string;
  readonly displayName?: string;
  readonly maskedTarget?: string;
}

/** The challenge of the prompt (`Challenge`). */
export interface Challenge {
  readonly challengeId: string;
  readonly state: string;
  readonly factors?: readonly OfferedFactor[];
  readonly renderedAction?: string;
  /** Seconds, as "2s". */
  readonly retryAfter?: string;
}

/** What the page shows (`GetPromptResponse`). */
export interface Prompt {
  readonly challenge: Challenge;
  readonly application?: string;
  readonly service?: string;
  readonly returnHost?: string;
  readonly locale?: string;
  readonly otherNetwork?: boolean;
  readonly otherBrowser?: boolean;
}

/** A message with a code on its way (`OtpDelivery`). */
export interface Delivery {
  readonly maskedTarget?: string;
  readonly codeLength?: number;
  readonly resendAfterTime?: string;
}

/** What a factor needs before it can answer (`ChallengePreparation`). */
export interface Preparation {
  readonly webauthnOptions?: object;
  readonly sms?: Delivery;
  readonly email?: Delivery;
  readonly push?: { readonly number: string };
}

/** A refusal of the service: its reason without the prefix, or OFFLINE where no answer came. */
export class Refused extends Error {
  readonly reason: string;
  /** How long to wait, in seconds; 0 where nothing was said. */
  readonly retryAfterS: number;

  constructor(reason: string, retryAfterS = 0) {
    super(reason);
    this.reason = reason;
    this.retryAfterS = retryAfterS;
  }
}

/** How far the service's clock is ahead of the browser's, by the `date` of its last answer. */
let aheadMs = 0;

/** The time by the clock of the service, which its times are by; that of a browser may be off. */
export const serviceNow = (): number => Date.now() + aheadMs;

interface Detail {
  readonly type: string;
  readonly debug?: { readonly reason?: string; readonly retryDelay?: string };
}

/** The seconds of a duration in JSON: "2.5s". */
export const secondsIn = (duration = ""): number => Number.parseFloat(duration) || 0;

async function refusalOf(response: Response): Promise<Refused> {
  const { details = [] } = (await response.json().catch(() => ({}))) as { details?: readonly Detail[] };
  const of = (type: string) => details.find((detail) => detail.type === `google.rpc.${type}`)?.debug;
  return new Refused(of("ErrorInfo")?.reason ?? "UNKNOWN", secondsIn(of("RetryInfo")?.retryDelay));
}

/** Calls of a prompt: plain JSON (Connect), proven by the cookie of the browser that opened it. */
export function callsOf(promptId: string) {
  async function call<Reply>(rpc: string, request: object = {}): Promise<Reply> {
    const headers = { "content-type": "application/json", authorization: `Prompt ${promptId}` };
    const response = await fetch(`/mfa.v1.MfaService/${rpc}`, {
      ...{ method: "POST", headers, body: JSON.stringify(request) },
    }).catch(() => {
      throw new Refused("OFFLINE");
    });
    const date = Date.parse(response.headers.get("date") ?? "");
    if (!Number.isNaN(date)) aheadMs = date - Date.now();
    if (!response.ok) throw await refusalOf(response);
    return response.json() as Promise<Reply>;
  }
  return {
    read: () => call<Prompt>("GetPrompt"),
    readChallenge: async (challengeId: string) =>
      (await call<{ challenge: Challenge }>("GetChallenge", { challengeId })).challenge,
    /** Sends a code, asks a phone, or makes the options of a passkey. */
    prepare: async (challengeId: string, { type, factorId = "" }: OfferedFactor) =>
      (await call<{ preparation?: Preparation }>("ResendChallenge", { challengeId, factorType: type, factorId }))
        .preparation ?? {},
    verify: async (challengeId: string, proof: object) =>
      (await call<{ challenge: Challenge }>("VerifyChallenge", { challengeId, proof })).challenge,
    finish: async () => (await call<{ returnUrl: string }>("FinishPrompt")).returnUrl,
    cancel: async () => (await call<{ returnUrl: string }>("CancelPrompt")).returnUrl,
  };
}

/** The calls of a prompt. */
export type PromptCalls = ReturnType<typeof callsOf>;

import { promptCookieName } from "../core/prompt-cookie-name.ts";
import { Refusal } from "../core/refusal.ts";
import type { VerifyCredential } from "../rpc/access/credentials.ts";
import type { AskedPage, StaticPage } from "../rpc/gateway/gateway.ts";
import type { LimitRates } from "../rpc/limits/rates.ts";
import type { Prompts } from "./prompts.ts";

/** Cookies of prompts as credentials. */
export const createPromptAuthentication =
  ({ callerOf }: Pick<Prompts, "callerOf">): VerifyCredential =>
  async (cookie, { now }) => {
    const caller = await callerOf(cookie, now);
    return caller && { caller };
  };

/** Outlives every prompt; the prompt's own time is in its row. */
const COOKIE_MAX_AGE_S = 20 * 60;

/** Leads to the page, which is the same for all; `to` stands behind the number sign and is sent to nobody. */
const leadTo = (to: string, cookie?: string): StaticPage => ({
  status: 303,
  headers: {
    location: `/prompt/#${to}`,
    "referrer-policy": "no-referrer",
    ...(cookie !== undefined && { "set-cookie": cookie }),
  },
});

/**
 * Opens the prompt of a handle, once: gives the browser its cookie and leads to an address without the handle, so that
 * neither history, referrer nor log holds one that still opens.
 */
export const createPromptOpening =
  ({ open }: Pick<Prompts, "open">, limits: Pick<LimitRates, "source" | "charge">) =>
  async (_host: string, { query, ip }: AskedPage): Promise<StaticPage> => {
    try {
      limits.source(ip);
    } catch (thrown) {
      if (thrown instanceof Refusal) return { status: 429 };
      throw thrown;
    }
    limits.charge(ip);
    const opened = await open(query.get("h") ?? "");
    if (!opened) return leadTo("closed");
    const { promptId, cookie } = opened;
    const attributes = `Path=/; Max-Age=${COOKIE_MAX_AGE_S}; Secure; HttpOnly; SameSite=Strict`;
    return leadTo(promptId, `${promptCookieName(promptId)}=${cookie}; ${attributes}`);
  };

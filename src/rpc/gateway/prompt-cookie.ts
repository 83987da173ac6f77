import type { IncomingHttpHeaders } from "node:http";
import { promptCookieName } from "../../core/prompt-cookie-name.ts";

/** The host that a request asks for. */
export const hostOf = (headers: IncomingHttpHeaders): string => headers.host ?? String(headers[":authority"]);

const STATED = /^prompt +([\w-]{22})$/i;

function cookieOf({ cookie = "" }: IncomingHttpHeaders, name: string): string | undefined {
  const found = cookie.split(/; */).find((pair) => pair.startsWith(`${name}=`));
  return found?.slice(name.length + 1);
}

/** Whether a request comes from a page of the host that it goes to; browsers say so with every POST. */
function isSameOrigin(headers: IncomingHttpHeaders): boolean {
  const { origin = "" } = headers;
  return URL.canParse(origin) && new URL(origin).host === hostOf(headers);
}

/**
 * Completes `authorization: Prompt <prompt's id>` of a page of this very origin by the prompt's cookie, which no script
 * reads. Pages of other origins, and browsers without the cookie, keep a credential that is none.
 */
export function attachPromptCookie(headers: IncomingHttpHeaders): void {
  const promptId = STATED.exec(headers.authorization ?? "")?.[1];
  if (promptId === undefined || !isSameOrigin(headers)) return;
  const cookie = cookieOf(headers, promptCookieName(promptId));
  if (cookie?.startsWith(`${promptId}.`) && /^[\w.-]+$/.test(cookie)) headers.authorization = `Prompt ${cookie}`;
}

import type { EffectiveSettings } from "../tenant-settings/settings.ts";

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Whether an address is one of this machine, on any port. */
const isOwnMachine = (url: string): boolean => URL.canParse(url) && LOOPBACK.has(new URL(url).hostname);

/** Whether a backend may have browsers sent to an address: compared as a whole with those that its tenant lists. */
export function isReturnAddress(
  returnUrl: string,
  {
    clientId,
    settings,
    devMode,
  }: { readonly clientId: string; readonly settings: EffectiveSettings; readonly devMode: boolean },
): boolean {
  if (!URL.canParse(returnUrl)) return false;
  const listed = settings.prompt.clients.some(
    (client) => client.clientId === clientId && client.returnUrls.includes(returnUrl),
  );
  return listed || (devMode && isOwnMachine(returnUrl));
}

/** Adds parameters to a return address, which keeps its own. */
export function withParameters(returnUrl: string, parameters: Readonly<Record<string, string>>): string {
  const query = new URLSearchParams(parameters).toString();
  return `${returnUrl}${returnUrl.includes("?") ? "&" : "?"}${query}`;
}

import type { ClientOrigin } from "../../core/client-origin.ts";
import type { PushContext } from "./push.table.ts";

const BROWSERS: readonly (readonly [name: string, sign: RegExp])[] = [
  ["Edge", /\bEdg(?:e|A|iOS)?\//],
  ["Opera", /\bOPR\//],
  ["Samsung Internet", /\bSamsungBrowser\//],
  ["Firefox", /\b(?:Firefox|FxiOS)\//],
  ["Chrome", /\b(?:(?:Headless)?Chrome|CriOS)\//],
  ["Safari", /\bSafari\//],
];
const SYSTEMS: readonly (readonly [name: string, sign: RegExp])[] = [
  ["Android", /\bAndroid\b/],
  ["iOS", /\b(?:iPhone|iPad|iPod)\b/],
  ["Windows", /\bWindows\b/],
  ["macOS", /\bMac OS X\b|\bMacintosh\b/],
  ["Linux", /\bLinux\b/],
];

const nameIn = (text: string, names: typeof BROWSERS) => names.find(([, sign]) => sign.test(text))?.[0];

/**
 * What a person can make something of in a User-Agent header: "Firefox on Linux". Only names from here: whoever asks
 * writes the header, and its words would stand on the phone like ours.
 */
export const shortUserAgent = (userAgent: string): string =>
  [nameIn(userAgent, BROWSERS), nameIn(userAgent, SYSTEMS)].filter((name) => name !== undefined).join(" on ");

/** What the phone shows: made of what the service knows, never of the page's own words. */
export const contextOf = (
  client: ClientOrigin,
  { renderedAction, service, location }: { renderedAction: string; service: string; location: string },
): PushContext => ({
  ip: client.ip,
  location,
  application: client.application || service,
  userAgent: shortUserAgent(client.userAgent),
  renderedAction,
});

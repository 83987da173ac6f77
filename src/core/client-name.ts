type Names = readonly (readonly [name: string, sign: RegExp])[];

/** In the order in which they are believed: most browsers also name those that came before them. */
const BROWSERS: Names = [
  ["Edge", /\bEdg(?:e|A|iOS)?\//],
  ["Opera", /\b(?:OPR|OPiOS|OPT|OPX)\//],
  ["Samsung Internet", /\bSamsungBrowser\//],
  ["DuckDuckGo", /\b(?:DuckDuckGo|Ddg)\//],
  ["Firefox", /\b(?:Firefox|FxiOS)\//],
  ["Chrome", /\b(?:(?:Headless)?Chrome|CriOS)\//],
  ["Safari", /\bSafari\//],
];
/** Android names Linux, and iPhones name Mac OS X. */
const SYSTEMS: Names = [
  ["Android", /\bAndroid\b/],
  ["iPhone", /\biPhone\b/],
  ["iPad", /\biPad\b/],
  ["ChromeOS", /\bCrOS\b/],
  ["Windows", /\bWindows\b/],
  ["Mac", /\bMac OS X\b|\bMacintosh\b/],
  ["Linux", /\bLinux\b/],
];

const nameIn = (text: string, names: Names) => names.find(([, sign]) => sign.test(text))?.[0];

/**
 * What a person can make something of in a User-Agent header: "Firefox on Linux"; the same after an update, and empty
 * where it says neither. Only names from here: whoever calls writes the header, and its words would be shown like ours.
 */
export const clientName = (userAgent: string): string =>
  [nameIn(userAgent, BROWSERS), nameIn(userAgent, SYSTEMS)].filter((name) => name !== undefined).join(" on ");

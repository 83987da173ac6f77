// In the order in which they are believed: most browsers also name those that came before them, and Android names Linux.
const BROWSERS = ["Edg", "OPR", "Firefox", "Chrome", "Safari"];
const SYSTEMS = ["iPhone", "iPad", "Android", "Windows", "Mac OS X", "Linux"];

/** "Firefox on Linux", as far as the user agent says so; the same after an update. Empty where it says neither. */
export const clientName = (userAgent: string): string =>
  [BROWSERS.find((name) => userAgent.includes(`${name}/`)), SYSTEMS.find((name) => userAgent.includes(name))]
    .filter((name) => name !== undefined)
    .join(" on ");

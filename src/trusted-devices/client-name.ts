const browsers = /(Firefox|Edg|OPR|Chrome|Safari)\//;
const systems = /(Windows|Android|iPhone|iPad|Mac OS X|Linux)/;

/** "Firefox on Linux", as far as the user agent says so; the same after an update. */
export const clientName = (userAgent: string): string =>
  [browsers.exec(userAgent)?.[1], systems.exec(userAgent)?.[1]].filter(Boolean).join(" on ") || "Trusted device";

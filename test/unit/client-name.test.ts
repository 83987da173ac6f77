import { describe, expect, test } from "vitest";
import { clientName } from "../../src/core/client-name.ts";

const chrome = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0";
const ios = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";

describe("the name of a client", () => {
  test.each([
    [`Mozilla/5.0 (X11; Linux x86_64) ${chrome} Safari/537.36`, "Chrome on Linux"],
    [`Mozilla/5.0 (Linux; Android 14; Pixel 8) ${chrome} Mobile Safari/537.36`, "Chrome on Android"],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${chrome} Safari/537.36 Edg/140.0.0.0`, "Edge on Windows"],
    [`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${chrome} Safari/537.36 OPR/120.0.0.0`, "Opera on Mac"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/605.1", "Safari on iPhone"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
    [`${ios} CriOS/140.0.7339.39 Mobile/15E148 Safari/604.1`, "Chrome on iPhone"],
    [`${ios} EdgiOS/140.0.3485.54 Version/19.0 Mobile/15E148 Safari/604.1`, "Edge on iPhone"],
    [`${ios} FxiOS/140.0 Mobile/15E148 Safari/605.1.15`, "Firefox on iPhone"],
    [`${ios} Version/19.0 Mobile/15E148 Safari/604.1 OPT/5.1.0`, "Opera on iPhone"],
    [
      `Mozilla/5.0 (Linux; Android 14; SM-S921B) SamsungBrowser/28.0 ${chrome} Mobile Safari/537.36`,
      "Samsung Internet on Android",
    ],
    [`Mozilla/5.0 (Linux; Android 10; K) ${chrome} Mobile Safari/537.36 EdgA/140.0.0.0`, "Edge on Android"],
    [`Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) ${chrome} Safari/537.36`, "Chrome on ChromeOS"],
    ["Mozilla/5.0 (iPad; CPU OS 19_0 like Mac OS X) Version/19.0 Mobile/15E148 Safari/604.1", "Safari on iPad"],
    ["<b>Pay to the bank</b> Chrome/1", "Chrome"],
    ["curl/8.5.0", ""],
  ])("%s", (userAgent, name) => expect(clientName(userAgent)).toBe(name));
});

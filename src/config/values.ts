import * as v from "valibot";
import { parseIpRange } from "../core/ip-address.ts";
import { SAFE_URL } from "../core/safe-url.ts";

/** A path of a file or folder. */
export const filePath = v.pipe(v.string(), v.minLength(1));
/** A name that is not empty. */
export const name = v.pipe(v.string(), v.minLength(1));

/** A network, without host bits. */
export const network = v.pipe(
  v.string(),
  v.check(
    (text) => (parseIpRange(text)?.bits ?? 0) > 0,
    "no network like 10.1.0.0/16 or 2001:db8::/64, without host bits",
  ),
);

/** What a credential says of its holder; the bound is that of the names in tokens. */
export const claim = v.pipe(
  v.string(),
  v.regex(/^[^\p{C}]+$/u, "must be a text without control characters, not empty"),
  v.maxBytes(255),
);

/** TCP port, 0 for a free one. */
export const port = (standard: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(65535)), standard);

/** A whole number above zero; timers hold no more than 31 bits of milliseconds. */
export const count = (standard: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1)), standard);

/** https, or http on loopback. */
export const httpsUrl = v.pipe(
  v.string(),
  v.regex(
    SAFE_URL,
    'must begin with "https://"; plain "http://" is for this machine only (localhost, 127.0.0.1, [::1])',
  ),
);

/** A secret that stands elsewhere: alone in a file, or in an environment variable. */
export const secret = v.union(
  [v.strictObject({ file: filePath }), v.strictObject({ env: name })],
  'a secret is given as {"file": path} or {"env": name}',
);

/** Where a secret stands. */
export type SecretPlace = v.InferOutput<typeof secret>;

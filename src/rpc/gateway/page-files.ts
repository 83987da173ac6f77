import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Pages } from "./gateway.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
};

/** The encodings that `scripts/bundle.mjs` writes beside each file, the smaller first, with the ends of their names. */
const ENCODINGS = [
  ["br", ".br"],
  ["gzip", ".gz"],
] as const;

/** Scripts, styles and calls of this origin only; nothing inline, nothing embedded, nowhere embedded. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const SECURITY = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy":
    "publickey-credentials-create=(self), publickey-credentials-get=(self), camera=(), geolocation=()",
};

/** A year, the longest that caches take: another build has other names. */
const IMMUTABLE = "public, max-age=31536000, immutable";

/** Where the bundled pages are: beside the bundle of the service, or, for the sources, in dist/. */
const dist = fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../../dist/" : "./", import.meta.url));

/** Whether a client takes an encoding (RFC 9110 §12.5.3), as far as browsers say it. */
const takes = (accepted: string, encoding: string): boolean =>
  accepted
    .split(",")
    .some((one) => new RegExp(`^\\s*${encoding}\\s*(;\\s*q=(?!0(\\.0*)?\\s*$)[\\d.]+)?\\s*$`).test(one));

/**
 * The files of a bundled page by path: its HTML at the path of the folder, never stored; what it loads under names that
 * hold a hash. Each is read as it is asked for, compressed where the client takes that.
 */
export function pageFiles(name: string): Pages {
  const folder = join(dist, name);
  const files = readdirSync(folder).filter((file) => extname(file) in TYPES);
  return new Map(
    files.map((file) => {
      const isPage = extname(file) === ".html";
      return [
        `/${name}/${isPage ? "" : file}`,
        async (_host, { encodings }) => {
          const [encoding, end] = ENCODINGS.find(([one]) => takes(encodings, one)) ?? [];
          return {
            status: 200,
            type: TYPES[extname(file)] ?? "",
            headers: {
              ...SECURITY,
              vary: "origin, accept-encoding",
              ...(!isPage && { "cache-control": IMMUTABLE }),
              ...(encoding && { "content-encoding": encoding }),
            },
            body: await readFile(join(folder, `${file}${end ?? ""}`)),
          };
        },
      ];
    }),
  );
}

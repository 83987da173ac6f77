import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Pages } from "../rpc/gateway/gateway.ts";

/** The files by path, as `scripts/bundle.mjs` writes them. */
const files = [
  { path: "/console/", file: "index.html", type: "text/html; charset=utf-8" },
  { path: "/console/console.js", file: "console.js", type: "text/javascript; charset=utf-8" },
  { path: "/console/console.css", file: "console.css", type: "text/css; charset=utf-8" },
];

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

const headers = {
  "content-security-policy": POLICY,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy":
    "publickey-credentials-create=(self), publickey-credentials-get=(self), camera=(), geolocation=()",
};

/** Where the bundled console is: beside the bundle of the service, or, for the sources, in dist/. */
const folder = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "../../dist/console/" : "./console/", import.meta.url),
);

/** The console's pages by path, for the browsers' listener. Read at each visit: few come, and a rebuild shows at once. */
export const consolePages = (): Pages =>
  new Map(
    files.map(({ path, file, type }) => [
      path,
      async () => ({ status: 200, type, headers, body: await readFile(`${folder}${file}`, "utf8") }),
    ]),
  );

// better-auth's two-factor verification over HTTP: node bench/better-auth.mjs <folder that holds the package>. Users
// are signed in already and verify codes under their session, so that neither password hashing nor the making of a
// session is measured: less work than a log-in asks of it.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { generateSync } from "otplib";

const [folder, count = "64"] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { betterAuth } = await load("better-auth");
const { twoFactor } = await load("better-auth/plugins");
const { getMigrations } = await load("better-auth/db/migration").catch(() => load("better-auth/db"));
const { toNodeHandler } = await load("better-auth/node");
const Database = require("better-sqlite3");

const database = new Database(join(folder, "better-auth.db"));
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
const options = {
  baseURL: "http://127.0.0.1",
  trustedOrigins: ["*"],
  secret: "bench-bench-bench-bench-bench-bench",
  database,
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
  logger: { disabled: true },
  plugins: [twoFactor({ issuer: "bench" })],
};
await (await getMigrations(options)).runMigrations();
const auth = betterAuth(options);
const cookiesOf = (headers) =>
  headers
    .getSetCookie()
    .map((cookie) => cookie.split(";", 1)[0])
    .join("; ");

const users = [];
for (let n = 0; n < Number(count); n++) {
  const password = "correct horse battery";
  const { headers } = await auth.api.signUpEmail({
    body: { email: `user${n}@example.com`, name: `user ${n}`, password },
    returnHeaders: true,
  });
  const cookie = cookiesOf(headers);
  const { totpURI } = await auth.api.enableTwoFactor({ body: { password }, headers: new Headers({ cookie }) });
  const secret = new URL(totpURI).searchParams.get("secret");
  // The first code turns the factor on and gives the session a new cookie.
  const { headers: verified } = await auth.api.verifyTOTP({
    body: { code: generateSync({ secret }) },
    headers: new Headers({ cookie }),
    returnHeaders: true,
  });
  users.push({ cookie: cookiesOf(verified), secret });
}
const server = createServer(toNodeHandler(auth));
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port, users }));
process.on("message", ({ id, ask }) => {
  process.send({ id, answer: { cpu: () => process.cpuUsage(), rss: () => process.memoryUsage.rss() }[ask]?.() });
  if (ask === "stop") process.exit(0);
});
process.on("disconnect", () => process.exit(0));

// better-auth's two-factor verification of a log-in, over HTTP: node bench/better-auth.mjs <folder that holds the
// package>. The first half of each log-in, the password, is done before it is measured, and costs no hashing here.
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
  // A password costs nothing: only what follows it is measured.
  emailAndPassword: {
    enabled: true,
    password: { hash: async (password) => password, verify: async ({ hash, password }) => hash === password },
  },
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

const password = "correct horse battery";
const emailOf = (n) => `user${n}@example.com`;
const secrets = [];
for (let n = 0; n < Number(count); n++) {
  const body = { email: emailOf(n), name: `user ${n}`, password };
  const { headers } = await auth.api.signUpEmail({ body, returnHeaders: true });
  const cookie = new Headers({ cookie: cookiesOf(headers) });
  const { totpURI } = await auth.api.enableTwoFactor({ body: { password }, headers: cookie });
  const secret = new URL(totpURI).searchParams.get("secret");
  await auth.api.verifyTOTP({ body: { code: generateSync({ secret }) }, headers: cookie });
  secrets.push(secret);
}

/** Log-ins whose password was right and whose code is awaited. */
async function logIns(wanted) {
  const waiting = [];
  for (let n = 0; n < wanted; n++) {
    const user = n % secrets.length;
    const body = { email: emailOf(user), password };
    const { headers } = await auth.api.signInEmail({ body, returnHeaders: true });
    waiting.push({ cookie: cookiesOf(headers), secret: secrets[user] });
  }
  return waiting;
}

const server = createServer(toNodeHandler(auth));
server.listen(0, "127.0.0.1", () => process.send({ port: server.address().port }));
const answers = { cpu: () => process.cpuUsage(), logIns };
process.on("message", async ({ id, ask, by }) => {
  process.send({ id, answer: await answers[ask]?.(by) });
  if (ask === "stop") process.exit(0);
});
process.on("disconnect", () => process.exit(0));

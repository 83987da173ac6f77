// A log-in with the application's own pages in Express: password, second factor, a route that wants a fresh one.
import { randomBytes } from "node:crypto";
import express from "express";
import { createAssertionVerifier, onceInMemory, remoteKeys } from "mfa-service-client/assertion";
import { reasonOf, retryAfterOf } from "mfa-service-client/errors";
import { requireMfa } from "mfa-service-client/express";
import { answerLogIn, beginLogIn, createMfa, finishLogIn, kindOf, prepareFactor } from "mfa-service-client/node";

const { MFA_ADDRESS = "http://127.0.0.1:11005", MFA_KEYS = "http://127.0.0.1:11006/.well-known/jwks.json" } =
  process.env;
const mfa = createMfa({ baseUrl: MFA_ADDRESS, credential: process.env.SERVICE_TOKEN });
const [issuer, audience, tenantId] = ["mfa-service", "shop", "dev"];
const verify = createAssertionVerifier({ issuer, audience, key: remoteKeys(MFA_KEYS), once: onceInMemory() });

// Of an example: keep both where all instances find them, and let them expire.
const passwords = new Map([["ann", "correct horse"]]);
const sessions = new Map();
const cookieOf = ({ headers }) => /\bid=([\w-]+)/.exec(headers.cookie ?? "")?.[1] ?? "";
/** The browser's cookie is new whenever what it is worth grows. */
function keep(response, kept) {
  const id = randomBytes(16).toString("base64url");
  sessions.set(id, kept);
  response.set("set-cookie", `id=${id}; HttpOnly; SameSite=Lax; Path=/`); // in production also Secure
}

const app = express().use(express.urlencoded({ extended: false }));
const page = (body) => `<!doctype html><title>Log in</title>${body}`;
const codePage = (kind) =>
  page(`<form method="post" action="/code"><label>${kind} code <input name="code" autofocus></label></form>`);

app.get("/", (_, response) => {
  const fields =
    '<label>Name <input name="user"></label><label>Password <input name="password" type="password"></label>';
  response.send(page(`<form method="post" action="/password">${fields}<button>Log in</button></form>`));
});

app.post("/password", async ({ ip, headers, body }, response) => {
  if (passwords.get(body.user) !== body.password)
    return void response.status(401).send(page("Wrong name or password."));
  const client = { ip, userAgent: headers["user-agent"] ?? "" };
  const begun = await beginLogIn(mfa, { userId: body.user, client });
  if (begun.next === "done") {
    keep(response, { session: begun.session });
    return void response.redirect(303, "/account");
  }
  const factor = begun.next === "prove" && begun.factors.find((one) => ["TOTP", "SMS", "EMAIL"].includes(kindOf(one)));
  if (!factor) return void response.status(403).send(page("Ask the help desk."));
  await prepareFactor(mfa, begun.logIn, factor);
  keep(response, { logIn: begun.logIn, kind: kindOf(factor) });
  response.send(codePage(kindOf(factor)));
});

app.post("/code", async (request, response) => {
  const { logIn, kind } = sessions.get(cookieOf(request)) ?? {};
  if (!logIn) return void response.redirect(303, "/");
  try {
    await answerLogIn(mfa, logIn, { kind, code: request.body.code });
    const session = await finishLogIn(mfa, logIn, { verify, tenantId });
    sessions.delete(cookieOf(request));
    keep(response, { session });
    response.redirect(303, "/account");
  } catch (refusal) {
    const wait = retryAfterOf(refusal);
    const text = {
      CODE_REJECTED: "That code was not right.",
      LOCKED: `Wait ${Math.ceil((wait ?? 0) / 1000)} seconds.`,
    };
    response.status(403).send(page(text[reasonOf(refusal)] ?? "Log in again.") + codePage(kind));
  }
});

const session = (request) => {
  const kept = sessions.get(cookieOf(request))?.session;
  return kept && { ...kept, tenantId };
};
app.get("/account", (request, response) => {
  const { userId, acr } = session(request) ?? {};
  response.status(userId ? 200 : 401).send(page(userId ? `${userId}, ${acr}` : "Log in first."));
});
app.get("/keys", requireMfa({ session, maxAge: 300 }), (_, response) => void response.send(page("Your keys")));

const server = app.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
  process.stdout.write(`http://127.0.0.1:${server.address().port}/\n`);
});

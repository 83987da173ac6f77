// A log-in whose second factor is proved on the service's own page: no page, no script and no code of it here.
import express from "express";
import { createAssertionVerifier, onceInMemory, remoteKeys } from "mfa-service-client/assertion";
import { beginPromptLogIn, createMfa, endedPromptCookie, finishPromptLogIn } from "mfa-service-client/node";

const { MFA_ADDRESS = "http://127.0.0.1:11005", MFA_KEYS = "http://127.0.0.1:11006/.well-known/jwks.json" } =
  process.env;
const mfa = createMfa({ baseUrl: MFA_ADDRESS, credential: process.env.SERVICE_TOKEN });
const key = remoteKeys(MFA_KEYS);
const verify = createAssertionVerifier({ issuer: "mfa-service", audience: "shop", key, once: onceInMemory() });
const passwords = new Map([["ann", "correct horse"]]);
const clientOf = ({ ip, headers }) => ({ ip, userAgent: headers["user-agent"] ?? "", application: "Shop" });

const app = express().use(express.urlencoded({ extended: false }));
app.get("/", (_, response) => {
  const fields =
    '<p><label>Name <input name="user"></label><p><label>Password <input name="password" type="password"></label>';
  response.send(
    `<!doctype html><title>Log in</title><form method="post" action="/password">${fields}<p><button>Log in</button></form>`,
  );
});

app.post("/password", async (request, response) => {
  const { user, password } = request.body;
  if (passwords.get(user) !== password) return void response.status(401).send("Wrong name or password.");
  const returnUrl = `http://localhost:${server.address().port}/callback`;
  const begun = await beginPromptLogIn(mfa, { userId: user, client: clientOf(request), returnUrl });
  if (begun.next === "prompt") return void response.set("set-cookie", begun.cookie).redirect(303, begun.url);
  response.status(begun.next === "done" ? 200 : 403).send(begun.next);
});

app.get("/callback", async (request, response) => {
  response.set("set-cookie", endedPromptCookie);
  try {
    const session = await finishPromptLogIn(mfa, request, { client: clientOf(request), tenantId: "dev", verify });
    response.send(`Logged in: ${session.userId}, ${session.acr}, ${session.amr.join(" ")}`); // and make a session of it
  } catch (refusal) {
    response.status(403).send(`Not logged in: ${refusal.why ?? refusal.message}`);
  }
});

const server = app.listen(Number(process.env.PORT ?? 3000), "localhost", () => {
  process.stdout.write(`http://localhost:${server.address().port}/\n`);
});

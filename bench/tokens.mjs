// What it costs to know the caller of a token that was verified before, and of a new one, with RFC 9068 and with a preset
// that maps claims: node bench/tokens.mjs. The first has to be the same for both.
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { createTokenAuthentication } from "../src/rpc/access/authentication.ts";
import { tokenRules } from "../src/rpc/access/tokens/token-rules.ts";
import { median } from "./median.mjs";

const ROUNDS = 15;
const REMEMBERED = 20_000;
const NEW = 300;

const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: "k1" }] });
const roles = { claims: { roles: { "realm_access.roles": { clerk: ["mfa.read"] } }, aal2: { amr: ["mfa"] } } };
const kinds = {
  "RFC 9068": { typ: "at+jwt", claims: { aud: "mfa" }, rules: tokenRules() },
  "Keycloak, with roles": {
    typ: "JWT",
    claims: {
      aud: ["mfa", "account"],
      typ: "Bearer",
      amr: ["pwd", "mfa"],
      realm_access: { roles: ["a", "clerk", "b"] },
    },
    rules: tokenRules(roles, "keycloak"),
  },
};

const now = new Date();
const sign = ({ typ, claims }, sub) =>
  new SignJWT({ iss: "https://idp", tid: "t", sub, ...claims })
    .setProtectedHeader({ alg: "RS256", typ, kid: "k1" })
    .setExpirationTime("1h")
    .sign(privateKey);

/** Microseconds a call. */
async function each(count, run) {
  const start = performance.now();
  for (let n = 0; n < count; n += 1) await run(n);
  return ((performance.now() - start) / count) * 1000;
}

const measured = Object.fromEntries(Object.keys(kinds).map((name) => [name, { remembered: [], fresh: [] }]));
const tokens = {};
for (const [name, kind] of Object.entries(kinds)) {
  tokens[name] = await Promise.all(Array.from({ length: NEW }, (_, n) => sign(kind, `user-${n}`)));
}
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [name, { rules }] of Object.entries(kinds)) {
    const authenticate = createTokenAuthentication([{ issuer: "https://idp", keys, rules, tenantId: "t" }]);
    measured[name].fresh.push(await each(NEW, (n) => authenticate(`Bearer ${tokens[name][n]}`, now)));
    measured[name].remembered.push(await each(REMEMBERED, (n) => authenticate(`Bearer ${tokens[name][n % NEW]}`, now)));
  }
}
for (const [name, { remembered, fresh }] of Object.entries(measured)) {
  const us = (values) => `${median(values).toFixed(2)} µs`;
  process.stdout.write(`${name}: remembered ${us(remembered)}, new ${us(fresh)}\n`);
}

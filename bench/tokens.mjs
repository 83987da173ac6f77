// What it costs to know the caller of a token that was verified before, and of a new one, with RFC 9068 and with a preset
// that maps claims. The first has to be the same for both.
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { createTokenAuthentication } from "../src/rpc/access/authentication.ts";
import { tokenRules } from "../src/rpc/access/tokens/token-rules.ts";
import { median } from "./median.mjs";

const ROUNDS = 15;
const REMEMBERED = 20_000;
const NEW = 300;

const roles = { claims: { roles: { "realm_access.roles": { clerk: ["mfa.read"] } }, aal2: { amr: ["mfa"] } } };
const kinds = {
  "RFC 9068": { typ: "at+jwt", claims: { aud: "mfa" }, rules: tokenRules() },
  "Keycloak's preset, with roles and levels mapped": {
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

/** Microseconds a call. */
async function each(count, run) {
  const start = performance.now();
  for (let n = 0; n < count; n += 1) await run(n);
  return ((performance.now() - start) / count) * 1000;
}

/** Measures both kinds in alternating rounds; medians, in microseconds a token. */
export async function benchTokens({ quick = false } = {}) {
  const rounds = quick ? 3 : ROUNDS;
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), kid: "k1" }] });
  const now = new Date();
  const sign = ({ typ, claims }, sub) =>
    new SignJWT({ iss: "https://idp", tid: "t", sub, ...claims })
      .setProtectedHeader({ alg: "RS256", typ, kid: "k1" })
      .setExpirationTime("1h")
      .sign(privateKey);
  const measured = Object.entries(kinds).map(([name, kind]) => ({ name, ...kind, remembered: [], fresh: [] }));
  for (const kind of measured) {
    kind.tokens = await Promise.all(Array.from({ length: NEW }, (_, n) => sign(kind, `user-${n}`)));
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const { rules, tokens, fresh, remembered } of measured) {
      const authenticate = createTokenAuthentication([{ issuer: "https://idp", keys, rules, tenantId: "t" }]);
      fresh.push(await each(NEW, (n) => authenticate(`Bearer ${tokens[n]}`, now)));
      remembered.push(await each(REMEMBERED, (n) => authenticate(`Bearer ${tokens[n % NEW]}`, now)));
    }
  }
  return {
    rounds,
    rows: measured.map(({ name, remembered, fresh }) => ({
      name,
      remembered: median(remembered),
      fresh: median(fresh),
    })),
  };
}

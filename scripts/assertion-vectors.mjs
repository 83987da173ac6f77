// Writes test/vectors/assertions.json: assertions that a verifier must take, and misuse that it must refuse, for
// verifiers in any language. Run once; the file is the contract, and keys are made anew with each run.
import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

const now = Math.floor(Date.parse("2026-03-01T12:00:00Z") / 1000);
const b64 = (value) => Buffer.from(value).toString("base64url");
const json = (value) => b64(JSON.stringify(value));
const sha = (text) => createHash("sha256").update(text).digest("base64url");

function makeKey(alg, kid, extra = {}) {
  const pair = alg === "EdDSA" ? generateKeyPairSync("ed25519") : generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    alg,
    kid,
    privateKey: pair.privateKey,
    jwk: { ...pair.publicKey.export({ format: "jwk" }), kid, use: "sig", alg, ...extra },
  };
}

const ed = makeKey("EdDSA", "ed-1");
const es = makeKey("ES256", "es-1");
const stranger = makeKey("EdDSA", "ed-1");
const retired = makeKey("EdDSA", "ed-0");
const short = makeKey("EdDSA", "ed-short");
/** Members of the set that are no keys: a verifier refuses what names them and takes all others. */
const malformed = [
  { ...short.jwk, x: "AAAA" },
  { ...es.jwk, kid: "es-off-curve", y: es.jwk.x },
  { kty: "EC", crv: "P-256", kid: "es-empty", use: "sig", alg: "ES256" },
];

function signatureOf({ alg, privateKey }, input, encoding = "ieee-p1363") {
  if (alg === "EdDSA") return sign(null, Buffer.from(input), privateKey);
  return sign("sha256", Buffer.from(input), { key: privateKey, dsaEncoding: encoding });
}

const action = { type: "transfer.create", parameters: { amount: "10.00", currency: "EUR", to: 'Bob "B" €' } };
const canonical = '{"parameters":{"amount":"10.00","currency":"EUR","to":"Bob \\"B\\" €"},"type":"transfer.create"}';

const claims = {
  iss: "mfa.example",
  aud: "shop",
  sub: "ann",
  tid: "main",
  sid: sha("session-1"),
  acr: "aal2",
  amr: ["otp", "mfa"],
  pur: "log_in",
  auth_time: now - 5,
  iat: now,
  nbf: now,
  exp: now + 120,
  jti: b64(randomBytes(16)),
  nonce: "n-1",
  pol: 0,
  cid: b64(randomBytes(16)),
};
const steppedUp = { ...claims, pur: "step_up" };
const acted = { ...steppedUp, exp: now + 60, act: { type: action.type, digest: sha(canonical) }, bnd: "authenticator" };
const expect = { tenantId: "main", userId: "ann", sessionId: "session-1", nonce: "n-1" };
const expectAction = { ...expect, action };

const without = (from, name) => Object.fromEntries(Object.entries(from).filter(([key]) => key !== name));
const token = (body, { key = ed, header = {}, input: raw } = {}) => {
  const input = raw ?? `${json({ alg: key.alg, typ: "mfa-assertion+jwt", kid: key.kid, ...header })}.${json(body)}`;
  return `${input}.${b64(signatureOf(key, input))}`;
};
const swap = (text, from, to) =>
  text
    .split(".")
    .map((part, n) => (n === from ? to(part) : part))
    .join(".");

const valid = (name, tokenText, expected = expect) => ({ name, valid: true, token: tokenText, expect: expected });
const misuse = (name, tokenText, expected = expect, more = {}) => ({
  name,
  valid: false,
  token: tokenText,
  expect: expected,
  ...more,
});

const good = token(claims);
const hs256 = (secret) => {
  const input = `${json({ alg: "HS256", typ: "mfa-assertion+jwt", kid: "ed-1" })}.${json(claims)}`;
  return `${input}.${createHmac("sha256", secret).update(input).digest("base64url")}`;
};
const noneHeader = json({ alg: "none", typ: "mfa-assertion+jwt", kid: "ed-1" });

const vectors = [
  valid("a log-in, EdDSA", good),
  valid("a log-in, ES256", token({ ...claims, jti: b64(randomBytes(16)) }, { key: es })),
  valid("an action bound by the authenticator", token(acted), { ...expectAction, binding: "authenticator" }),
  valid("an action bound by the service", token({ ...acted, bnd: "server" }), expectAction),
  valid("without a session and a nonce", token(without(without(claims, "sid"), "nonce")), {
    tenantId: "main",
    userId: "ann",
    sessionId: "",
  }),
  valid(
    "29 seconds after its end, for clocks that differ",
    token({ ...claims, iat: now - 149, nbf: now - 149, auth_time: now - 150, exp: now - 29 }),
  ),
  valid("aal1 where aal1 will do", token({ ...claims, acr: "aal1", amr: ["urn:mfa:amr:email"] }), {
    ...expect,
    acr: "aal1",
  }),
  valid("a log-in where one is expected", good, { ...expect, purpose: "log_in" }),
  valid("a step-up where one is expected", token(steppedUp), { ...expect, purpose: "step_up" }),
  valid("a step-up where either will do", token(steppedUp)),
  valid("a factor as old as allowed", token({ ...claims, auth_time: now - 60 }), { ...expect, maxAgeSeconds: 60 }),

  misuse("the algorithm none", `${noneHeader}.${json(claims)}.`),
  misuse("the algorithm none, with a signature", `${noneHeader}.${json(claims)}.${good.split(".")[2]}`),
  misuse("HS256 with the public key's x as the secret", hs256(Buffer.from(ed.jwk.x, "base64url"))),
  misuse("HS256 with the JWK's text as the secret", hs256(JSON.stringify(ed.jwk))),
  misuse("another algorithm than the key's", token(claims, { header: { alg: "ES256" } })),
  misuse("an ES256 key named by an EdDSA header", token(claims, { key: es, header: { alg: "EdDSA" } })),
  misuse(
    "an ES256 signature in DER",
    (() => {
      const input = `${json({ alg: "ES256", typ: "mfa-assertion+jwt", kid: "es-1" })}.${json(claims)}`;
      return `${input}.${b64(signatureOf(es, input, "der"))}`;
    })(),
  ),
  misuse("RS256", token(claims, { header: { alg: "RS256" } })),
  misuse("a signature by a key of the same id that is not in the set", token(claims, { key: stranger })),
  misuse("a key that is no longer in the set", token(claims, { key: retired })),
  misuse("a key id that nobody knows", token(claims, { header: { kid: "ed-9" } })),
  misuse("a key id that is a path", token(claims, { header: { kid: "../../../../dev/null" } })),
  misuse("a key that is too short", token(claims, { key: short })),
  misuse("a key that is no point of its curve", token(claims, { key: es, header: { kid: "es-off-curve" } })),
  misuse("a key without its members", token(claims, { key: es, header: { kid: "es-empty" } })),
  misuse("no key id", token(claims, { header: { kid: undefined } })),
  misuse("a key in the header (jwk)", token(claims, { key: stranger, header: { jwk: stranger.jwk } })),
  misuse("a key's address in the header (jku)", token(claims, { header: { jku: "https://evil.example/jwks.json" } })),
  misuse("a certificate's address in the header (x5u)", token(claims, { header: { x5u: "https://evil.example/x5u" } })),
  misuse("a critical extension", token(claims, { header: { crit: ["exp"] } })),
  misuse("an unencoded payload (b64)", token(claims, { header: { b64: false, crit: ["b64"] } })),
  misuse(
    "an access token in the place of an assertion",
    token({ ...claims, scope: "mfa.verify" }, { header: { typ: "at+jwt" } }),
  ),
  misuse("the type JWT", token(claims, { header: { typ: "JWT" } })),
  misuse("no type", token(claims, { header: { typ: undefined } })),
  misuse(
    "an altered body",
    swap(good, 1, () => json({ ...claims, sub: "bob" })),
    { ...expect, userId: "bob" },
  ),
  misuse(
    "an altered header",
    swap(good, 0, () => json({ alg: "EdDSA", typ: "mfa-assertion+jwt", kid: "es-1" })),
  ),
  misuse(
    "a cut signature",
    swap(good, 2, (part) => part.slice(0, -4)),
  ),
  misuse(
    "a signature with other padding bits",
    swap(good, 2, (part) => `${part.slice(0, -1)}${String.fromCharCode(part.charCodeAt(part.length - 1) + 1)}`),
  ),
  misuse("a fourth part", `${good}.e30`),
  misuse("two parts", good.split(".").slice(0, 2).join(".")),
  misuse("white space around it", ` ${good}`),
  misuse("a body that is a list", token([claims])),
  misuse("nothing", ""),
  misuse("of another issuer", token({ ...claims, iss: "mfa.example/" })),
  misuse("without an issuer", token(without(claims, "iss"))),
  misuse("for another audience", token({ ...claims, aud: "bank" })),
  misuse("for a list of audiences", token({ ...claims, aud: ["shop"] })),
  misuse("for two audiences", token({ ...claims, aud: ["shop", "bank"] })),
  misuse("without an audience", token(without(claims, "aud"))),
  misuse("of another user", token({ ...claims, sub: "bob" })),
  misuse("of a user in other letters", token({ ...claims, sub: "Ann" })),
  misuse("without a user", token(without(claims, "sub"))),
  misuse("of another tenant", token({ ...claims, tid: "other" })),
  misuse("without a tenant", token(without(claims, "tid"))),
  misuse("of another session", token({ ...claims, sid: sha("session-2") })),
  misuse("with the session's id in the place of its digest", token({ ...claims, sid: "session-1" })),
  misuse("without a session", token(without(claims, "sid"))),
  misuse("with a session where the request has none", good, { ...expect, sessionId: "" }),
  misuse("with another nonce", token({ ...claims, nonce: "n-2" })),
  misuse("without the nonce", token(without(claims, "nonce"))),
  misuse("with a nonce where none was chosen", good, without(expect, "nonce")),
  misuse("expired", token({ ...claims, iat: now - 160, nbf: now - 160, exp: now - 40 })),
  misuse("that ends before it begins", token({ ...claims, iat: now + 20, nbf: now + 20, exp: now + 10 })),
  misuse("that ends as it begins", token({ ...claims, exp: now })),
  misuse("without an end", token(without(claims, "exp"))),
  misuse("with an end that is a text", token({ ...claims, exp: String(now + 60) })),
  misuse("that lives for an hour", token({ ...claims, exp: now + 3600 })),
  misuse("with an action that lives for two minutes", token({ ...acted, exp: now + 120 }), expectAction),
  misuse("from the future", token({ ...claims, iat: now + 60, nbf: now + 60, exp: now + 120 })),
  misuse("without a time of issue", token(without(claims, "iat"))),
  misuse("proved in the future", token({ ...claims, auth_time: now + 600 })),
  misuse("without the time of the proof", token(without(claims, "auth_time"))),
  misuse("proved too long ago", token({ ...claims, auth_time: now - 61 }), { ...expect, maxAgeSeconds: 60 }),
  misuse("of a lower level", token({ ...claims, acr: "aal1" })),
  misuse("of no level", token(without(claims, "acr"))),
  misuse("of a level that does not exist", token({ ...claims, acr: "aal9" })),
  misuse("of a level in other letters", token({ ...claims, acr: "AAL2" })),
  ...["AAL2", "aal3", "", "2", "toString"].flatMap((acr) => [
    misuse(`aal1 where the level "${acr}" is expected, which does not exist`, token({ ...claims, acr: "aal1" }), {
      ...expect,
      acr,
    }),
    misuse(`aal2 where the level "${acr}" is expected, which does not exist`, good, { ...expect, acr }),
  ]),
  misuse("a log-in where a step-up is expected", good, { ...expect, purpose: "step_up" }),
  misuse("a step-up where a log-in is expected", token(steppedUp), { ...expect, purpose: "log_in" }),
  misuse("without a purpose", token(without(claims, "pur"))),
  misuse("without a purpose where one is expected", token(without(claims, "pur")), { ...expect, purpose: "log_in" }),
  misuse("for a purpose that does not exist", token({ ...claims, pur: "LOG_IN" })),
  misuse("for two purposes", token({ ...claims, pur: ["log_in", "step_up"] })),
  ...["LOG_IN", "", "toString"].map((purpose) =>
    misuse(`where the purpose "${purpose}" is expected, which does not exist`, good, { ...expect, purpose }),
  ),
  misuse("without methods", token(without(claims, "amr"))),
  misuse("with an empty list of methods", token({ ...claims, amr: [] })),
  misuse("without an id", token(without(claims, "jti"))),
  misuse("with a short id", token({ ...claims, jti: "1" })),
  misuse("for an altered amount", token(acted), {
    ...expectAction,
    action: { ...action, parameters: { ...action.parameters, amount: "10000.00" } },
  }),
  misuse("for an action with one parameter more", token(acted), {
    ...expectAction,
    action: { ...action, parameters: { ...action.parameters, memo: "" } },
  }),
  misuse("for another type of action", token(acted), {
    ...expectAction,
    action: { ...action, type: "transfer.cancel" },
  }),
  misuse("for no action where one is to run", good, expectAction),
  misuse("for an action where none is to run", token(acted)),
  misuse("with an action but nothing on where it was bound", token(without(acted, "bnd")), expectAction),
  misuse("bound by the service where the authenticator must have", token({ ...acted, bnd: "server" }), {
    ...expectAction,
    binding: "authenticator",
  }),
  misuse("used before", good, expect, { usedBefore: true }),
];

const file = {
  description:
    "Assertions of mfa-service: what a verifier must take and what it must refuse. See docs/integrate/challenges.md of the repository.",
  now,
  issuer: "mfa.example",
  audience: "shop",
  jwks: { keys: [ed.jwk, es.jwk, ...malformed] },
  vectors,
};
writeFileSync(join(import.meta.dirname, "../test/vectors/assertions.json"), `${JSON.stringify(file, null, 2)}\n`);

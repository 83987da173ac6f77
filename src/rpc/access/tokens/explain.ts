import { Principal } from "../../../../gen/mfa/v1/options_pb.js";
import { issuerOf, signatureFailure } from "../authentication.ts";
import { IssuerUnavailable } from "../issuer-keys.ts";
import { callerOf } from "./caller-of.ts";
import { type Checked, claimChecks, headerChecks } from "./checks.ts";
import { kindName } from "./claims.ts";
import { type Issuer, type RuledIssuer, ruled } from "./issuer.ts";
import { parseToken } from "./parsed-token.ts";
import type { Check, Failure } from "./rejected.ts";

/** A check of a token with its verdict. */
interface Verdict {
  readonly check: Check;
  readonly failure: Failure | undefined;
}

/** What an operator reads about a token. */
export interface Explanation {
  readonly isAccepted: boolean;
  /** Lines for a terminal. They hold what the token says of its holder, and never the token. */
  readonly lines: readonly string[];
}

const lineOf = ({ check, failure }: Verdict): string[] => [
  `${failure ? "FAILS" : "ok   "}  ${check.padEnd(16)}${failure ? failure.text : ""}`.trimEnd(),
  ...(failure?.setting === undefined ? [] : [`       ${"".padEnd(16)}setting: ${failure.setting}`]),
];

const judged = (checks: typeof claimChecks, checked: Checked): Verdict[] =>
  checks.map(({ check, judge }) => {
    const failure = judge(checked);
    return { check, failure: failure && { check, ...failure } };
  });

async function signed(token: string, issuer: RuledIssuer): Promise<Verdict[]> {
  try {
    const failure = await signatureFailure(token, issuer);
    return [{ check: failure?.check ?? "signature", failure }];
  } catch (error) {
    if (!(error instanceof IssuerUnavailable)) throw error;
    const text = `keys could not be fetched: ${error.message}`;
    return [{ check: "keys", failure: { check: "keys", text, setting: '"jwksUrl", "jwksFile" or "discovery"' } }];
  }
}

/** What the service would make of an accepted token. */
function callerLines(checked: Checked): string[] {
  const { caller } = callerOf(checked);
  const { scopes, aal2, roles } = checked.issuer.rules.claims;
  const from = [...scopes, ...roles.map(({ path }) => path)].map((path) => path.join(".")).join(", ") || "nothing";
  const levels = aal2.map(({ path, values }) => `${path.join(".")}: ${[...values].join(", ")}`).join("; ");
  const isScoped = caller.principal !== Principal.USER;
  return [
    `kind     ${kindName(caller.principal)}`,
    `tenant   ${caller.tenantId}`,
    `subject  ${caller.subject}`,
    `level    ${caller.acr} (aal2 by ${levels}; "claims.aal2")`,
    `session  ${caller.sessionId || 'none ("claims.session")'}`,
    `proved   ${caller.authTime?.toISOString() ?? 'not said: never fresh ("claims.authTime")'}`,
    `scopes   ${[...caller.scopes].join(" ") || "none"}${isScoped || caller.scopes.size > 0 ? ` (from ${from}; "claims.scopes", "claims.roles")` : ""}`,
  ];
}

const verdictOf = (failure: Failure | undefined) =>
  failure ? `refused: ${failure.text}` : "accepted, in each call if the RPC is open to its kind, scopes and level";

/** Goes through every check of a token, past those that fail, by the same code that calls go through. */
export async function explainToken(token: string, issuers: readonly Issuer[], now: Date): Promise<Explanation> {
  const known = new Map(issuers.map((issuer) => [issuer.issuer, ruled(issuer)]));
  const parsed = parseToken(token.trim().replace(/^bearer +/i, ""));
  const early = (failure: Failure) => ({
    isAccepted: false,
    lines: [...lineOf({ check: failure.check, failure }), "", verdictOf(failure)],
  });
  if ("check" in parsed) return early(parsed);
  const issuer = issuerOf(parsed, known);
  if ("check" in issuer) return early(issuer);
  const checked: Checked = { ...parsed, issuer, now };
  const verdicts: Verdict[] = [
    { check: "issuer", failure: undefined },
    ...judged(headerChecks, checked),
    ...(await signed(token.trim().replace(/^bearer +/i, ""), issuer)),
    ...judged(claimChecks, checked),
  ];
  const first = verdicts.find(({ failure }) => failure)?.failure;
  const caller = first ? [] : ["", ...callerLines(checked)];
  return { isAccepted: !first, lines: [...verdicts.flatMap(lineOf), "", verdictOf(first), ...caller] };
}

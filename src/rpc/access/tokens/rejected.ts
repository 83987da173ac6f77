import { printable } from "../../../core/client-origin.ts";
import { Refusal } from "../../../core/refusal.ts";

/** What is looked at in a credential, in this order: the label of the metric, and the field `check` of the log. */
export const CHECKS = [
  "header",
  "format",
  "issuer",
  "algorithm",
  "typ",
  "crit",
  "key",
  "keys",
  "signature",
  "expiry",
  "start",
  "lifetime",
  "id-token",
  "bound",
  "required-claims",
  "audience",
  "subject",
  "tenant",
  "service-key",
  "user-token",
  "ticket",
  "prompt",
  "device",
] as const;

/** A check that failed, or that passed. */
export type Check = (typeof CHECKS)[number];

/** Why a check failed. */
export interface Failure {
  readonly check: Check;
  /** The reason for operators; holds names and types from the token, never the token or its subject. */
  readonly text: string;
  /** The issuer's setting that would change the result, if any. */
  readonly setting?: string | undefined;
}

/** A value of a token, for people: short, on one line. */
export const excerpt = (value: unknown): string => {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
  const short = printable(text);
  return short.length > 100 ? `${short.slice(0, 100)}…` : short;
};

/** A credential that is not accepted. Its callers hear INVALID_CREDENTIAL alike; in dev mode they hear why. */
export class CredentialRejected extends Refusal {
  readonly failure: Failure;
  /** The issuer that the token names, where it names a configured one. */
  readonly issuer: string | undefined;

  constructor(failure: Failure, issuer?: string, isTold = false) {
    const { check, text } = failure;
    super("INVALID_CREDENTIAL", isTold ? { metadata: { check, detail: text }, detail: text } : {});
    this.failure = failure;
    this.issuer = issuer;
  }
}

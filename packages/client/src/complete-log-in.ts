import type { JsonObject } from "@bufbuild/protobuf";
import type { ChallengeFactor } from "../../../gen/mfa/v1/challenge_pb.js";
import type { Mfa } from "./connection.ts";
import { isCodeRejected } from "./errors.ts";
import { answerLogIn, awaitPhone, beginLogIn, finishLogIn, kindOf, prepareFactor } from "./log-in.ts";
import type { Answer, FactorKind, LoggedIn, LogInRequest, PendingLogIn, Verify } from "./log-in-types.ts";

/** What the application does in the course of a log-in. A factor without its hook is not offered. */
export interface LogInHooks {
  /** Returns the factor that the user picks among several. Default: the first, which is the strongest. */
  readonly choose?: (factors: readonly ChallengeFactor[]) => ChallengeFactor | Promise<ChallengeFactor>;
  /** Returns the code that the user types; `wrong` says how many were wrong before. */
  readonly code?: (factor: ChallengeFactor, wrong: number) => string | Promise<string>;
  /** Returns the JSON of `navigator.credentials.get` for these options. */
  readonly passkey?: (options: JsonObject) => JsonObject | Promise<JsonObject>;
  /** Shows the number to type on the phone, and returns at once. */
  readonly number?: (number: string) => void | Promise<void>;
  /** Has the user enroll a factor by the ticket, and returns when they have; the log-in then begins again. */
  readonly enroll?: (ticket: string, kinds: readonly FactorKind[]) => void | Promise<void>;
}

/** A log-in, the hooks of its application, and how its assertion is verified. */
export interface CompleteLogIn extends LogInRequest, LogInHooks {
  readonly tenantId: string;
  readonly verify: Verify;
  /** How many codes are asked for before CODE_REJECTED is thrown. Default 3. */
  readonly maxCodes?: number;
}

/** Why a log-in ended without a session. */
export class LogInRefused extends Error {
  override readonly name = "LogInRefused";
  /**
   * DENIED by the policy, on the phone or on the service's page; ENROLLMENT_REQUIRED or NO_FACTOR_OFFERED where a hook is
   * missing; OTHER_BROWSER where a browser comes back from the page that has not begun the log-in.
   */
  readonly why: "DENIED" | "ENROLLMENT_REQUIRED" | "NO_FACTOR_OFFERED" | "OTHER_BROWSER";

  constructor(why: LogInRefused["why"]) {
    super(`the log-in was refused: ${why}`);
    this.why = why;
  }
}

const hookOf: Record<FactorKind, keyof LogInHooks> = {
  TOTP: "code",
  SMS: "code",
  EMAIL: "code",
  BACKUP_CODE: "code",
  TEMPORARY_PASS: "code",
  WEBAUTHN: "passkey",
  PUSH: "number",
};

async function proveByCode(mfa: Mfa, logIn: PendingLogIn, factor: ChallengeFactor, options: CompleteLogIn) {
  const { code, maxCodes = 3 } = options;
  for (let wrong = 0; ; wrong++) {
    const typed = (await code?.(factor, wrong)) ?? "";
    try {
      return await answerLogIn(mfa, logIn, { kind: kindOf(factor), code: typed } as Answer);
    } catch (error) {
      if (!isCodeRejected(error) || wrong + 1 >= maxCodes) throw error;
    }
  }
}

/** Has the user prove one factor, and returns what is left to prove. */
async function prove(mfa: Mfa, logIn: PendingLogIn, factor: ChallengeFactor, options: CompleteLogIn) {
  const prepared = await prepareFactor(mfa, logIn, factor);
  if (prepared.kind === "phone") {
    await options.number?.(prepared.number);
    return awaitPhone(mfa, logIn);
  }
  if (prepared.kind === "code") return proveByCode(mfa, logIn, factor, options);
  const response = (await options.passkey?.(prepared.options)) ?? {};
  return answerLogIn(mfa, logIn, { kind: "WEBAUTHN", response });
}

/**
 * Runs a whole log-in, from "the password was right" to a session: evaluate, enroll where that is asked for, prove one
 * factor after the other, redeem, verify. Throws LogInRefused, and what the service refuses as it is (`reasonOf`).
 */
export async function completeLogIn(mfa: Mfa, options: CompleteLogIn): Promise<LoggedIn> {
  let begun = await beginLogIn(mfa, options);
  if (begun.next === "enroll") {
    if (!options.enroll) throw new LogInRefused("ENROLLMENT_REQUIRED");
    await options.enroll(begun.ticket, begun.kinds);
    begun = await beginLogIn(mfa, options);
  }
  if (begun.next === "done") return begun.session;
  if (begun.next !== "prove") throw new LogInRefused(begun.next === "enroll" ? "ENROLLMENT_REQUIRED" : "DENIED");
  const { logIn } = begun;
  let left: readonly ChallengeFactor[] | undefined = begun.factors;
  do {
    const offered = left.filter((factor) => options[hookOf[kindOf(factor)]] !== undefined);
    const [first] = offered;
    if (!first) throw new LogInRefused("NO_FACTOR_OFFERED");
    const chosen = offered.length > 1 && options.choose ? await options.choose(offered) : first;
    left = await prove(mfa, logIn, chosen, options);
    if (!left) throw new LogInRefused("DENIED");
  } while (left.length > 0);
  return finishLogIn(mfa, logIn, options);
}

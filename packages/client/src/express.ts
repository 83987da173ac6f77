// For Express 4 and 5, and whatever takes the same middleware (Connect, Polka, Restify).
import type { AssertionPayload } from "../../../src/client/assertion.ts";
import { judge, type Requirement } from "./requirement.ts";

export type { MfaSession, Requirement, Strength } from "./requirement.ts";

/** As much of Express' request as is looked at. */
export interface ExpressRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** As much of Express' response as is written to. */
export interface ExpressResponse {
  status(code: number): this;
  set(headers: Record<string, string>): this;
  json(body: unknown): unknown;
  locals: Record<string, unknown>;
}

/**
 * Lets a request pass whose session, or whose header `mfa-assertion`, proves what the route demands; answers any other by
 * a challenge (401, RFC 9470). What an assertion stated is in `response.locals.mfaAssertion`.
 */
export function requireMfa<R extends ExpressRequest>(requirement: Requirement<R>) {
  return (request: R, response: ExpressResponse, next: (error?: unknown) => void): void => {
    const { "mfa-assertion": header } = request.headers;
    judge(request, typeof header === "string" ? header : undefined, requirement)
      .then((verdict) => {
        if (!verdict.allowed)
          return void response
            .status(verdict.status)
            .set({ ...verdict.headers })
            .json(verdict.body);
        response.locals.mfaAssertion = verdict.assertion satisfies AssertionPayload | undefined;
        next();
      })
      .catch(next);
  };
}

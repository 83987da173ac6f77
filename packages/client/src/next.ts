// For route handlers of Next, and of whatever else takes a Request and returns a Response (Hono, SvelteKit, Remix, Bun).
import type { AssertionPayload } from "../../../src/client/assertion.ts";
import { judge, type Requirement } from "./requirement.ts";

export type { MfaSession, Requirement, Strength } from "./requirement.ts";

/** A route's handler, which is told besides what an assertion stated, if one was needed. */
export type Handler<R extends Request, Rest extends unknown[]> = (
  request: R,
  ...rest: Rest
) => Response | Promise<Response>;

const stated = new WeakMap<Request, AssertionPayload>();

/** Returns what the assertion of a request stated; undefined where its session was proof enough. */
export const assertionOf = (request: Request): AssertionPayload | undefined => stated.get(request);

/**
 * Wraps a route's handler: `export const POST = requireMfa({ session, maxAge: 300 })(async (request) => …)`. Whoever does
 * not prove what the route demands gets a challenge (401, RFC 9470). An `action` that reads the body reads `request.clone()`.
 */
export function requireMfa<R extends Request>(requirement: Requirement<R>) {
  return <Rest extends unknown[]>(handler: Handler<R, Rest>): Handler<R, Rest> =>
    async (request, ...rest) => {
      const verdict = await judge(request, request.headers.get("mfa-assertion") ?? undefined, requirement);
      if (!verdict.allowed)
        return Response.json(verdict.body, { status: verdict.status, headers: { ...verdict.headers } });
      if (verdict.assertion) stated.set(request, verdict.assertion);
      return handler(request, ...rest);
    };
}

// For Fastify 4 and 5: a hook for `onRequest` or `preHandler` of a route or a scope.
import { judge, type Requirement } from "./requirement.ts";

export type { MfaSession, Requirement, Strength } from "./requirement.ts";

/** As much of Fastify's request as is looked at. */
export interface FastifyRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** As much of Fastify's reply as is written to. */
export interface FastifyReply {
  code(status: number): this;
  headers(values: Record<string, string>): this;
  send(body: unknown): this;
}

/**
 * Lets a request pass whose session, or whose header `mfa-assertion`, proves what the route demands; answers any other by
 * a challenge (401, RFC 9470). Use `preHandler` where `action` reads the body.
 */
export function requireMfa<R extends FastifyRequest>(requirement: Requirement<R>) {
  return async (request: R, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const { "mfa-assertion": header } = request.headers;
    const verdict = await judge(request, typeof header === "string" ? header : undefined, requirement);
    if (verdict.allowed) return undefined;
    return reply
      .code(verdict.status)
      .headers({ ...verdict.headers })
      .send(verdict.body);
  };
}

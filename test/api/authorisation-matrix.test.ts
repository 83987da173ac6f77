import { type DescMethod, fromBinary, getOption } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { type Access, Acr, access, Principal } from "../../gen/mfa/v1/options_pb.js";
import type { Claims } from "../../src/dev/dev-issuer.ts";
import { enrolApp } from "../support/authenticator.ts";
import { rawCaller } from "../support/client.ts";
import { engines } from "../support/engines.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const services = [MfaService, AdminMfaService, InternalMfaService];
const methods = services.flatMap((service): readonly DescMethod[] => service.methods);
const ruleOf = (method: DescMethod): Access => getOption(method, access);

const scopes = [...new Set(methods.map((method) => ruleOf(method).scope))].filter((scope) => scope !== "");
const HOUR = 3_600_000;

/** One kind of caller: how its token is made, and what an independent reading of the options says of it. */
interface Kind {
  readonly name: string;
  token(service: ServiceUnderTest, method: DescMethod): Promise<string | undefined>;
  readonly principal?: Principal;
  readonly acr?: "aal1" | "aal2";
  readonly enrolled?: boolean;
  readonly ageMs?: number;
  readonly scoped?: boolean;
}

const others = (scope: string) => scopes.filter((other) => other !== scope).join(" ");

const user = (
  name: string,
  subject: string,
  facts: Pick<Kind, "acr" | "enrolled" | "ageMs">,
  tenant = "dev",
): Kind => ({
  name,
  principal: Principal.USER,
  ...facts,
  token: (service) => service.mint(claims(service, { audience: "mfa", subject, tenant }, facts)),
});

const scoped = (
  name: string,
  audience: "mfa-admin" | "mfa-internal",
  isScoped: boolean,
  facts: Pick<Kind, "acr" | "ageMs"> = {},
): Kind => ({
  name,
  principal: audience === "mfa-admin" ? Principal.ADMIN : Principal.SERVICE,
  scoped: isScoped,
  ...facts,
  token: (service, method) => {
    const { scope } = ruleOf(method);
    return service.mint(
      claims(service, { audience, subject: "someone", scope: isScoped ? scope : others(scope) }, facts),
    );
  },
});

function claims(service: ServiceUnderTest, rest: Claims, { acr, ageMs = 0 }: Pick<Kind, "acr" | "ageMs">): Claims {
  return { ...rest, ...(acr && { acr }), authTime: new Date(service.clock.now.getTime() - ageMs) };
}

const kinds: readonly Kind[] = [
  { name: "nobody", token: async () => undefined },
  { name: "junk", token: async () => "junk" },
  {
    name: "an expired user",
    token: (service) => {
      const past = new Date(service.clock.now.getTime() - 2 * HOUR);
      return service.mint({ audience: "mfa", subject: "ann", acr: "aal2" }, past);
    },
  },
  {
    name: "an audience of no service",
    token: (service) => service.mint({ audience: "mfa-x" as "mfa", subject: "ann" }),
  },
  {
    name: "another deployment's user",
    token: async (service) => (await service.user("ann", "aal2")).replace(/.{8}$/, "AAAAAAAA"),
  },
  user("aal1 without a factor", "bob", { acr: "aal1", enrolled: false }),
  user("aal1 without a factor, stale", "bob", { acr: "aal1", enrolled: false, ageMs: HOUR }),
  user("aal1 with a factor", "ann", { acr: "aal1", enrolled: true }),
  user("aal2, fresh", "ann", { acr: "aal2", enrolled: true }),
  user("aal2, stale", "ann", { acr: "aal2", enrolled: true, ageMs: HOUR }),
  user("aal2 of another tenant", "ann", { acr: "aal2", enrolled: false }, "other"),
  user("aal1 of another tenant", "ann", { acr: "aal1", enrolled: false }, "other"),
  scoped("administrator with the scope", "mfa-admin", true, { acr: "aal2" }),
  scoped("administrator with every other scope", "mfa-admin", false, { acr: "aal2" }),
  scoped("administrator at aal1", "mfa-admin", true, { acr: "aal1" }),
  scoped("administrator, stale", "mfa-admin", true, { acr: "aal2", ageMs: HOUR }),
  scoped("backend with the scope", "mfa-internal", true),
  scoped("backend with every other scope", "mfa-internal", false),
];

const REFUSALS = ["INVALID_CREDENTIAL", "ACCESS_DENIED", "INSUFFICIENT_USER_AUTHENTICATION"];

/** What the options say, read the long way round. */
function expected(rule: Access, kind: Kind): string {
  if (kind.principal === undefined) return "INVALID_CREDENTIAL";
  if (!rule.principals.includes(kind.principal) || kind.scoped === false) return "ACCESS_DENIED";
  if (kind.principal === Principal.SERVICE) return "in";
  const needsSecond = rule.acr === Acr.AAL2 || (rule.acr === Acr.AAL2_IF_ENROLLED && kind.enrolled === true);
  const tooOld = rule.maxAge !== undefined && (kind.ageMs ?? 0) > durationMs(rule.maxAge);
  return (needsSecond && kind.acr === "aal1") || tooOld ? "INSUFFICIENT_USER_AUTHENTICATION" : "in";
}

type Send = (method: DescMethod, token: string | undefined) => Promise<string>;

/** Calls over Connect with an empty message, and answers the reason. */
const browser =
  (port: number): Send =>
  async (method, token) => {
    const streams = method.methodKind !== "unary";
    const headers = {
      "content-type": streams ? "application/connect+proto" : "application/proto",
      ...(token && { authorization: `Bearer ${token}` }),
    };
    const path = `/${method.parent.typeName}/${method.name}`;
    const body = streams ? new Uint8Array(5) : new Uint8Array();
    const text = await (await fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body })).text();
    const details = /"details":\[(.*)\]/.exec(text)?.[1];
    const [detail] = details ? (JSON.parse(`[${details}]`) as { type: string; value: string }[]) : [];
    return detail ? fromBinary(ErrorInfoSchema, Buffer.from(detail.value, "base64")).reason : "";
  };

/** Every cell that differs from what the options say. */
async function differences(service: ServiceUnderTest, tested: readonly DescMethod[], send: Send): Promise<string[]> {
  const wrong: string[] = [];
  for (const method of tested) {
    const cells = kinds.map(async (kind) => {
      const reason = await send(method, await kind.token(service, method));
      const outcome = REFUSALS.includes(reason) ? reason : "in";
      const due = expected(ruleOf(method), kind);
      if (outcome !== due) wrong.push(`${method.name} by ${kind.name}: ${outcome}, not ${due}`);
    });
    await Promise.all(cells);
  }
  return wrong;
}

describe("every RPC by every kind of caller is answered as its options say", () => {
  const start = async () => {
    const service = await serviceForTest(sqlite);
    await enrolApp(service, "ann");
    return service;
  };

  test(`${methods.length} RPCs by ${kinds.length} kinds over gRPC`, { timeout: 120_000 }, async () => {
    const service = await start();
    const call = rawCaller(service.port);
    const send: Send = async (method, token) =>
      (await call(`/${method.parent.typeName}/${method.name}`, Buffer.alloc(0), token))?.reason ?? "";
    expect(await differences(service, methods, send)).toEqual([]);
  });

  test("those of MfaService through the gateway", { timeout: 120_000 }, async () => {
    const service = await start();
    expect(await differences(service, MfaService.methods, browser(service.gatewayPort))).toEqual([]);
  });

  test("those of AdminMfaService through the administrators' listener", { timeout: 120_000 }, async () => {
    const service = await start();
    expect(await differences(service, AdminMfaService.methods, browser(service.adminPort))).toEqual([]);
  });
});

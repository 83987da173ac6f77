import { type DescMethod, fromBinary, getOption } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { credentials, status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import { type Access, Acr, access, Principal } from "../../gen/mfa/v1/options_pb.js";
import type { DevTokenClaims } from "../../src/dev/dev-issuer.ts";
import { enrollApp } from "../support/actors/authenticator-app.ts";
import { rawCaller } from "../support/actors/grpc-client.ts";
import { phones } from "../support/actors/phone-signatures.ts";
import { promptCredential } from "../support/actors/prompt.ts";
import { createKey, keeperOf } from "../support/actors/service-keys.ts";
import { ticketOffice } from "../support/actors/ticket-office.ts";
import { assertionOf, tokenFor } from "../support/actors/user-tokens.ts";
import { engines } from "../support/engine/engines.ts";
import { authority } from "../support/fakes/certificates.ts";
import { beside, files, pair } from "../support/worlds/listeners.ts";
import { type ServiceUnderTest, serviceForTest } from "../support/worlds/service.ts";

const [sqlite] = engines as [(typeof engines)[number]];
const services = [MfaService, AdminMfaService, InternalMfaService];
const methods = services.flatMap((service): readonly DescMethod[] => service.methods);
const ruleOf = (method: DescMethod): Access => getOption(method, access);

const scopes = [...new Set(methods.map((method) => ruleOf(method).scope))].filter((scope) => scope !== "");
const HOUR = 3_600_000;

/** One kind of caller: how its credential is made, and what an independent reading of the options says of it. */
interface Kind {
  readonly name: string;
  /** The `authorization` header. */
  header(door: Door, method: DescMethod): Promise<string | undefined>;
  readonly principal?: Principal;
  readonly acr?: "aal1" | "aal2";
  readonly enrolled?: boolean;
  readonly ageMs?: number;
  readonly scoped?: boolean;
  /** Genuine, but good for nothing any more. */
  readonly ended?: boolean;
  /** A pairing token, or the signature of a device that is paired. */
  readonly pairing?: boolean;
}

/** A running service with the office of its tickets and the phones of its users. */
interface Door extends ServiceUnderTest {
  readonly ticket: (user: string) => Promise<string>;
  /** A service key with scopes, one for each name and set of them. */
  readonly key: (name: string, scopes: readonly string[], revoked: boolean) => Promise<string>;
  readonly userToken: (user: string, acr: "aal1" | "aal2") => Promise<string>;
  readonly phone: ReturnType<ReturnType<typeof phones>["phone"]>;
  readonly pairingToken: string;
  /** The `authorization` of a browser that opened a prompt. */
  readonly prompt: (method: DescMethod) => Promise<string>;
}

const pathOf = ({ parent, name }: DescMethod) => `${parent.typeName}/${name}`;
const bearer = (token: string) => `Bearer ${token}`;
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
  header: async (service) => bearer(await service.mint(claims(service, { audience: "mfa", subject, tenant }, facts))),
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
  header: async (service, method) => {
    const { scope } = ruleOf(method);
    const said: DevTokenClaims = { audience, subject: "someone", scope: isScoped ? scope : others(scope) };
    return bearer(await service.mint(claims(service, said, facts)));
  },
});

const scopesOfBackends = new Set(InternalMfaService.methods.map((method) => ruleOf(method).scope));

/** A backend by a service key. */
const key = (name: string, isScoped: boolean, more: Partial<Kind> = { principal: Principal.SERVICE }): Kind => ({
  name,
  scoped: isScoped,
  ...more,
  header: async (door, method) => {
    const { scope } = ruleOf(method);
    const has = [...scopesOfBackends].filter((one) => (one === scope) === isScoped);
    // No key can have a scope of administrators.
    return bearer(await door.key(name, has.length > 0 ? has : ["mfa.verify"], more.principal === undefined));
  },
});

/** A user by a token of this service's own. */
const own = (name: string, subject: string, facts: Pick<Kind, "acr" | "enrolled">): Kind => ({
  name,
  principal: Principal.USER,
  ...facts,
  header: async (door) => bearer(await door.userToken(subject, facts.acr ?? "aal1")),
});

function claims(
  service: ServiceUnderTest,
  rest: DevTokenClaims,
  { acr, ageMs = 0 }: Pick<Kind, "acr" | "ageMs">,
): DevTokenClaims {
  return { ...rest, ...(acr && { acr }), authTime: new Date(service.clock.now.getTime() - ageMs) };
}

const kinds: readonly Kind[] = [
  { name: "nobody", header: async () => undefined },
  { name: "junk", header: async () => "Bearer junk" },
  {
    name: "an expired user",
    header: async (service) => {
      const past = new Date(service.clock.now.getTime() - 2 * HOUR);
      return bearer(await service.mint({ audience: "mfa", subject: "ann", acr: "aal2" }, past));
    },
  },
  {
    name: "an audience of no service",
    header: async (service) => bearer(await service.mint({ audience: "mfa-x" as "mfa", subject: "ann" })),
  },
  {
    name: "another deployment's user",
    header: async (service) => bearer((await service.user("ann", "aal2")).replace(/.{8}$/, "AAAAAAAA")),
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
  key("service key with the scope", true),
  key("service key with every other scope", false),
  key("revoked service key", true, {}),
  own("aal1 by a user token, without a factor", "bob", { acr: "aal1", enrolled: false }),
  own("aal1 by a user token, with a factor", "ann", { acr: "aal1", enrolled: true }),
  own("aal2 by a user token", "ann", { acr: "aal2", enrolled: true }),
  { name: "a ticket", principal: Principal.TICKET, header: ({ ticket }) => ticket("bob") },
  {
    name: "a ticket whose user has a factor",
    principal: Principal.TICKET,
    ended: true,
    header: ({ ticket }) => ticket("ann"),
  },
  { name: "a ticket nobody gave out", header: async () => `Ticket ${"A".repeat(22)}` },
  {
    name: "a browser with its prompt's cookie",
    principal: Principal.PROMPT,
    header: ({ prompt }, method) => prompt(method),
  },
  { name: "a browser with a cookie of no prompt", header: async () => `Prompt ${"A".repeat(22)}.${"A".repeat(22)}` },
  {
    name: "a paired device",
    principal: Principal.DEVICE,
    pairing: false,
    header: ({ phone, clock }, method) => phone.sign(pathOf(method), clock.now),
  },
  {
    name: "a device that signed for another RPC",
    header: ({ phone, clock }, method) => phone.sign(`${pathOf(method)}s`, clock.now),
  },
  {
    name: "a pairing token",
    principal: Principal.DEVICE,
    pairing: true,
    header: async ({ pairingToken }) => `Device ${pairingToken}`,
  },
];

/** Service keys as they are asked for. */
function keysOf(service: ServiceUnderTest): Door["key"] {
  const made = new Map<string, Promise<string>>();
  const make = async (has: readonly string[], revoked: boolean) => {
    const { secret, keyId } = await createKey(service, has);
    if (revoked) await service.admin.revokeServiceKey({ keyId }, await keeperOf(service, ""));
    return secret;
  };
  return (name, has, revoked) => {
    const at = `${name} ${has.join(" ")}`;
    const found = made.get(at) ?? make(has, revoked);
    made.set(at, found);
    return found;
  };
}

/** Those of the door. That a ticket has ended the door says too, in the words of what has ended. */
const REFUSALS = ["INVALID_CREDENTIAL", "ACCESS_DENIED", "INSUFFICIENT_USER_AUTHENTICATION", "RATE_LIMITED"];

/** What the options say, read the long way round. */
function expected(method: DescMethod, kind: Kind): string {
  const rule = ruleOf(method);
  const pairs = method.name === "FinishPushDeviceEnrollment";
  if (kind.principal === undefined) return "INVALID_CREDENTIAL";
  if (!rule.principals.includes(kind.principal) || kind.scoped === false) return "ACCESS_DENIED";
  if (kind.principal === Principal.SERVICE) return "in";
  if (kind.principal === Principal.TICKET) return kind.ended ? "CHALLENGE_EXPIRED" : "in";
  if (kind.principal === Principal.PROMPT) return "in";
  if (kind.principal === Principal.DEVICE) return kind.pairing === pairs ? "in" : "ACCESS_DENIED";
  const needsSecond = rule.acr === Acr.AAL2 || (rule.acr === Acr.AAL2_IF_ENROLLED && kind.enrolled === true);
  const tooOld = rule.maxAge !== undefined && (kind.ageMs ?? 0) > durationMs(rule.maxAge);
  return (needsSecond && kind.acr === "aal1") || tooOld ? "INSUFFICIENT_USER_AUTHENTICATION" : "in";
}

/** A stream that was let in has no end of its own. */
const endOf = (method: DescMethod) => (method.methodKind === "unary" ? undefined : 5_000);

type Send = (method: DescMethod, authorization: string | undefined) => Promise<string>;

/** Calls over Connect with an empty message, and answers the reason. */
const browser =
  (port: number): Send =>
  async (method, authorization) => {
    const streams = method.methodKind !== "unary";
    const headers = {
      "content-type": streams ? "application/connect+proto" : "application/proto",
      ...(authorization && { authorization }),
    };
    const path = `/${pathOf(method)}`;
    const body = streams ? new Uint8Array(5) : new Uint8Array();
    const limitMs = endOf(method);
    const signal = limitMs === undefined ? null : AbortSignal.timeout(limitMs);
    const answered = fetch(`http://127.0.0.1:${port}${path}`, { method: "POST", headers, body, signal });
    const text = await answered
      .then((response) => response.text())
      .catch((error: Error) => {
        if (error.name === "TimeoutError") return "";
        throw error;
      });
    const details = /"details":\[(.*)\]/.exec(text)?.[1];
    const [detail] = details ? (JSON.parse(`[${details}]`) as { type: string; value: string }[]) : [];
    return detail ? fromBinary(ErrorInfoSchema, Buffer.from(detail.value, "base64")).reason : "";
  };

/** Every cell that differs from what the options say. */
async function differences(door: Door, tested: readonly DescMethod[], send: Send): Promise<string[]> {
  const wrong: string[] = [];
  for (const method of tested) {
    const cells = kinds.map(async (kind) => {
      const reason = await send(method, await kind.header(door, method));
      const ended = kind.ended && reason === "CHALLENGE_EXPIRED";
      const outcome = REFUSALS.includes(reason) || ended ? reason : "in";
      const due = expected(method, kind);
      if (outcome !== due) wrong.push(`${method.name} by ${kind.name}: ${outcome}, not ${due}`);
    });
    await Promise.all(cells);
  }
  return wrong;
}

describe("every RPC by every kind of caller is answered as its options say", () => {
  const start = async () => {
    const { devices, phone, pair: pairPhone } = phones();
    const service = await serviceForTest(sqlite, { devices });
    const app = await enrollApp(service, "ann");
    const key = keysOf(service);
    const made = { ann: await tokenFor(service, "ann"), bob: await tokenFor(service, "bob") };
    const raised = await tokenFor(service, "ann", await assertionOf(service, app));
    const userToken = async (user: string, acr: "aal1" | "aal2") =>
      acr === "aal2" ? raised : made[user as keyof typeof made];
    const { holder } = await ticketOffice(service);
    // One of the RPCs ends the prompt that calls it.
    const opened = promptCredential(service);
    const prompt = ({ name }: DescMethod) => (name === "CancelPrompt" ? promptCredential(service) : opened);
    const owner = { tenantId: "dev", userId: "ann" };
    const ticket = async (user: string) => (await holder(user)).authorization;
    return {
      ...service,
      key,
      userToken,
      ticket,
      phone: phone(owner),
      pairingToken: pairPhone(owner),
      prompt,
    };
  };

  test(`${methods.length} RPCs by ${kinds.length} kinds over gRPC`, { timeout: 120_000 }, async () => {
    const service = await start();
    const call = rawCaller(service.port);
    const send: Send = async (method, authorization) =>
      (await call(`/${pathOf(method)}`, Buffer.alloc(0), authorization, endOf(method)))?.reason ?? "";
    expect(await differences(service, methods, send)).toEqual([]);
  });

  test(`${methods.length} RPCs by certificates, right and wrong`, { timeout: 120_000 }, async () => {
    const door = await start();
    const ours = authority();
    const identity = (name: string, its: string[]) => ({ san: `DNS:${name}`, name, tenant: "dev", scopes: its });
    const identities = [identity("all.internal", scopes), identity("none.internal", [])];
    const { path } = files({ ...pair(ours.issue({ usage: "serverAuth" })), "ca.crt": ours.ca });
    const mtls = { certFile: path("tls.crt"), keyFile: path("tls.key"), caFile: path("ca.crt"), identities };
    const { port } = await beside(door, { kind: "grpc", mtls });
    const peer = (san: string, ca = ours) => {
      const { key, cert } = ca.issue({ san });
      return rawCaller(port, credentials.createSsl(ours.ca, key, cert));
    };
    const backend = { principal: Principal.SERVICE, scoped: true };
    const ann = { principal: Principal.USER, acr: "aal2", enrolled: true } as const;
    const asAnn = async () => bearer(await door.user("ann", "aal2"));
    const known = peer("DNS:all.internal");
    const certificates = [
      { name: "with every scope", call: known, means: backend },
      { name: "with no scope", call: peer("DNS:none.internal"), means: { ...backend, scoped: false } },
      { name: "not on the list", call: peer("DNS:other.internal"), means: {} },
      { name: "not on the list, with a token", call: peer("DNS:other.internal"), means: {}, header: asAnn },
      { name: "with a user's token", call: known, means: ann, header: asAnn },
      { name: "of another CA", call: peer("DNS:all.internal", authority()), means: undefined },
      { name: "none", call: rawCaller(port, credentials.createSsl(ours.ca)), means: undefined, header: asAnn },
    ];
    const wrong: string[] = [];
    for (const method of methods) {
      const cells = certificates.map(async ({ name, call, means, header }) => {
        const failed = await call(`/${pathOf(method)}`, Buffer.alloc(0), await header?.(), endOf(method));
        // Without a handshake there is no answer at all.
        if (!means) return failed?.code === status.UNAVAILABLE && !failed.reason ? [] : wrong.push(`${name} got in`);
        const outcome = REFUSALS.includes(failed?.reason ?? "") ? failed?.reason : "in";
        const due = expected(method, { name, header: async () => undefined, ...means });
        return outcome === due ? [] : wrong.push(`${method.name} by ${name}: ${outcome}, not ${due}`);
      });
      await Promise.all(cells);
    }
    expect(wrong).toEqual([]);
  });

  test("those of MfaService through the gateway", { timeout: 120_000 }, async () => {
    const service = await start();
    expect(await differences(service, MfaService.methods, browser(service.gatewayPort))).toEqual([]);
  });

  test("those of InternalMfaService through the backends' listener", { timeout: 120_000 }, async () => {
    const service = await start();
    expect(await differences(service, InternalMfaService.methods, browser(service.internalPort))).toEqual([]);
  });

  test("those of AdminMfaService through the administrators' listener", { timeout: 120_000 }, async () => {
    const service = await start();
    expect(await differences(service, AdminMfaService.methods, browser(service.adminPort))).toEqual([]);
  });
});

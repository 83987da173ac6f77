import { getOption, hasOption } from "@bufbuild/protobuf";
import { AdminMfaService } from "../../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../../gen/mfa/v1/internal_mfa_service_pb.js";
import { access } from "../../../gen/mfa/v1/options_pb.js";
import type { DevTokenClaims } from "../../dev/dev-issuer.ts";

const scopesOf = ({ methods }: typeof AdminMfaService | typeof InternalMfaService): string =>
  [...new Set(methods.filter((m) => hasOption(m, access)).map((m) => getOption(m, access).scope))].join(" ");

/** An administrator gives service keys only scopes that their own token has. */
const allScopes = (): string => `${scopesOf(AdminMfaService)} ${scopesOf(InternalMfaService)}`;

/** What a person says of a token of dev mode. */
export interface DevTokenWanted {
  readonly tenant: string;
  readonly scope?: string | undefined;
  readonly aal1?: boolean | undefined;
  readonly aal2?: boolean | undefined;
}

/** Returns the claims of a user, a service or an administrator; undefined for another kind. */
export function devClaims(kind: string, subject: string, wanted: DevTokenWanted): DevTokenClaims | undefined {
  const { tenant, scope, aal1, aal2 } = wanted;
  if (kind === "user") return { audience: "mfa", subject, tenant, acr: aal2 ? "aal2" : "aal1" };
  if (kind === "service") {
    return { audience: "mfa-internal", subject, tenant, scope: scope ?? scopesOf(InternalMfaService) };
  }
  if (kind !== "admin") return undefined;
  return { audience: "mfa-admin", subject, tenant, acr: aal1 ? "aal1" : "aal2", scope: scope ?? allScopes() };
}

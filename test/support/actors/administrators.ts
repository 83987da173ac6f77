import type { ServiceUnderTest } from "../worlds/service.ts";

/** A token of an administrator with scopes, authenticated now unless `acr` says that they showed one factor only. */
export const adminOf = (
  service: ServiceUnderTest,
  scope = "mfa.reset mfa.read",
  { subject = "root", acr = "aal2", tenant = "dev" }: { subject?: string; acr?: "aal1" | "aal2"; tenant?: string } = {},
) => service.mint({ audience: "mfa-admin", subject, acr, scope, tenant });

import { AdminMfaService } from "../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../gen/mfa/v1/mfa_service_pb.js";
import type { Keyring } from "./crypto/keyring.ts";
import { createPageTokens } from "./crypto/page-token.ts";
import type { Store } from "./db/store.ts";
import { createTotpHandlers } from "./factors/totp/totp.handlers.ts";
import { serve } from "./rpc/service.ts";

/** What the features need of the process. */
export interface App {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly clock: () => Date;
  /** The name that authenticator apps show for this service. */
  readonly totpIssuer: string;
}

/** The whole API: which feature answers which RPC, and in the last list of each service what is not built yet. */
export function createServices(app: App) {
  const totp = createTotpHandlers({
    keyring: app.keyring,
    issuer: app.totpIssuer,
    pageTokens: createPageTokens(app.keyring),
  });
  return [
    { service: MfaService, implementation: serve(MfaService, { ...totp.user }, [], app) },
    //     { service: AdminMfaService, implementation: serve(AdminMfaService, {}, [], app) },
    { service: InternalMfaService, implementation: serve(InternalMfaService, { ...totp.internal }, [], app) },
  ];
}

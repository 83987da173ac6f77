import type { DescMethod } from "@bufbuild/protobuf";
import { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { InternalMfaService } from "../../gen/mfa/v1/internal_mfa_service_pb.js";
import { MfaService } from "../../gen/mfa/v1/mfa_service_pb.js";
import type { Guards } from "../four-eyes/four-eyes.ts";
import type { Served } from "../rpc/grpc/server.ts";
import type { Serving } from "../rpc/serve/call.ts";
import { serve } from "../rpc/serve/service.ts";
import { adminMfaService } from "./admin-mfa-service.ts";
import type { FeatureHandlers, Features } from "./features.ts";
import { internalMfaService } from "./internal-mfa-service.ts";
import { mfaService } from "./mfa-service.ts";

/** Every RPC of the contract. */
export const methods: readonly DescMethod[] = [MfaService, AdminMfaService, InternalMfaService].flatMap(
  (service): readonly DescMethod[] => service.methods,
);

/** What always takes two administrators, where their tenant asks for two. */
const userGuards: Guards<typeof AdminMfaService> = {
  acceptUserWebAuthnCredential: {
    needsTwo: async () => true,
    userOf: ({ userId }) => userId,
    describe: ({ userId, credentialId }) => `Accept the passkey ${credentialId} of ${userId} anew`,
  },
  issueTemporaryPass: {
    needsTwo: async () => true,
    userOf: ({ userId }) => userId,
    describe: ({ userId }) => `Issue a temporary pass for ${userId}`,
  },
};

const guardsOf = (h: FeatureHandlers): Guards<typeof AdminMfaService> => ({
  ...{ ...h.tenantSettings.guards, ...h.enforcement.guards, ...h.risk.guards },
  ...{ ...h.ipWhitelist.guards, ...h.serviceKeys.guards, ...userGuards },
});

/** The three services, each put together on a page of its own. */
export function createServices(
  { handlers, fourEyes }: Pick<Features, "handlers" | "fourEyes">,
  serving: Serving,
): Served[] {
  const guarded = fourEyes(AdminMfaService, guardsOf(handlers), adminMfaService(handlers));
  return [
    { service: MfaService, implementation: serve(MfaService, mfaService(handlers), serving) },
    { service: AdminMfaService, implementation: serve(AdminMfaService, guarded, serving) },
    { service: InternalMfaService, implementation: serve(InternalMfaService, internalMfaService(handlers), serving) },
  ];
}

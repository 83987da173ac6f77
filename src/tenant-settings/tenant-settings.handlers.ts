import { toJson } from "@bufbuild/protobuf";
import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import {
  type UpdateTenantSettingsRequest,
  UpdateTenantSettingsRequestSchema,
} from "../../gen/mfa/v1/tenant_settings_pb.js";
import type { Call } from "../core/call.ts";
import type { Handlers } from "../core/handlers.ts";
import { Refusal } from "../core/refusal.ts";
import { loosens } from "./loosening.ts";
import type { createTenantSettings } from "./tenant-settings.ts";

/** What administrators do with the settings of their tenant. */
export function createTenantHandlers(tenants: ReturnType<typeof createTenantSettings>) {
  const admin = {
    getTenantSettings: async (_request, call) => ({ settings: await tenants.find(call) }),

    updateTenantSettings: async ({ $typeName: _name, $unknown: _rest, version, reason, ...groups }, call) => {
      const updated = await tenants.update(call, { groups, version, reason });
      return updated instanceof Refusal ? updated : { settings: updated.settings, warnings: [...updated.warnings] };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  /** What takes more than one administrator, where their tenant asks for two. */
  const guards = {
    updateTenantSettings: {
      needsTwo: async (call: Call, { $typeName: _name, $unknown: _rest, ...request }: UpdateTenantSettingsRequest) => {
        const { version: _version, reason: _reason, ...groups } = request;
        return loosens(await tenants.preview(call, groups));
      },
      describe: (request: UpdateTenantSettingsRequest) =>
        `Loosen the settings: ${JSON.stringify(toJson(UpdateTenantSettingsRequestSchema, request))}`,
    },
  };

  return { admin, guards };
}

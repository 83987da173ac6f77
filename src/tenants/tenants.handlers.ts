import type { AdminMfaService } from "../../gen/mfa/v1/admin_mfa_service_pb.js";
import { Refusal } from "../core/refusal.ts";
import type { Handlers } from "../rpc/service.ts";
import type { createTenantSettings } from "./tenant-settings.ts";

/** What administrators do with the settings of their tenant. */
export function createTenantHandlers(tenants: ReturnType<typeof createTenantSettings>) {
  const admin = {
    getTenantSettings: async (_request, call) => ({ settings: await tenants.find(call) }),

    updateTenantSettings: async ({ $typeName: _name, $unknown: _rest, version, reason, ...groups }, call) => {
      const settings = await tenants.update(call, { groups, version, reason });
      return settings instanceof Refusal ? settings : { settings };
    },
  } satisfies Handlers<typeof AdminMfaService>;

  return { admin };
}

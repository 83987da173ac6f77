import { isDeepStrictEqual } from "node:util";
import type { JsonObject } from "@bufbuild/protobuf";
import { recordAudit } from "../audit/changes.ts";
import type { Call } from "../core/call.ts";
import { Refusal } from "../core/refusal.ts";
import { createTenantCache } from "../core/tenant-cache.ts";
import type { Store, Tx } from "../db/store.ts";
import { recordEvent } from "../events/events.ts";
import { defaultsOf, type EffectiveSettings, type FileSettings } from "./settings.ts";
import { type Groups, inForce, replaceGroups, shown, storedForm } from "./stored-settings.ts";
import { tenantSettingsRepository } from "./tenant-settings.repository.ts";

/** Dependencies of the settings of tenants. */
export interface TenantSettingsOptions {
  readonly store: Store;
  readonly clock: () => Date;
  readonly file: FileSettings;
  /** Absent for who only reads. */
  readonly consequences?: SettingsConsequences;
}

/** The settings before a change and after it. */
export interface Changed {
  readonly before: EffectiveSettings;
  readonly after: EffectiveSettings;
}

/** What a change of settings means for the policy that is there, and for users. */
export interface SettingsConsequences {
  /** Why a change cannot be, in its unit, which holds the end of the tenant's audit chain. */
  refuse(tx: Tx, tenantId: string, changed: Changed): Promise<Refusal | undefined>;
  /** What of a change deserves a second look. Outside of units. */
  warningsOf(tenantId: string, changed: Changed): Promise<string[]>;
}

/** A change as an administrator asks for it. */
export interface SettingsChange {
  readonly groups: Groups;
  /** The version it is based on; 0 for none. */
  readonly version: bigint;
  readonly reason: string;
}

/** The settings of tenants: the file's, with what each tenant has set otherwise. */
export function createTenantSettings({ store, clock, file, consequences }: TenantSettingsOptions) {
  const defaults = defaultsOf(file);
  const read = async (tx: Tx, tenantId: string) => inForce(await tenantSettingsRepository(tx).find(tenantId), defaults);
  const recent = createTenantCache((tenantId) => store.read((tx) => read(tx, tenantId)), clock);

  const stale = (version = 0) => new Refusal("STALE_VERSION", { metadata: { version: String(version) } });

  async function change(tx: Tx, call: Call, changed: JsonObject, { version, reason }: SettingsChange) {
    const { tenantId } = call.caller;
    const rows = tenantSettingsRepository(tx);
    const row = await rows.find(tenantId);
    const basedOn = row?.version ?? 0;
    if (version !== BigInt(basedOn)) return stale(basedOn);
    const before = row?.settings ?? {};
    const after = replaceGroups(before, changed);
    if (isDeepStrictEqual(after, before)) return new Refusal("EMPTY_UPDATE");
    const next = { tenantId, version: basedOn + 1, settings: after, updateTime: call.now };
    if (!(await rows.advance(next, basedOn))) return stale((await rows.find(tenantId))?.version);
    // The tenant as a whole: no user's.
    const owner = { tenantId, userId: "" };
    await recordAudit(tx, call, {
      owner,
      action: "tenant_settings.updated",
      targetId: tenantId,
      reason,
      before: shown(before, changed),
      after: shown(after, changed),
    });
    await recordEvent(tx, call, { owner, type: "POLICY_CHANGED" });
    const changes = { before: inForce(row, defaults), after: inForce(next, defaults) };
    // Thrown: nothing of the change is to hold.
    const refused = await consequences?.refuse(tx, tenantId, changes);
    if (refused) throw refused;
    return changes;
  }

  return {
    /** For features, outside of units: a miss is a unit of its own. */
    settingsOf: recent.of,

    /** The file's, and those of every tenant that has set anything: for what is asked without naming a tenant. */
    listAll: async (): Promise<EffectiveSettings[]> => {
      const rows = await store.read((tx) => tenantSettingsRepository(tx).listAll());
      return [defaults, ...rows.map((row) => inForce(row, defaults))];
    },

    /** As a unit sees them, also those that another unit has just changed. */
    settingsIn: read,

    /** For administrators, who base changes on it: read anew. */
    find: (call: Call): Promise<EffectiveSettings> => call.unit((tx) => read(tx, call.caller.tenantId)),

    /** The settings in force, and as they would be with these groups in their places. */
    preview: (call: Call, groups: Groups): Promise<Changed> =>
      call.read(async (tx) => {
        const row = await tenantSettingsRepository(tx).find(call.caller.tenantId);
        const settings = replaceGroups(row?.settings ?? {}, storedForm(groups));
        const next = { tenantId: call.caller.tenantId, version: row?.version ?? 0, settings, updateTime: call.now };
        return { before: inForce(row, defaults), after: inForce(next, defaults) };
      }),

    /** Replaces the groups given, if nobody else has changed any since `version`. */
    async update(
      call: Call,
      asked: SettingsChange,
    ): Promise<{ settings: EffectiveSettings; warnings: readonly string[] } | Refusal> {
      const changed = storedForm(asked.groups);
      if (Object.keys(changed).length === 0) return new Refusal("EMPTY_UPDATE");
      try {
        const changes = await call.unit((tx) => change(tx, call, changed, asked));
        if (changes instanceof Refusal) return changes;
        const warnings = (await consequences?.warningsOf(call.caller.tenantId, changes)) ?? [];
        return { settings: changes.after, warnings };
      } finally {
        // Also after a failure: a commit whose answer was lost may hold.
        recent.forget(call.caller.tenantId);
      }
    },
  };
}

import {
  clone,
  create,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { TenantSettingsSchema, type UpdateTenantSettingsRequest } from "../../gen/mfa/v1/tenant_settings_pb.js";
import type { EffectiveSettings } from "./settings.ts";
import type { TenantSettingsRow } from "./tenant-settings.repository.ts";

/** The groups that someone set. */
export type Groups = Omit<UpdateTenantSettingsRequest, "version" | "reason" | `$${string}`>;

/** A newer version of the service may have stored fields that this one does not know; they are no reason to stop. */
const read = (stored: JsonObject) => fromJson(TenantSettingsSchema, stored, { ignoreUnknownFields: true });

/** The stored form. Enums by number: a value that a newer version stored stays what it is instead of becoming unset. */
export const storedForm = (groups: Groups): JsonObject =>
  toJson(TenantSettingsSchema, create(TenantSettingsSchema, groups as MessageInitShape<typeof TenantSettingsSchema>), {
    enumAsInteger: true,
  }) as JsonObject; // a message's JSON is an object

/** The stored form for people: enums by name, and only the groups of `among`. */
export function shown(stored: JsonObject, among: JsonObject): JsonObject {
  const groups = Object.entries(stored).filter(([name]) => name in among);
  return toJson(TenantSettingsSchema, read(Object.fromEntries(groups))) as JsonObject;
}

const isObject = (value: JsonValue | undefined): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * Puts the changed groups in the place of the stored ones. Groups and fields of groups that this version does not know
 * are kept: while versions run side by side, the older one must not undo what the newer one set.
 */
export function replaceGroups(stored: JsonObject, changed: JsonObject): JsonObject {
  const merged = { ...stored };
  for (const { jsonName, message } of TenantSettingsSchema.fields) {
    const [before, after] = [stored[jsonName], changed[jsonName]];
    if (after === undefined) continue;
    const known = new Set(message?.fields.map((field) => field.jsonName));
    const unknown = isObject(before) ? Object.entries(before).filter(([name]) => !known.has(name)) : [];
    merged[jsonName] = isObject(after) ? { ...Object.fromEntries(unknown), ...after } : after;
  }
  return merged;
}

/** Gives unset fields their default. A flag cannot be told apart from one that is unset: a group states all of its. */
function fill(group: ReflectMessage, defaults: ReflectMessage): void {
  for (const field of group.fields) {
    const isFlag = field.fieldKind === "scalar" && field.scalar === ScalarType.BOOL;
    if (!isFlag && !group.isSet(field) && defaults.isSet(field)) group.set(field, defaults.get(field));
  }
}

/** The settings in force: what is stored, and the defaults for the rest. */
export function inForce(row: TenantSettingsRow | undefined, defaults: EffectiveSettings): EffectiveSettings {
  if (!row) return defaults;
  const settings = reflect(TenantSettingsSchema, read(row.settings));
  const base = reflect(TenantSettingsSchema, clone(TenantSettingsSchema, defaults));
  for (const group of settings.fields) {
    if (group.fieldKind === "message" && settings.isSet(group)) fill(settings.get(group), base.get(group));
  }
  fill(settings, base);
  const filled = settings.message as EffectiveSettings; // the defaults have every group
  return Object.assign(filled, { version: BigInt(row.version), updateTime: timestampFromDate(row.updateTime) });
}

// The generated pages of the reference have everything that they are about. That they are up to date is what `npm run
// check` and a landing look at: both generate them anew.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ErrorReason } from "../gen/mfa/v1/error_reason_pb.js";
import { EventType } from "../gen/mfa/v1/event_pb.js";
import { TenantSettingsSchema } from "../gen/mfa/v1/tenant_settings_pb.js";
import { methods } from "../src/compose/services.ts";
import { settingsSchema } from "../src/config/settings-file.ts";

const page = (path: string) => readFileSync(join(import.meta.dirname, "../gen/reference", path), "utf8");
const names = (values: object) =>
  Object.keys(values).filter((name) => Number.isNaN(Number(name)) && name !== "UNSPECIFIED");

test("every request and reply of every RPC has a heading, and the index leads to it", () => {
  const index = page("messages.md");
  const lost = methods
    .flatMap(({ input, output }) => [input, output])
    .filter((message) => {
      const [, path = ""] = new RegExp(`\\[${message.name}\\]\\((\\S+)#`).exec(index) ?? [];
      return path === "" || !page(path).includes(`\n## ${message.name}\n`);
    });
  expect(lost.map(({ name }) => name)).toEqual([]);
});

test("every reason has its status and every type of event its meaning", () => {
  const errors = page("errors.md");
  expect(
    names(ErrorReason).filter((name) => !new RegExp(`\\| \`${name}\` \\| [A-Z_]{5,}[^|]* \\| .{10,} \\|`).test(errors)),
  ).toEqual([]);
  const events = page("events.md");
  expect(
    names(EventType).filter((name) => !new RegExp(`\\| \`EVENT_TYPE_${name}\` \\| .{10,} \\|`).test(events)),
  ).toEqual([]);
});

test("every setting is there by its path, of the installation and of a tenant", () => {
  const settings = page("settings.md");
  const paths = (entries: object, prefix = ""): string[] =>
    Object.entries(entries).flatMap(([name, schema]) => {
      const inner = (schema as { wrapped?: { entries?: object } }).wrapped?.entries;
      return [`${prefix}${name}`, ...(inner ? paths(inner, `${prefix}${name}.`) : [])];
    });
  const all = paths(settingsSchema.entries);
  expect(all.length).toBeGreaterThan(30);
  expect(all.filter((path) => !settings.includes(`| \`${path}\` |`))).toEqual([]);
  const ofTenants = page("tenant-settings.md");
  const groups = TenantSettingsSchema.fields.flatMap((group) =>
    (group.message?.typeName.startsWith("mfa.v1.") ? group.message.fields : []).map(
      ({ name }) => `${group.name}.${name}`,
    ),
  );
  expect(groups.filter((path) => !ofTenants.includes(`| \`${path}\` |`))).toEqual([]);
});

#!/usr/bin/env node
// A plugin of buf: writes gen/reference/, the contract for readers: its messages by file, the reasons of refusals, the
// types of events and the settings of tenants. Everything in it is a comment, a type or a rule of the contract.
import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";
import { descriptionOf } from "../openapi/schemas.mjs";
import { constraintsOf, head, linkTo, namedType, pageOf, table } from "./text.mjs";

const FOR = "For developers. Generated from the contract by `npm run generate`.";

const messageOf = (message) => {
  const rows = message.fields.map((field) => [
    `\`${field.name}\``,
    namedType(field, "messages/"),
    [field.oneof && `One of \`${field.oneof.name}\`.`, descriptionOf(field), constraintsOf(field)]
      .filter(Boolean)
      .join(" "),
  ]);
  return `## ${message.name}\n\n${descriptionOf(message)}\n${rows.length > 0 ? table(["Field", "Type", "Meaning"], rows) : ""}`;
};

const enumOf = (enumeration) =>
  `## ${enumeration.name}\n\n${descriptionOf(enumeration)}\n${table(
    ["Value", "Meaning"],
    enumeration.values.map((value) => [`\`${value.name}\``, descriptionOf(value)]),
  )}`;

/** A page a file of the contract; files of services alone hold no messages. */
function messagePages(files) {
  return files
    .filter(({ messages, enums }) => messages.length + enums.length > 0)
    .map((file) => ({
      path: pageOf(file),
      text: `${head(`${file.name}.proto`, FOR)}\n${[...file.messages.map(messageOf), ...file.enums.map(enumOf)].join("\n")}`,
    }));
}

const index = (files) =>
  `${head("Messages", FOR)}\n${files
    .flatMap((file) => [...file.messages, ...file.enums])
    .map((desc) => ({ name: desc.name, line: `* ${linkTo(desc)}` }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ line }) => line)
    .join("\n")}\n`;

/** Splits "STATUS with RetryInfo: what it means". */
function reasonRow(value) {
  const [, status = "", meaning = descriptionOf(value)] =
    /^([A-Z_]+(?: with \w+)?): ([\s\S]*)$/.exec(descriptionOf(value)) ?? [];
  return [`\`${value.localName}\``, status, meaning];
}

const errors = (enumeration) =>
  `${head("Reasons of refusals", FOR)}\n${descriptionOf(enumeration)} What a client does about each is in [errors](../../docs/integrate/errors.md).\n${table(
    ["Reason", "Status", "Meaning"],
    enumeration.values.filter(({ number }) => number !== 0).map(reasonRow),
  )}`;

const events = (enumeration) =>
  `${head("Events", FOR)}\n${descriptionOf(enumeration)} How they are read and delivered is in [events and webhooks](../../docs/integrate/events.md).\n${table(
    ["Type", "Meaning"],
    enumeration.values.filter(({ number }) => number !== 0).map((value) => [`\`${value.name}\``, descriptionOf(value)]),
  )}`;

/** Every setting by its path, groups opened. */
const settingRows = (message, prefix = "") =>
  message.fields.flatMap((field) => {
    const path = `${prefix}${field.name}`;
    const row = [
      `\`${path}\``,
      namedType(field),
      [descriptionOf(field), constraintsOf(field)].filter(Boolean).join(" "),
    ];
    const isGroup = field.fieldKind === "message" && field.message.typeName.startsWith("mfa.v1.");
    return isGroup ? [row, ...settingRows(field.message, `${path}.`)] : [row];
  });

const tenantSettings = (message) =>
  `${head("Settings of a tenant", "For administrators. Generated from the contract by `npm run generate`.")}\nRead by \`GetTenantSettings\`, changed by \`UpdateTenantSettings\`, a group at a time. What takes a protection away [may need a second administrator](../../docs/reference/loosening.md).\n${table(["Setting", "Type", "Meaning"], settingRows(message))}`;

runNodeJs(
  createEcmaScriptPlugin({
    name: "reference",
    version: "v1",
    generateTs: (schema) => {
      const files = schema.files.filter(({ proto }) => proto.package === "mfa.v1");
      if (files.length === 0) return;
      const find = (name) =>
        files.flatMap((file) => [...file.messages, ...file.enums]).find((desc) => desc.name === name);
      const pages = [
        ...messagePages(files),
        { path: "messages.md", text: index(files) },
        { path: "errors.md", text: errors(find("ErrorReason")) },
        { path: "events.md", text: events(find("EventType")) },
        { path: "tenant-settings.md", text: tenantSettings(find("TenantSettings")) },
      ];
      for (const { path, text } of pages) schema.generateFile(`reference/${path}`).print(text.trimEnd());
    },
  }),
);

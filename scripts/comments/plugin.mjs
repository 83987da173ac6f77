#!/usr/bin/env node
// A plugin of buf: writes gen/comments.json, the comments of the contract by the name of what they are about, for the help
// of mfactl: comments are not in the code that protoc-gen-es writes.
import { createEcmaScriptPlugin, runNodeJs } from "@bufbuild/protoplugin";
import { descriptionOf } from "../openapi/schemas.mjs";

const SERVICES = new Set(["AdminMfaService", "InternalMfaService"]);

function commentsOf(schema) {
  const found = {};
  const note = (name, desc) => {
    const text = descriptionOf(desc);
    if (text) found[name] = text;
  };
  const visit = (message) => {
    if (found[message.typeName] !== undefined || !message.typeName.startsWith("mfa.v1.")) return;
    found[message.typeName] = descriptionOf(message) ?? "";
    for (const field of message.fields) {
      note(`${message.typeName}.${field.name}`, field);
      if (field.message) visit(field.message);
    }
  };
  for (const file of schema.files) {
    for (const service of file.services.filter(({ name }) => SERVICES.has(name))) {
      for (const method of service.methods) {
        note(`${service.typeName}.${method.name}`, method);
        visit(method.input);
      }
    }
    for (const { name, values } of file.enums) {
      if (name === "ErrorReason") for (const value of values) note(`ErrorReason.${value.localName}`, value);
    }
  }
  return Object.fromEntries(Object.entries(found).sort(([a], [b]) => (a < b ? -1 : 1)));
}

runNodeJs(
  createEcmaScriptPlugin({
    name: "comments",
    version: "1",
    generateTs(schema) {
      const comments = commentsOf(schema);
      // The other inputs of buf have no services.
      if (Object.keys(comments).length === 0) return;
      schema.generateFile("comments.json").print(JSON.stringify(comments, null, 1));
    },
  }),
);

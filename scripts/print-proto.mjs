// Prints a .proto source from a descriptor. Covers what buf/validate/validate.proto uses, no more;
// vendor.mjs needs it because no npm package ships that file as text.
import { getExtension, hasExtension } from "@bufbuild/protobuf";
import { FieldDescriptorProto_Label as Label, FieldDescriptorProto_Type as Type } from "@bufbuild/protobuf/wkt";
import { predefined } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const quote = JSON.stringify;
const indent = (lines) => lines.map((line) => `  ${line}`);
const typeOf = (field) => field.typeName || Type[field.type].toLowerCase();

function optionsOf(field) {
  const options = [];
  if (field.options?.deprecated) options.push("deprecated = true");
  if (field.options?.packed) options.push("packed = true");
  if (field.options && hasExtension(field.options, predefined)) {
    for (const { id, message, expression } of getExtension(field.options, predefined).cel) {
      const text = message ? `, message: ${quote(message)}` : "";
      options.push(`(.buf.validate.predefined).cel = {id: ${quote(id)}${text}, expression: ${quote(expression)}}`);
    }
  }
  if (field.defaultValue) {
    options.push(`default = ${field.type === Type.STRING ? quote(field.defaultValue) : field.defaultValue}`);
  }
  return options.length ? ` [${options.join(", ")}]` : "";
}

function labelOf(field, syntax) {
  if (field.label === Label.REPEATED) return "repeated ";
  if (field.label === Label.REQUIRED) return "required ";
  return syntax === "proto2" || field.proto3Optional ? "optional " : "";
}

const printField = (field, label) => `${label}${typeOf(field)} ${field.name} = ${field.number}${optionsOf(field)};`;

function printEnum(desc) {
  const values = desc.value.map(
    (v) => `${v.name} = ${v.number}${v.options?.deprecated ? " [deprecated = true]" : ""};`,
  );
  return [`enum ${desc.name} {`, ...indent(values), "}"];
}

function printMessage(desc, syntax) {
  const members = (index) =>
    desc.field.filter((f) => Object.hasOwn(f, "oneofIndex") && f.oneofIndex === index && !f.proto3Optional);
  const body = [];
  const printed = new Set();
  for (const field of desc.field) {
    const oneof = desc.oneofDecl.findIndex((_, index) => members(index).includes(field));
    if (oneof < 0) body.push(printField(field, labelOf(field, syntax)));
    else if (!printed.has(oneof)) {
      printed.add(oneof);
      body.push(`oneof ${desc.oneofDecl[oneof].name} {`, ...indent(members(oneof).map((f) => printField(f, ""))), "}");
    }
  }
  for (const nested of desc.enumType) body.push(...printEnum(nested));
  for (const nested of desc.nestedType) body.push(...printMessage(nested, syntax));
  for (const range of desc.extensionRange) {
    body.push(`extensions ${range.start} to ${range.end > 536870911 ? "max" : range.end - 1};`);
  }
  for (const { start, end } of desc.reservedRange) body.push(`reserved ${start} to ${end - 1};`);
  if (desc.reservedName.length) body.push(`reserved ${desc.reservedName.map(quote).join(", ")};`);
  return [`message ${desc.name} {`, ...indent(body), "}"];
}

export function printProto({ proto: file }) {
  const syntax = file.syntax || "proto2";
  const lines = [`syntax = "${syntax}";`, "", `package ${file.package};`, ""];
  for (const path of file.dependency) lines.push(`import "${path}";`);
  // Without them protoc-gen-go refuses the file, and Java would get other classes than everybody else's.
  const { goPackage, javaMultipleFiles, javaOuterClassname, javaPackage } = file.options ?? {};
  if (goPackage) lines.push(`option go_package = ${quote(goPackage)};`);
  if (javaMultipleFiles) lines.push("option java_multiple_files = true;");
  if (javaOuterClassname) lines.push(`option java_outer_classname = ${quote(javaOuterClassname)};`);
  if (javaPackage) lines.push(`option java_package = ${quote(javaPackage)};`);
  for (const extendee of new Set(file.extension.map((x) => x.extendee))) {
    const fields = file.extension.filter((x) => x.extendee === extendee);
    lines.push("", `extend ${extendee} {`, ...indent(fields.map((f) => printField(f, labelOf(f, syntax)))), "}");
  }
  for (const desc of file.enumType) lines.push("", ...printEnum(desc));
  for (const desc of file.messageType) lines.push("", ...printMessage(desc, syntax));
  return `${lines.join("\n")}\n`;
}

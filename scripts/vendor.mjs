// Fills the git-ignored module .proto/ with the definitions that proto/ imports.
// The schema registry is not needed: every file comes out of a pinned npm package.
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { printProto } from "./print-proto.mjs";

const root = join(import.meta.dirname, "..");
const out = join(root, ".proto");
const modules = join(root, "node_modules");

const copies = {
  "google/rpc/code.proto": "google-proto-files/google/rpc/code.proto",
  "google/rpc/error_details.proto": "google-proto-files/google/rpc/error_details.proto",
  "google/rpc/status.proto": "google-proto-files/google/rpc/status.proto",
  "grpc/health/v1/health.proto": "grpc-health-check/proto/health/v1/health.proto",
  "grpc/reflection/v1/reflection.proto": "@grpc/reflection/build/proto/grpc/reflection/v1/reflection.proto",
  "grpc/reflection/v1alpha/reflection.proto": "@grpc/reflection/build/proto/grpc/reflection/v1alpha/reflection.proto",
};

rmSync(out, { recursive: true, force: true });
for (const [target, source] of Object.entries(copies)) {
  mkdirSync(dirname(join(out, target)), { recursive: true });
  cpSync(join(modules, source), join(out, target));
}
mkdirSync(join(out, "buf/validate"), { recursive: true });
const origin = `// Of protovalidate, Copyright Buf Technologies, Inc., under the Apache License, Version 2.0.
// Printed from the descriptor in its npm package, so without its comments.
`;
writeFileSync(join(out, "buf/validate/validate.proto"), origin + printProto(file_buf_validate_validate));

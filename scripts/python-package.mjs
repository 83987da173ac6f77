// `npm run python-package [-- <folder>]`: builds the wheel of mfa-service-client out of packages/python, the verifier of
// the examples and the contract. Needs protoc from 3.21 on with gRPC's plugin for Python, and a python3 with setuptools
// and wheel; on Debian: protobuf-compiler protobuf-compiler-grpc python3-setuptools python3-wheel.
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

const root = join(import.meta.dirname, "..");
const out = join(root, "dist", "python");
const packed = resolve(process.argv[2] ?? join(root, "dist"));
const python = process.env.PYTHON ?? "/usr/bin/python3";
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const run = (command, args, options = {}) =>
  execFileSync(command, args, { cwd: root, stdio: ["ignore", "pipe", "inherit"], maxBuffer: 64 << 20, ...options });
const buf = join(root, "node_modules/.bin/buf");

rmSync(out, { recursive: true, force: true });
cpSync(join(root, "packages/python"), out, { recursive: true });
const home = join(out, "mfa_service_client");
cpSync(join(root, "examples/login-backend/assertion.py"), join(home, "_assertion.py"));
cpSync(join(root, "LICENSE"), join(out, "LICENSE"));
const project = readFileSync(join(out, "pyproject.toml"), "utf8");
writeFileSync(join(out, "pyproject.toml"), project.replace(/^version = .*$/m, `version = "${version}"`));

/** The number of buf.validate's extensions. */
const VALIDATE = 1159;

/** Takes the rules out of descriptors: two packages that bring buf/validate.proto would be at odds in one process. */
function withoutRules(value) {
  if (Array.isArray(value)) return void value.forEach(withoutRules);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  if (value.$unknown) value.$unknown = value.$unknown.filter(({ no }) => no !== VALIDATE);
  for (const [name, member] of Object.entries(value)) if (!name.startsWith("$")) withoutRules(member);
}

const image = fromBinary(
  FileDescriptorSetSchema,
  run(buf, ["build", "proto", "--as-file-descriptor-set", "-o", "-#format=binpb"]),
);
const isRules = (name) => name.startsWith("buf/validate/");
image.file = image.file.filter(({ name }) => !isRules(name));
for (const file of image.file) {
  const numbers = new Map(file.dependency.filter((name) => !isRules(name)).map((name, n) => [name, n]));
  file.publicDependency = file.publicDependency.map((n) => numbers.get(file.dependency[n]) ?? 0);
  file.dependency = [...numbers.keys()];
}
withoutRules(image.file);
writeFileSync(join(out, "contract.binpb"), toBinary(FileDescriptorSetSchema, image));
const files = image.file.map(({ name }) => name).filter((name) => name.startsWith("mfa/"));
const outputs = ["python", "pyi", "grpc_python"].map((kind) => `--${kind}_out=${out}`);
const plugin = run("sh", ["-c", "command -v grpc_python_plugin"]).toString().trim();
run("protoc", [
  `--descriptor_set_in=${join(out, "contract.binpb")}`,
  `--plugin=protoc-gen-grpc_python=${plugin}`,
  ...outputs,
  ...files,
]);
mkdirSync(join(home, "v1"));
for (const path of globSync("mfa/v1/*", { cwd: out })) {
  // Generated imports are by the path of the proto; in the package it is another.
  const text = readFileSync(join(out, path), "utf8").replaceAll(
    /\bfrom mfa\.v1 import/g,
    "from mfa_service_client.v1 import",
  );
  writeFileSync(join(home, "v1", path.split("/").at(-1)), text);
}
writeFileSync(join(home, "v1/__init__.py"), '"""The generated messages and stubs of the contract."""\n');

const { paths } = JSON.parse(readFileSync(join(root, "gen/openapi.json"), "utf8"));
const idempotent = Object.keys(paths).filter((path) => paths[path].post["x-idempotent"]);
const lines = idempotent.map((path) => `        "${path}",`).join("\n");
const head = '"""RPCs that may be sent twice, as the contract says."""\n\nIDEMPOTENT = frozenset(\n    [\n';
writeFileSync(join(home, "v1/idempotent.py"), `${head}${lines}\n    ]\n)\n`);

const errors = ["status", "error_details"].flatMap((name) => ["--path", `.proto/google/rpc/${name}.proto`]);
run(buf, [
  "build",
  ".proto",
  ...errors,
  "--as-file-descriptor-set",
  "-o",
  `${join(home, "errors.binpb")}#format=binpb`,
]);

for (const name of ["mfa", "contract.binpb", "examples"]) rmSync(join(out, name), { recursive: true, force: true });
const build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))";
const built = run(python, ["-c", build, packed], { cwd: out }).toString().trim().split("\n").at(-1);
process.stdout.write(`${join(packed, built)}\n`);

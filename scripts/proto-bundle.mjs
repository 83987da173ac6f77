// `npm run proto-bundle [-- <folder>]`: writes the contract for programs in other languages, as one folder and as an
// archive of it: every .proto with all that it imports, the licences of what is not ours, and one descriptor image.
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";

const root = join(import.meta.dirname, "..");
const modules = join(root, "node_modules");
const out = resolve(process.argv[2] ?? join(root, "dist", "mfa-proto"));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Where files come from that the contract imports, and by which licence. What errors carry goes with them. */
const sources = [
  { prefix: "mfa/", folder: join(root, "proto"), licence: "mfa-service" },
  { prefix: "buf/validate/", folder: join(root, ".proto"), licence: "protovalidate" },
  { prefix: "google/rpc/", folder: join(root, ".proto"), licence: "googleapis" },
  { prefix: "google/protobuf/", folder: join(modules, "google-proto-files"), licence: "protobuf" },
];
const licences = {
  "mfa-service": join(root, "LICENSE"),
  // Both are under the Apache License 2.0, whose text is the same everywhere.
  protovalidate: join(modules, "google-proto-files", "LICENSE"),
  googleapis: join(modules, "google-proto-files", "LICENSE"),
};
/** The licence of protobuf stands in full at the head of most of its files. */
const licenceIn = (texts) =>
  texts.map((text) => text.slice(0, text.indexOf("\nsyntax"))).find((head) => head.includes("Redistribution"));

const roots = [
  ...globSync("mfa/**/*.proto", { cwd: join(root, "proto") }),
  "google/rpc/code.proto",
  "google/rpc/error_details.proto",
  "google/rpc/status.proto",
];

const taken = new Map();
/** Takes a file and, before it, whatever it imports. */
function take(path) {
  if (taken.has(path)) return;
  const source = sources.find(({ prefix }) => path.startsWith(prefix));
  if (!source) throw new Error(`${path} is imported, and nobody says where it comes from`);
  const text = readFileSync(join(source.folder, path), "utf8");
  taken.set(path, { text, licence: source.licence });
  for (const [, imported] of text.matchAll(/^import (?:public )?"([^"]+)";/gm)) take(imported);
}
for (const path of roots.toSorted()) take(path);

const README = `# mfa-service ${version}: the contract

* \`proto/\`: the contract (\`mfa/v1\`), what errors carry (\`google/rpc\`), and all that these import. One include path.
* \`mfa.binpb\`: the same as a FileDescriptorSet, with comments, for tools that read no sources.
* \`LICENSES/\`: of each part.

\`\`\`sh
protoc -I proto --go_out=out --java_out=out --python_out=out proto/mfa/v1/*.proto   # 3.15 or later
buf generate proto
grpcurl -protoset mfa.binpb ...
\`\`\`

With \`@grpc/proto-loader\`: \`loadSync("mfa/v1/mfa_service.proto", { includeDirs: ["proto"] })\`. Python also needs
\`proto/buf/validate/validate.proto\` compiled. Programs that check no rules may leave \`buf/validate\` alone otherwise.
`;

rmSync(out, { recursive: true, force: true });
for (const [path, { text }] of taken) {
  const target = join(out, "proto", path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text);
}
mkdirSync(join(out, "LICENSES"));
for (const [name, file] of Object.entries(licences)) cpSync(file, join(out, "LICENSES", name));
const ofProtobuf = [...taken.values()].filter(({ licence }) => licence === "protobuf").map(({ text }) => text);
writeFileSync(join(out, "LICENSES", "protobuf"), `${licenceIn(ofProtobuf)}\n`);
writeFileSync(join(out, "README.md"), README);
// Built of the folder itself, so that what is missing in it is noticed here.
const buf = join(modules, ".bin", "buf");
execFileSync(buf, ["build", join(out, "proto"), "--as-file-descriptor-set", "-o", join(out, "mfa.binpb")], {
  cwd: dirname(out),
  stdio: "inherit",
});
execFileSync("tar", ["-czf", `${out}.tar.gz`, "-C", dirname(out), basename(out)], { stdio: "inherit" });
process.stdout.write(`${out}.tar.gz\n`);

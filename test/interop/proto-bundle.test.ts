// The contract in the hands of those who write clients: what `npm run proto-bundle` writes, unpacked into an empty
// folder and compiled by the tools that they have. A tool that this machine lacks is named in the test's own name.
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { credentials, loadPackageDefinition, Metadata, type ServiceClientConstructor } from "@grpc/grpc-js";
import { load } from "@grpc/proto-loader";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { root, run, startService } from "./process.ts";
import { findPython, pythons } from "./python.ts";

const bin = join(root, "node_modules/.bin");
const services = ["AdminMfaService", "InternalMfaService", "MfaService"];

/** What the archive was unpacked into. */
let folder: string;
let proto: string;
let contract: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mfa-proto-"));
  const { code, stderr } = await run("npm", ["run", "-s", "proto-bundle", "--", join(folder, "written")]);
  expect(code, stderr).toBe(0);
  const untar = await run("tar", ["-xzf", join(folder, "written.tar.gz"), "-C", folder, "--strip-components=1"]);
  expect(untar.code, untar.stderr).toBe(0);
  await rm(join(folder, "written"), { recursive: true });
  proto = join(folder, "proto");
  contract = (await readdir(join(proto, "mfa/v1"))).map((name) => `mfa/v1/${name}`);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a command says of its version; undefined where it is not there, or fails. */
async function versionOf(command: string, args: readonly string[] = ["--version"]): Promise<string | undefined> {
  const { code, stdout, stderr } = await run(command, args).catch(() => ({ code: -1, stdout: "", stderr: "" }));
  return code === 0 ? (stdout + stderr).trim().split("\n")[0] : undefined;
}

/** Optional fields of proto3 came with protobuf 3.15: what is older reads no contract of today. */
const knowsOptional = (version: string): boolean => {
  const [, major = 0, minor = 0] = (/(\d+)\.(\d+)/.exec(version) ?? []).map(Number);
  return major > 3 || minor >= 15;
};

async function findGrpcTools(): Promise<{ python?: string; version?: string }> {
  for (const python of pythons) {
    const version = await versionOf(python, ["-m", "grpc_tools.protoc", "--version"]);
    if (version !== undefined) return { python, version };
  }
  return {};
}

/** Runs a tool that has to succeed, and returns the files that it wrote into a folder of its own. */
async function compile(command: string, args: (out: string) => readonly string[], env?: NodeJS.ProcessEnv) {
  const out = await mkdtemp(join(tmpdir(), "mfa-compiled-"));
  onTestFinished(() => rm(out, { recursive: true, force: true }));
  const done = await run(command, args(out), { limitMs: 60_000, ...(env && { env }) });
  expect(done.code, done.stderr).toBe(0);
  expect(done.stderr).not.toMatch(/error/i);
  return { out, files: (await readdir(out, { recursive: true })).filter((name) => /\.\w+$/.test(name)) };
}

const protoc = await versionOf("protoc");
const go = protoc && (await versionOf("sh", ["-c", "command -v protoc-gen-go"]));
const pythonPlugin = protoc && (await versionOf("sh", ["-c", "command -v grpc_python_plugin"]));
const python = await findPython("grpc, google.protobuf");
const pythonGrpc = pythonPlugin && python && `${pythonPlugin}, ${python}`;
const grpcTools = await findGrpcTools();

/** The name of a test of a tool, which says what was found or that it was not tried, and why. */
function exercised(tool: string, found: string | undefined, promise: string, debian: string): [string, boolean] {
  if (found !== undefined && (!/libprotoc/.test(found) || knowsOptional(found)))
    return [`${tool} (${found}) ${promise}`, true];
  const why =
    found === undefined
      ? `is not on this machine (Debian: apt-get install ${debian})`
      : `(${found}) is older than 3.15`;
  process.stderr.write(`\n*** ${tool.toUpperCase()} WAS NOT EXERCISED: it ${why} ***\n\n`);
  return [`NOT EXERCISED: ${tool} ${why}`, false];
}

test("the bundle holds the contract, all that it imports, the licence of each part, and one image of it", async () => {
  const image = fromBinary(FileDescriptorSetSchema, await readFile(join(folder, "mfa.binpb")));
  const files = image.file.map(({ name }) => name);
  expect(files.toSorted()).toEqual(
    (await readdir(proto, { recursive: true })).filter((name) => name.endsWith(".proto")).toSorted(),
  );
  expect(files).toEqual(expect.arrayContaining([...contract, "google/rpc/error_details.proto"]));
  expect(image.file.flatMap(({ dependency }) => dependency).filter((name) => !files.includes(name))).toEqual([]);
  expect(image.file.flatMap(({ service }) => service.map(({ name }) => name)).toSorted()).toEqual(services);
  expect((await readdir(join(folder, "LICENSES"))).toSorted()).toEqual([
    "googleapis",
    "mfa-service",
    "protobuf",
    "protovalidate",
  ]);
  for (const name of await readdir(join(folder, "LICENSES"))) {
    expect(await readFile(join(folder, "LICENSES", name), "utf8")).toMatch(/Apache License|Redistribution/);
  }
});

test("every file says how its code is to be named in Go, Java and C#", async () => {
  const image = fromBinary(FileDescriptorSetSchema, await readFile(join(folder, "mfa.binpb")));
  const own = image.file.filter((file) => file.package === "mfa.v1");
  const named = own.map(({ options }) => [
    options?.goPackage,
    options?.javaPackage,
    options?.javaMultipleFiles,
    options?.csharpNamespace,
  ]);
  expect(new Set(named.map((row) => row.join()))).toEqual(
    new Set(["mfa-service/gen/go/mfa/v1;mfav1,mfa.v1,true,Mfa.V1"]),
  );
  // Java puts each file's descriptor into a class of its own, which no message may be named like.
  const outer = own.map(({ options }) => options?.javaOuterClassname ?? "");
  const messages = own.flatMap(({ messageType, enumType }) =>
    [...messageType, ...enumType].map(({ name }) => name.toLowerCase()),
  );
  expect(new Set(outer).size).toBe(own.length);
  expect(outer.filter((name) => name === "" || messages.includes(name.toLowerCase()))).toEqual([]);
});

test("buf compiles it", async () => {
  const { out } = await compile(join(bin, "buf"), (out) => ["build", proto, "-o", join(out, "image.binpb")]);
  const image = fromBinary(FileDescriptorSetSchema, await readFile(join(out, "image.binpb")));
  expect(image.file.flatMap(({ service }) => service.map(({ name }) => name)).toSorted()).toEqual(services);
});

test("protoc-gen-es compiles it", async () => {
  const template = (out: string) =>
    JSON.stringify({ version: "v2", plugins: [{ local: join(bin, "protoc-gen-es"), out, opt: "target=ts" }] });
  const { files } = await compile(join(bin, "buf"), (out) => ["generate", proto, "--template", template(out)]);
  expect(files).toEqual(expect.arrayContaining(contract.map((name) => name.replace(".proto", "_pb.ts"))));
});

test("@grpc/proto-loader reads it, and its client starts an enrollment and is refused a wrong code", async () => {
  const definition = await load(contract, { includeDirs: [proto] });
  const loaded = loadPackageDefinition(definition) as unknown as {
    mfa: { v1: Record<string, ServiceClientConstructor> };
  };
  expect(services.filter((name) => !(name in loaded.mfa.v1))).toEqual([]);
  const Client = loaded.mfa.v1.MfaService;
  if (!Client) throw new Error("no client");
  const service = await startService();
  onTestFinished(async () => void (await service.stop()));
  const client = new Client(service.address, credentials.createInsecure());
  onTestFinished(() => client.close());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${await service.user("ann")}`);
  const call = (name: string, request: object) =>
    new Promise<Record<string, unknown>>((resolve, reject) => {
      const method = client[name] as (...args: unknown[]) => void;
      method.call(client, request, metadata, (error: Error | null, reply: Record<string, unknown>) =>
        error ? reject(error) : resolve(reply),
      );
    });
  const period = { seconds: 30 };
  expect(await call("startTotpEnrollment", { period })).toMatchObject({ device: { state: 1 } });
  await expect(call("finishTotpEnrollment", { code: "000000" })).rejects.toMatchObject({ code: 7 });
}, 60_000);

const [protocName, hasProtoc] = exercised(
  "protoc",
  protoc,
  "compiles it, for Java, C#, Python, Ruby and PHP",
  "protobuf-compiler",
);
test(protocName, async () => {
  if (!hasProtoc) return;
  const languages = ["java", "csharp", "python", "ruby", "php"];
  const { files } = await compile("protoc", (out) => [
    `-I${proto}`,
    ...languages.map((name) => `--${name}_out=${out}`),
    ...contract,
  ]);
  expect(files).toEqual(
    expect.arrayContaining([
      ...["mfa/v1/PushDevice.java", "mfa/v1/PushProto.java", "Push.cs", "mfa/v1/push_pb2.py", "mfa/v1/push_pb.rb"],
      "Mfa/V1/PushDevice.php",
    ]),
  );
});

const [goName, hasGo] = exercised(
  "protoc-gen-go",
  go,
  "compiles it into one package",
  "protobuf-compiler protoc-gen-go-1-5",
);
test(goName, async () => {
  if (!hasGo) return;
  const { out, files } = await compile("protoc", (out) => [`-I${proto}`, `--go_out=${out}`, ...contract]);
  expect(files.toSorted()).toEqual(
    contract.map((name) => `mfa-service/gen/go/${name.replace(".proto", ".pb.go")}`).toSorted(),
  );
  expect(await readFile(join(out, "mfa-service/gen/go/mfa/v1/push.pb.go"), "utf8")).toMatch(/^package mfav1$/m);
});

const [pluginName, hasPlugin] = exercised(
  "grpc_python_plugin",
  pythonGrpc,
  "compiles it, and Python imports what it made",
  "protobuf-compiler protobuf-compiler-grpc python3-grpcio python3-protobuf",
);
test(pluginName, async () => {
  if (!hasPlugin) return;
  const { out } = await compile("protoc", (out) => [
    `-I${proto}`,
    ...[`--plugin=protoc-gen-grpc_python=${pythonPlugin}`, `--python_out=${out}`, `--grpc_python_out=${out}`],
    ...[...contract, "buf/validate/validate.proto"],
  ]);
  const imports = services
    .map((name) => name.replace(/(?<!^)([A-Z])/g, "_$1").toLowerCase())
    .map((name) => `import mfa.v1.${name}_pb2_grpc`);
  const { code, stderr } = await run(python ?? "", ["-c", imports.join("\n")], { env: { PYTHONPATH: out } });
  expect(code, stderr).toBe(0);
});

const [toolsName, hasTools] = exercised("grpcio-tools", grpcTools.version, "compiles it", "python3-grpc-tools");
test(toolsName, async () => {
  if (!hasTools) return;
  const { files } = await compile(grpcTools.python ?? "", (out) => [
    ...["-m", "grpc_tools.protoc", `-I${proto}`, `--python_out=${out}`, `--grpc_python_out=${out}`, ...contract],
  ]);
  expect(files).toContain("mfa/v1/mfa_service_pb2_grpc.py");
});

// `npm run client-package [-- <folder>]`: builds mfa-service-client in dist/ out of packages/client, the shipped verifier
// and the contract, and packs it into the folder (dist/). Nothing in it is written twice: the version, the pinned packages and the code come from here.
import { execFileSync } from "node:child_process";
import { cpSync, globSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const root = join(import.meta.dirname, "..");
const bin = (name) => join(root, "node_modules/.bin", name);
const out = join(root, "dist", "mfa-service-client");
const packed = resolve(process.argv[2] ?? join(root, "dist"));
const run = (command, args, cwd = root) =>
  execFileSync(command, args, { cwd, stdio: ["ignore", "inherit", "inherit"] });

const json = (path) => JSON.parse(readFileSync(join(root, path), "utf8"));
const { version, license, dependencies, devDependencies } = json("package.json");
const pinned = { ...dependencies, ...devDependencies };

/** Modules that programs import, each an entry of the package. */
const entries = ["node", "browser", "assertion", "errors", "express", "fastify", "next"];
/** What is shared with the service. */
const shared = ["action-digest", "assertion", "browser", "remote-keys", "verification-errors"];

rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, "src/shared"), { recursive: true });

// The rules on fields are the service's to check: without them the code is half as large and needs one package less.
const template = {
  version: "v2",
  inputs: [
    { directory: "proto", exclude_types: ["buf.validate.field", "buf.validate.message", "buf.validate.oneof"] },
    { directory: ".proto", paths: [".proto/google/rpc/error_details.proto"] },
  ],
  plugins: [{ local: bin("protoc-gen-es"), out: join(out, "gen"), opt: ["target=js+dts", "import_extension=js"] }],
};
run(bin("buf"), ["generate", "--template", JSON.stringify(template)]);

// Comments are in the declarations, which editors read; in the code they would be there a second time.
for (const path of globSync("gen/**/*.js", { cwd: out })) {
  writeFileSync(join(out, path), readFileSync(join(out, path), "utf8").replace(/\/\*\*[\s\S]*?\*\/\n/g, ""));
}

/** In the package the generated code and what is shared are elsewhere than in this repository. */
const moved = (text) => text.replaceAll("../../../gen/", "../gen/").replaceAll("../../../src/client/", "./shared/");
for (const name of readdirSync(join(root, "packages/client/src"))) {
  writeFileSync(join(out, "src", name), moved(readFileSync(join(root, "packages/client/src", name), "utf8")));
}
for (const name of shared) cpSync(join(root, `src/client/${name}.ts`), join(out, `src/shared/${name}.ts`));

const { compilerOptions } = json("packages/client/tsconfig.json");
writeFileSync(join(out, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
run(bin("tsc"), ["-p", out]);
for (const name of ["src", "tsconfig.json"]) rmSync(join(out, name), { recursive: true });

const types = (name) => ({ types: `./dist/${name}.d.ts`, default: `./dist/${name}.js` });
writeFileSync(
  join(out, "package.json"),
  `${JSON.stringify(
    {
      name: "mfa-service-client",
      version,
      description: "Clients of mfa-service: log-ins, passkeys, assertions and middlewares.",
      license,
      type: "module",
      sideEffects: false,
      engines: { node: ">=20.19" },
      exports: {
        ...Object.fromEntries(entries.map((name) => [`./${name}`, types(name)])),
        "./gen/*": { types: "./gen/*.d.ts", default: "./gen/*.js" },
      },
      files: ["dist", "gen", "examples", "README.md", "LICENSE"],
      dependencies: {
        "@bufbuild/protobuf": `^${pinned["@bufbuild/protobuf"]}`,
        // From 2.1 on, which runs on Node 20.
        "@connectrpc/connect": "^2.1.0",
        "@connectrpc/connect-node": "^2.1.0",
        "@simplewebauthn/browser": `^${pinned["@simplewebauthn/browser"]}`,
      },
    },
    null,
    2,
  )}\n`,
);
cpSync(join(root, "packages/client/examples"), join(out, "examples"), { recursive: true });
cpSync(join(root, "packages/client/README.md"), join(out, "README.md"));
cpSync(join(root, "LICENSE"), join(out, "LICENSE"));
run("npm", ["pack", "--silent", "--pack-destination", packed], out);
process.stdout.write(`${join(packed, `mfa-service-client-${version}.tgz`)}\n`);

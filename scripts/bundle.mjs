// Bundles the service and its commands into dist/: one file starts in a quarter of the time and a third of the memory
// that the packages take one by one. Each entry gets a small door, dist/<name>.js, that looks at the Node version
// before anything else loads: better-sqlite3's binary crashes older ones without a word.
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, parse } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");

const commands = join(root, "src/cli");
const isEntry = (name) => name.endsWith(".ts") && parse(name).name.indexOf(".") < 0;
const sources = [
  join(root, "src/main.ts"),
  ...(existsSync(commands) ? readdirSync(commands).filter(isEntry) : []).map((name) => join(commands, name)),
].filter(existsSync);

const door = (name) => `#!/usr/bin/env node
if (Number(process.versions.node.split(".")[0]) < 24) {
  process.stderr.write(
    "mfa-service needs Node 24 or newer and this is " + process.versions.node +
      ": start it by \`npm start\`, which brings its own, or install Node 24.\\n",
  );
  process.exit(1);
}
await import("./${name}.bundle.js");
`;

// Some packages inside are CommonJS and look for these names.
const banner = `import { createRequire as bundleRequire } from "node:module";
const require = bundleRequire(import.meta.url);
const __filename = import.meta.filename;
const __dirname = import.meta.dirname;`;

mkdirSync(dist, { recursive: true });
const migrations = join(root, "src/db/migrations");
rmSync(join(dist, "migrations"), { recursive: true, force: true });
if (existsSync(migrations)) cpSync(migrations, join(dist, "migrations"), { recursive: true });

for (const source of sources) {
  const { name } = parse(source);
  const file = join(dist, `${name}.js`);
  writeFileSync(file, door(name));
  chmodSync(file, 0o755);
}
await build({
  entryPoints: sources.map((source) => ({ in: source, out: `${parse(source).name}.bundle` })),
  outdir: dist,
  bundle: true,
  platform: "node",
  target: "node24",
  format: "esm",
  // A native module stays outside; pg looks for its native half in a `try` and does without.
  external: ["better-sqlite3", "pg-native"],
  banner: { js: banner },
  // Node keeps the text in memory; the source map keeps stacks readable.
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: "warning",
});

// For browsers: pages with all that they need, under names that change with what is in them, compressed beforehand.
const forBrowsers = { bundle: true, platform: "browser", format: "esm", target: "es2022", logLevel: "warning" };
const pages = [
  { name: "console", folder: join(root, "src/console/page"), entry: "console.ts", style: "console.css" },
  { name: "prompt", folder: join(root, "src/prompt/page"), entry: "prompt.tsx", style: "prompt.css" },
];
for (const { name, folder, entry, style } of pages) {
  const outdir = join(dist, name);
  rmSync(outdir, { recursive: true, force: true });
  const { metafile } = await build({
    ...forBrowsers,
    ...{
      outdir,
      minify: true,
      metafile: true,
      entryNames: "[name]-[hash]",
      jsx: "automatic",
      jsxImportSource: "preact",
    },
    entryPoints: [join(folder, entry), join(folder, style)],
  });
  const made = Object.keys(metafile.outputs).map((path) => basename(path));
  let html = readFileSync(join(folder, "index.html"), "utf8");
  for (const file of made) html = html.replace(`/${file.replace(/-[0-9A-Z]+\./, ".")}"`, `/${file}"`);
  writeFileSync(join(outdir, "index.html"), html);
  for (const file of [...made, "index.html"]) {
    const bytes = readFileSync(join(outdir, file));
    writeFileSync(join(outdir, `${file}.br`), brotliCompressSync(bytes));
    writeFileSync(join(outdir, `${file}.gz`), gzipSync(bytes, { level: 9 }));
  }
}

// The client for pages of others, whose own packages it shares.
await build({
  ...forBrowsers,
  entryPoints: [join(root, "src/client/browser.ts")],
  outdir: dist,
  external: ["@connectrpc/*", "@bufbuild/*"],
});
if (!sources.length) process.stdout.write("Nothing to bundle yet: src/main.ts is missing.\n");

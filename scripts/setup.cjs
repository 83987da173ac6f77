"use strict";
// What `npm start` and `npm test` do first: install what the lock file names, then make what changed.
// It runs on whatever Node the machine has, before anything is installed, hence the plain old JavaScript.
const fs = require("fs");
const path = require("path");
const spawnSync = require("child_process").spawnSync;

const root = path.join(__dirname, "..");
const local = path.join(root, "node_modules");
const turn = path.join(root, "dist", ".setup-lock");

const at = (...names) => path.join(root, ...names);

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch (_) {
    return undefined;
  }
}

function stop(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

/** Whether node_modules holds what the lock file names. npm writes its own list last, so a broken install has none. */
function isInstalled() {
  const wanted = (readJson(at("package-lock.json")) || {}).packages || {};
  const present = (readJson(path.join(local, ".package-lock.json")) || {}).packages || {};
  return Object.keys(wanted).every((place) => {
    if (place === "" || wanted[place].link) return true;
    const here = present[place];
    if (!here) return Boolean(wanted[place].optional || wanted[place].devOptional || wanted[place].peer);
    return here.version === wanted[place].version && here.integrity === wanted[place].integrity;
  });
}

function run(command, args, env) {
  const windows = process.platform === "win32";
  const done = spawnSync(command, args, {
    cwd: root,
    stdio: ["inherit", 2, 2],
    shell: windows,
    env: env || process.env,
  });
  if (done.error) stop(`${command} could not be started: ${done.error.message}`);
  return done.status === null ? 1 : done.status;
}

/** The Node that npm finds first for every script, and its version; undefined when there is none. */
function pinnedNode() {
  const file = path.join(local, ".bin", process.platform === "win32" ? "node.cmd" : "node");
  if (!fs.existsSync(file)) return undefined;
  const answer = spawnSync(file, ["-p", "process.versions.node"], {
    encoding: "utf8",
    shell: process.platform === "win32",
  });
  return answer.status === 0 ? { file: file, version: answer.stdout.trim() } : undefined;
}

function install() {
  process.stderr.write("Installing the pinned packages (npm ci) ...\n");
  // Tests and the bundle need the development packages, whatever NODE_ENV says.
  const status = run("npm", ["ci", "--loglevel=error", "--include=dev"]);
  if (status !== 0) stop("`npm ci` failed; its message stands above. Nothing was started.");
}

function requireNode() {
  const wanted = (readJson(at("package.json")) || {}).devDependencies.node;
  const pinned = pinnedNode();
  if (pinned && pinned.version === wanted) return pinned.file;
  if (!pinned && Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  return stop(
    `Node ${wanted} did not arrive in node_modules because npm ran no install scripts: allow them (\`npm config set ignore-scripts false\`, \`npm install-scripts approve node esbuild\`), then \`npm rebuild\`.`,
  );
}

/** The newest change below some files and folders; a folder's own time tells of deletions. */
function newest(places) {
  return places.reduce((latest, place) => {
    if (!fs.existsSync(place)) return latest;
    const stat = fs.statSync(place);
    const below = stat.isDirectory() ? fs.readdirSync(place).map((name) => path.join(place, name)) : [];
    return Math.max(latest, stat.mtimeMs, newest(below));
  }, 0);
}

/** Whether a product is there and newer than everything it is made of. */
function isNewer(product, sources) {
  return fs.existsSync(product) && fs.statSync(product).mtimeMs > newest(sources);
}

const lockFile = at("package-lock.json");

/** What is made of the installed packages and the sources: the definitions that proto/ imports, and the bundle. */
const products = [
  {
    script: at("scripts", "vendor.mjs"),
    isMade: () =>
      isNewer(at(".proto", "buf", "validate", "validate.proto"), [
        lockFile,
        at("scripts", "vendor.mjs"),
        at("scripts", "print-proto.mjs"),
      ]),
  },
  {
    script: at("scripts", "bundle.mjs"),
    isMade: () => isNewer(at("dist", "main.bundle.js"), [lockFile, at("src"), at("gen"), at("scripts", "bundle.mjs")]),
  },
];

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/**
 * What tells a process from a later one of the same number, which containers hand out again: when it began, in clock
 * ticks since the machine did. Empty where there is no /proc to read it from.
 */
function beginOf(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")[19];
  } catch (_) {
    return "";
  }
}

/** Whether the process that wrote the lock is still at it. */
function isHeld(written) {
  const parts = written.split(" ");
  const pid = Number(parts[0]);
  if (!(pid > 0)) return true; // Its holder is about to write it.
  return pid !== process.pid && isAlive(pid) && (parts[1] || "") === beginOf(pid);
}

/** One set-up at a time in a checkout: `npm start` in one window, `npm test` in another. */
function takeTurn() {
  fs.mkdirSync(at("dist"), { recursive: true });
  let saidSo = false;
  for (;;) {
    try {
      fs.writeFileSync(turn, `${process.pid} ${beginOf(process.pid)}`, { flag: "wx" });
      process.on("exit", () => fs.rmSync(turn, { force: true }));
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    let written = "";
    try {
      written = fs.readFileSync(turn, "utf8");
    } catch (_) {
      continue; // Its holder has just finished.
    }
    if (!isHeld(written)) fs.rmSync(turn, { force: true });
    else {
      if (!saidSo) process.stderr.write("Waiting for another set-up of this checkout ...\n");
      saidSo = true;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
}

if (Number(process.versions.node.split(".")[0]) < 20) {
  stop(`Node ${process.versions.node} is too old to start from: install any Node from 20 on (https://nodejs.org).`);
}
const isReady = () => isInstalled() && products.every((product) => product.isMade());

if (!isReady()) {
  takeTurn();
  if (!isInstalled()) install();
  const node = requireNode();
  for (const { script, isMade } of products) {
    if (!isMade() && run(node, [script]) !== 0)
      stop(`${path.relative(root, script)} failed; its message stands above.`);
  }
} else {
  requireNode();
}

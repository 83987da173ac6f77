// Where the time of TOTP verification goes: node bench/profile.mjs. Runs the service on 10,000 users under Node's CPU
// profiler, 64 calls in flight, and adds up the samples by where their code comes from, then by function.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { load } from "./load.mjs";
import { startService, verification } from "./totp.mjs";

const USERS = 10_000;

const owners = [
  [/\/node_modules\/((?:@[^/]+\/)?[^/]+)\//, (name) => name],
  [/\/src\/((?:factors\/)?[^/]+)\//, (name) => `src/${name}`],
  [/^node:internal\/(http2|crypto|streams|async_hooks|timers|process)/, (name) => `node ${name}`],
  [/^node:/, () => "node, other"],
];

function ownerOf({ functionName, url }) {
  if (url === "") return functionName.startsWith("(") ? functionName : "native";
  for (const [pattern, name] of owners) {
    const found = pattern.exec(url);
    if (found) return name(found[1]);
  }
  return "other";
}

/** Self time by a key of the call frame, in shares of what was not idle. */
function shares({ nodes, samples, timeDeltas }, keyOf) {
  const frames = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const times = new Map();
  let busy = 0;
  samples.forEach((id, n) => {
    const frame = frames.get(id);
    if (frame.functionName === "(idle)") return;
    busy += timeDeltas[n];
    times.set(keyOf(frame), (times.get(keyOf(frame)) ?? 0) + timeDeltas[n]);
  });
  return [...times].map(([key, time]) => [key, time / busy]).sort(([, a], [, b]) => b - a);
}

const root = mkdtempSync(join(tmpdir(), "mfa-profile-"));
try {
  const service = await startService(join(root, "full"), `sqlite:${root}/full/mfa.db`, USERS);
  const work = verification(service, USERS);
  const rounds = Number(process.argv[2] ?? 5);
  for (let round = 0; round <= rounds; round++) {
    if (round === 1) await service.ask("profile"); // the first is for the compilers
    await work.prepare();
    const { rate, failed, problem } = await load(work.call, { inFlight: 64, ms: 2_000 });
    process.stdout.write(`${rate.toFixed(0)} calls a second${failed ? `, ${failed} failed: ${problem}` : ""}\n`);
  }
  const profile = await service.ask("profiled");
  work.close();
  await service.stop();
  const show = (rows) => rows.map(([key, share]) => `${(share * 100).toFixed(1).padStart(5)} %  ${key}\n`).join("");
  process.stdout.write(`\nBy origin:\n${show(shares(profile, ownerOf).slice(0, 25))}`);
  const place = ({ functionName, url, lineNumber }) =>
    `${functionName || "(anonymous)"} ${url.replace(/^.*\/(node_modules|src)\//, "")}:${lineNumber + 1}`;
  process.stdout.write(`\nBy function:\n${show(shares(profile, place).slice(0, 40))}`);
} finally {
  rmSync(root, { recursive: true, force: true });
}
process.exit(0);

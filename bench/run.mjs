// `npm run bench`: every bench, or those named; `--quick` in seconds, for work on the benches themselves. Prints the
// tables and, with `--write`, puts them and the plot into bench/README.md.
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, release } from "node:os";
import { join } from "node:path";
import { benchChallenge } from "./challenge.mjs";
import { plotTotp, tablesOf } from "./report.mjs";
import { benchStart } from "./start.mjs";
import { benchTokens } from "./tokens.mjs";
import { benchTotp } from "./totp.mjs";
import { benchWatches } from "./watches.mjs";
import { benchWebAuthn } from "./webauthn.mjs";
import { benchWebhooks } from "./webhooks.mjs";

const benches = {
  start: { run: benchStart, tables: tablesOf.start },
  totp: { run: benchTotp, tables: tablesOf.totp, plot: plotTotp },
  tokens: { run: benchTokens, tables: tablesOf.tokens },
  webauthn: { run: benchWebAuthn, tables: tablesOf.webauthn },
  challenge: { run: benchChallenge, tables: tablesOf.challenge },
  watches: { run: benchWatches, tables: tablesOf.watches },
  webhooks: { run: benchWebhooks, tables: tablesOf.webhooks },
};

const words = process.argv.slice(2);
const flags = new Set(words.filter((word) => word.startsWith("--")));
const named = words.filter((word) => !word.startsWith("--"));
// What it costs to know the caller is part of what a verification costs.
if (named.includes("totp") && !named.includes("tokens")) named.push("tokens");
const unknown = named.filter((name) => !(name in benches));
if (unknown.length > 0) throw new Error(`no bench ${unknown}: there are ${Object.keys(benches).join(", ")}`);

for (const name of named.length > 0 ? named : Object.keys(benches)) {
  const { run, tables, plot } = benches[name];
  const report = await run({ quick: flags.has("--quick") });
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${date}, Node ${process.versions.node}, ${cpus().length} cores (${cpus()[0]?.model.trim()}), Linux ${release()}`;
  const text = `${tables(report)}\n\nMeasured ${machine}.`;
  process.stdout.write(`## ${name}\n\n${text}\n\n`);
  if (!flags.has("--write")) continue;
  const path = join(import.meta.dirname, "README.md");
  const block = new RegExp(`(<!-- ${name} -->)[\\s\\S]*?(<!-- /${name} -->)`);
  writeFileSync(
    path,
    readFileSync(path, "utf8").replace(block, (_, begin, end) => `${begin}\n${text}\n${end}`),
  );
  if (plot) writeFileSync(join(import.meta.dirname, `${name}.svg`), plot(report));
}
process.exit(0);

// The benches' results as Markdown tables and as a plot.
const row = (cells) => `| ${cells.join(" | ")} |`;
const table = (head, rows) =>
  [row(head), row(head.map((_, n) => (n === 0 ? "---" : "---:"))), ...rows.map(row)].join("\n");
const count = (value) => Math.round(value).toLocaleString("en-US");
const ratio = (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(2));

function startTable(runs) {
  const spread = (name) => {
    const sorted = runs.map((run) => run[name]).sort((a, b) => a - b);
    const at = (n) => sorted[n].toFixed(0);
    return `${at(Math.floor((sorted.length - 1) / 2))} (${at(0)} to ${at(sorted.length - 1)})`;
  };
  return table(
    ["What `npm start` runs, empty SQLite database", "Median (least to most)"],
    [
      ["Process start to ready", `${spread("ready")} ms`],
      ["Idle resident memory", `${spread("resident")} MB`],
    ],
  );
}

function totpTables({ comparisons, memory, peer, settings }) {
  const [small, large] = settings.sizes;
  const levels = settings.levels;
  const of = (name, inFlight) => comparisons.find((one) => one.name === name && one.inFlight === inFlight);
  const names = [...new Set(comparisons.map(({ name }) => name))];
  const rates = names.flatMap((name) => [
    [
      name,
      ...levels.map((level) => {
        const { rate, p50, p99, cpu } = of(name, level);
        return `${count(rate)}/s, ${p50.toFixed(1)}/${p99.toFixed(1)} ms, ${cpu.toFixed(0)} µs`;
      }),
    ],
  ]);
  const ratios = names
    .slice(1)
    .map((name) => [
      `SQLite, ${count(small)} users ÷ ${name}`,
      ...levels.map((level) => ratio(of(name, level).ofThis)),
    ]);
  const heads = levels.map((level) => `${level} in flight`);
  const [ours, theirs] = peer;
  return [
    `Calls a second, latency p50/p99, CPU of the server a call; ${count(small)} users unless said otherwise, ${settings.rounds} alternating rounds of ${settings.ms / 1000} s:`,
    table(["", ...heads], rates),
    "Ratios, medians of the rounds:",
    table(["", ...heads], ratios),
    `At 16 in flight: ${count(ours.rate)}/s beside ${count(theirs.rate)}/s of ${theirs.name}, ${ratio(theirs.ofThis)} times as many. With ${count(large)} users instead of ${count(small)}, SQLite, see above. Resident memory of the measured process: ${memory.idle.toFixed(0)} MB idle, ${memory.loaded.toFixed(0)} MB after the load (run from sources, which idles higher than the bundle).`,
  ].join("\n\n");
}

function webauthnTable({ rows, settings: { inFlight, rounds } }) {
  const cells = rows.map(({ name, rate, p99, cpu, loop, ofLibrary }) => [
    name,
    `${count(rate)}/s`,
    `${p99.toFixed(0)} ms`,
    `${cpu.toFixed(0)} µs`,
    `${loop.toFixed(0)} µs`,
    ratio(ofLibrary),
  ]);
  return [
    `${inFlight} in flight, medians of ${rounds} alternating rounds:`,
    table(["", "Calls", "p99", "CPU a call", "of it on the main loop", "CPU ÷ library"], cells),
  ].join("\n\n");
}

function challengeTables({ comparisons, settings }) {
  const { levels, rounds, ms, users } = settings;
  const of = (name, inFlight) => comparisons.find((one) => one.name === name && one.inFlight === inFlight);
  const names = [...new Set(comparisons.map(({ name }) => name))];
  const cell = (name) => (level) => {
    const { rate, p50, p99, cpu } = of(name, level);
    return `${count(rate)}/s, ${p50.toFixed(1)}/${p99.toFixed(1)} ms, ${cpu.toFixed(0)} µs`;
  };
  const [ours, ...others] = names;
  const heads = levels.map((level) => `${level} in flight`);
  return [
    `Log-ins a second, latency p50/p99 of a whole log-in, CPU of the server a log-in; of the health check, calls. ${count(users)} users, ${rounds} alternating rounds of ${ms / 1000} s:`,
    table(
      ["", ...heads],
      names.map((name) => [name, ...levels.map(cell(name))]),
    ),
    "Ratios, medians of the rounds:",
    table(
      ["", ...heads],
      others.map((name) => [`${ours} ÷ ${name}`, ...levels.map((level) => of(name, level).ofThis.toFixed(3))]),
    ),
  ].join("\n\n");
}

function watchesTable({ watches, heap, resident, residentAll, change, first, all, cpu }) {
  const kb = (bytes) => `${(bytes / 1000).toFixed(1)} KB`;
  const { p50, p99 } = change;
  return table(
    [`${count(watches)} open watches, SQLite`, ""],
    [
      ["Resident memory of the process for each", kb(resident)],
      ["Live heap for each, after a collection", kb(heap)],
      ["Resident memory of the process, all open", `${(residentAll / 1e6).toFixed(0)} MB`],
      ["One more is changed: from the request to the event, p50/p99", `${p50.toFixed(1)}/${p99.toFixed(1)} ms`],
      ["The time of all is over at once: the first hears after", `${first.toFixed(0)} ms`],
      ["and the last one after the first", `${all.toFixed(0)} ms`],
      ["Processor time for each", `${cpu.toFixed(0)} µs`],
    ],
  );
}

const webhooksTable = ({ count: events, rate, cpuMs }) =>
  table(
    [`${count(events)} events of as many users to one endpoint, SQLite`, ""],
    [
      ["Events a second", rate.toFixed(0)],
      ["Processor time of the service for each", `${cpuMs.toFixed(2)} ms`],
    ],
  );

const tokensTable = ({ rounds, rows }) =>
  [
    `Medians of ${rounds} alternating rounds in one process, RS256:`,
    table(
      ["", "Remembered", "New"],
      rows.map(({ name, remembered, fresh }) => [name, `${remembered.toFixed(1)} µs`, `${fresh.toFixed(0)} µs`]),
    ),
  ].join("\n\n");

/** How each bench's report is told. */
export const tablesOf = {
  ...{ start: startTable, totp: totpTables, webauthn: webauthnTable },
  challenge: challengeTables,
  watches: watchesTable,
  webhooks: webhooksTable,
  tokens: tokensTable,
};

const COLORS = ["#1b6ca8", "#8a8d91", "#4fa3d9", "#c4c6c9", "#0b3c5d", "#b5651d", "#7a3e0d"];

/** Calls a second over calls in flight, both on logarithmic axes, one line for each of the compared. */
export function plotTotp({ comparisons, settings }) {
  const { levels } = settings;
  const names = [...new Set(comparisons.map(({ name }) => name))];
  const [width, height, left, top, right, bottom] = [860, 420, 70, 20, 270, 50];
  const top10 = Math.ceil(Math.log10(Math.max(...comparisons.map(({ rate }) => rate))));
  const low10 = Math.floor(Math.log10(Math.min(...comparisons.map(({ rate }) => rate))));
  const x = (level) => left + (levels.indexOf(level) / Math.max(1, levels.length - 1)) * (width - left - right);
  const y = (rate) => top + ((top10 - Math.log10(rate)) / (top10 - low10)) * (height - top - bottom);
  const grid = Array.from({ length: top10 - low10 + 1 }, (_, n) => 10 ** (low10 + n)).map(
    (rate) =>
      `<line x1="${left}" x2="${width - right}" y1="${y(rate)}" y2="${y(rate)}" stroke="#e3e5e8"/>` +
      `<text x="${left - 8}" y="${y(rate) + 4}" text-anchor="end">${count(rate)}</text>`,
  );
  const ticks = levels.map(
    (level) => `<text x="${x(level)}" y="${height - bottom + 20}" text-anchor="middle">${level}</text>`,
  );
  const lines = names.map((name, n) => {
    const points = comparisons.filter((one) => one.name === name);
    const path = points.map(({ inFlight, rate }) => `${x(inFlight)},${y(rate).toFixed(1)}`).join(" ");
    const end = y(points.at(-1).rate);
    return { name, color: COLORS[n % COLORS.length], path, end };
  });
  // Labels beside the lines' ends, pushed apart where they would lie on each other.
  const placed = [...lines].sort((a, b) => a.end - b.end);
  placed.forEach((line, n) => {
    line.label = n === 0 ? line.end : Math.max(line.end, placed[n - 1].label + 16);
  });
  const drawn = lines.map(
    ({ name, color, path, label }) =>
      `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="2.5"/>` +
      `<text x="${width - right + 12}" y="${label + 4}" fill="${color}">${name}</text>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="#3a3f45">
<title>Calls a second over calls in flight</title>
<rect width="${width}" height="${height}" fill="#fff"/>
${[...grid, ...ticks, ...drawn].join("\n")}
<text x="${(left + width - right) / 2}" y="${height - 8}" text-anchor="middle">calls in flight</text>
<text x="16" y="${height / 2}" text-anchor="middle" transform="rotate(-90 16 ${height / 2})">calls a second</text>
</svg>
`;
}

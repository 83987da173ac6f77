const rooms = ({ file }) =>
  file
    .split("/")
    .slice(1, file.startsWith("src/factors/") ? 3 : 2)
    .join("/");

/** Returns the lines of a Markdown table of verdicts by room, and the survivors behind it. */
export function report(mutants, verdicts) {
  const verdictOf = ({ id }) => verdicts[id]?.verdict ?? "not run";
  const count = (list) => {
    const is = (...words) => list.filter((mutant) => words.includes(verdictOf(mutant))).length;
    const equivalent = list.filter((mutant) => mutant.equivalent && verdictOf(mutant) === "survived").length;
    const valid = is("killed", "timeout", "survived") - equivalent;
    const killed = is("killed");
    const share = valid === 0 ? "–" : `${Math.floor((100 * killed) / valid)} %`;
    const numbers = [killed, valid, share, equivalent, is("does not compile"), is("stale"), is("not run")];
    return numbers.join(" | ");
  };
  const byRoom = Map.groupBy(mutants, rooms);
  const survivors = mutants.filter((mutant) => verdictOf(mutant) === "survived");
  return [
    "| Room | Killed | Valid | Share | Equivalent | Does not compile | Stale | Not run |",
    "|---|---|---|---|---|---|---|---|",
    ...[...byRoom].sort(([a], [b]) => (a < b ? -1 : 1)).map(([room, list]) => `| ${room} | ${count(list)} |`),
    `| **all** | ${count(mutants)} |`,
    "",
    ...survivors.map(({ id, file, what, equivalent }) => `${id} ${file} (${what}): ${equivalent ?? "no test fails"}`),
  ];
}

// `npm run promises`: brings the pages of docs/reference/promises/ up to the sentences of the contract. Lines keep
// their tests; a promise without a line gets one that names none yet, which test/promises.test.ts then asks for.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promised, rowsOf } from "../test/support/report/promises.ts";

const folder = join(import.meta.dirname, "..", "docs", "reference", "promises");
mkdirSync(folder, { recursive: true });
const cellOf = (text) => text.replaceAll("<", "&lt;").replaceAll("|", "\\|");
for (const [page, promises] of Map.groupBy(promised(), ({ page }) => page)) {
  const known = new Map(rowsOf(page).map(({ element, sentence, heldBy }) => [`${element}: ${sentence}`, heldBy]));
  const lines = promises.map(({ element, sentence }) => {
    const tests = known.get(`${element}: ${sentence}`) ?? [];
    return `| \`${element}\` | ${cellOf(sentence)} | ${tests.map((name) => cellOf(name)).join("<br>")} |`;
  });
  const proto = page === "everywhere.md" ? "The contract" : `\`${page.replace(".md", ".proto")}\``;
  const title = `# ${proto}: what it promises, and the tests that hold it`;
  writeFileSync(
    join(folder, page),
    [title, "", "| Element | Promise | Held by |", "|---|---|---|", ...lines, ""].join("\n"),
  );
}

// The documentation holds together: links lead somewhere, each page says whom it is for, and the README is one screen.
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const pages = [
  ...["*.md", "docs/**/*.md", "gen/reference/**/*.md", "packages/*/README.md", "bench/*.md", "test/**/*.md"].flatMap(
    (pattern) => globSync(pattern, { cwd: root }),
  ),
].map((path) => path.replaceAll("\\", "/"));

/** A page without what is quoted in it. */
const prose = (text: string) => text.replace(/^(```|~~~)[\s\S]*?^\1/gm, "").replace(/`[^`\n]*`/g, "");

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(path: string): string[] {
  const seen = new Map<string, number>();
  const headings = read(path)
    .replace(/^(```|~~~)[\s\S]*?^\1/gm, "")
    .matchAll(/^#{1,6} +(.*)$/gm);
  return [...headings].map(([, heading = ""]) => {
    const text = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
    const slug = text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\-_ ]/gu, "")
      .replaceAll(" ", "-");
    const before = seen.get(slug) ?? 0;
    seen.set(slug, before + 1);
    return before ? `${slug}-${before}` : slug;
  });
}

/** Where the links of a page lead, those to elsewhere left out: a path and an anchor. */
const targetsOf = (page: string): string[][] =>
  [...prose(read(page)).matchAll(/\]\((?!\w+:)([^)\s]+)\)/g)].map(([, target = ""]) => target.split("#"));

test("every link between pages leads to a file that is there, and to a heading that it has", () => {
  expect(pages.length).toBeGreaterThan(60);
  const dead = pages.flatMap((page) =>
    targetsOf(page).flatMap(([path = "", anchor]) => {
      const to = path === "" ? page : join(dirname(page), path).replaceAll("\\", "/");
      const isDead = !existsSync(join(root, to)) || (anchor && to.endsWith(".md") && !anchorsOf(to).includes(anchor));
      return isDead ? [`${page}: ${path}#${anchor ?? ""}`] : [];
    }),
  );
  expect(dead).toEqual([]);
});

test("the README is one screen, and its ten lines are those that are tried", () => {
  const readme = read("README.md");
  expect(readme.split("\n").length).toBeLessThanOrEqual(90);
  const lines = (text: string) => /^```js\n([\s\S]*?)^```$/m.exec(text)?.[1];
  expect(lines(readme)).toBe(lines(read("packages/client/README.md")));
});

test("every page by reader says first whom it is for, and another page leads to it", () => {
  const byReader = pages.filter((page) =>
    /^docs\/(quickstart|(integrate|administer|operate|migrate|security)\/)/.test(page),
  );
  const own = byReader.filter((page) => !page.includes("/identity-providers/"));
  expect(own.length).toBeGreaterThan(25);
  expect(own.filter((page) => !/^# .+\n\nFor .+/.test(read(page)))).toEqual([]);
  const leadsTo = (from: string, to: string) =>
    from !== to && targetsOf(from).some(([path = ""]) => join(dirname(from), path).replaceAll("\\", "/") === to);
  expect(own.filter((page) => !pages.some((from) => leadsTo(from, page)))).toEqual([]);
});

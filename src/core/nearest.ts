/** Returns how many letters must be changed, added, dropped or swapped with their neighbor to make one name of another. */
function distance(a: string, b: string): number {
  let [older, old] = [[] as number[], Array.from({ length: b.length + 1 }, (_, n) => n)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (old[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? (older[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY;
      row.push(Math.min(change, swap, (old[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    [older, old] = [old, row];
  }
  return old[b.length] ?? 0;
}

/** The longest name that is compared: what a caller sends must not cost its square. */
const LONGEST = 64;

/** Returns the known name that a misspelt one most probably stands for: two letters away at most, a third of a short one. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  if (name.length > LONGEST) return undefined;
  const plain = (text: string) => text.toLowerCase().replaceAll(/[-_]/g, "");
  const far = Math.min(2, Math.floor(name.length / 3));
  const judged = [...known].map((one) => ({ one, off: distance(plain(name), plain(one)) }));
  return judged.filter(({ off }) => off <= far).sort((a, b) => a.off - b.off)[0]?.one;
}

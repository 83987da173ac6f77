/**
 * Invisible characters with a meaning: Persian, Indic scripts and joined emoji need the joiners, right-to-left text the
 * mark.
 */
const CONTROLS = /(?!\u200c|\u200d|\u200f)\p{C}/gu;
const characters = new Intl.Segmenter("und", { granularity: "grapheme" });

/** Removes control characters, and invisible characters that no script needs. */
export const withoutControls = (text: string, instead = ""): string => text.replaceAll(CONTROLS, instead);

/**
 * Truncates a text to a number of code points, between grapheme clusters: a joined emoji or an accented letter is kept
 * whole or left out.
 */
export function cutText(text: string, longest: number): string {
  // A code point is at most two units: nothing beyond these can be kept, however long the text is.
  if (text.length <= longest) return text;
  const near = text.slice(0, 2 * longest + 2);
  let kept = 0;
  let end = 0;
  for (const { segment, index } of characters.segment(near)) {
    kept += [...segment].length;
    // The last one may go on behind the piece that is looked at.
    const isWhole = index + segment.length < near.length || near.length === text.length;
    if (kept > longest || !isWhole) break;
    end = index + segment.length;
  }
  return text.slice(0, end);
}

import { setImmediate } from "node:timers/promises";

/** Characters of a document read before the event loop gets a turn: well under a millisecond's work. */
export const PIECE = 1024;

/** Counts work and yields to the event loop after each share of it; by default after each piece of a text. */
export function createTurns(share = PIECE) {
  let done = 0;
  return async (work = 1): Promise<void> => {
    done += work;
    if (done < share) return;
    done %= share;
    await setImmediate();
  };
}

/** Yields a text in pieces, with a turn of the event loop after each. */
export async function* inPieces(text: string): AsyncIterable<string> {
  for (let at = 0; at < text.length; at += PIECE) {
    yield text.slice(at, at + PIECE);
    await setImmediate();
  }
}

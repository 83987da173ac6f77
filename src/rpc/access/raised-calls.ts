import type { Call } from "../../core/call.ts";
import type { Raised } from "../../core/raise.ts";
import { Refusal } from "../../core/refusal.ts";
import type { Reader, Writer } from "../../erasure/tombstones/tombstones.ts";

/** A call authorized by an assertion: it uses the assertion up in its own unit, and keeps it if it is refused. */
export interface RaisedCall {
  /** The call's store: the first unit that is not refused uses the assertion up. */
  readonly writer: Writer;
  /** Begins the call; throws ASSERTION_REJECTED. The returned function releases the assertion for other calls. */
  begin(call: Call): Promise<() => void>;
  /** Uses the assertion up for a call that has written nothing, before its reply is sent. */
  conclude(): Promise<void>;
  /** Takes the use back when the call is refused after one of its units used the assertion up. */
  giveBack(): Promise<void>;
}

/** Ties the use of an assertion to the units of one call. */
export function raisedCall(
  raised: Raised,
  { reader, plain, now }: { readonly reader: Reader; readonly plain: Writer; readonly now: Date },
): RaisedCall {
  let isUsed = false;

  return {
    writer: {
      async write(work, about) {
        if (isUsed) return plain.write(work, about);
        const result = await plain.write(async (tx) => {
          await raised.consume(tx, now);
          const done = await work(tx);
          if (done instanceof Refusal) await raised.giveBack(tx);
          return done;
        }, about);
        isUsed = !(result instanceof Refusal);
        return result;
      },
    },

    async begin(call) {
      const release = raised.hold();
      try {
        const standing = await reader.read((tx) => raised.standing(tx, now));
        if (standing === "open") return release;
        if (standing === "consumed") await plain.write((tx) => raised.noteReplay(tx, call));
        throw new Refusal("ASSERTION_REJECTED");
      } catch (thrown) {
        release();
        throw thrown;
      }
    },

    async conclude() {
      if (!isUsed) await plain.write((tx) => raised.consume(tx, now));
    },

    async giveBack() {
      if (isUsed) await plain.write((tx) => raised.giveBack(tx));
    },
  };
}

import type { Owner, Tx } from "../../db/store.ts";
import { budgetRepository } from "./budgets.repository.ts";
import type { Slice } from "./budgets.table.ts";

/** How much may be drawn in any window of time. */
export interface Budget {
  /** "sms.number.day". */
  readonly name: string;
  readonly limit: number;
  readonly windowMs: number;
  /** How finely time is cut. A slice counts until all of it has left the window, so no window holds more than `limit`. */
  readonly sliceMs: number;
  /** From so many draws on, the share of them that must have come to something. */
  readonly fruitful?: { readonly after: number; readonly share: number };
}

/** A draw from one budget: of a user's own, or of one that users share under a key. */
export interface Draw {
  readonly budget: Budget;
  readonly owner: Owner;
  readonly key: string;
}

/** A budget that a draw exceeds, and when it would no more. */
export interface Exceeded {
  readonly name: string;
  readonly retryTime: Date;
}

const keyOf = ({ owner, budget, key }: Draw) => ({ ...owner, budget: budget.name, key });

const total = (slices: readonly Slice[], column: 1 | 2) => slices.reduce((sum, slice) => sum + slice[column], 0);

/** The slices that a window ending now still holds some of, oldest first. */
const within = (slices: readonly Slice[], { windowMs, sliceMs }: Budget, now: Date) =>
  slices.filter(([slice]) => (slice + 1) * sliceMs > now.getTime() - windowMs).sort(([a], [b]) => a - b);

/**
 * Counts as drawn now what was drawn under a clock that has been set back since: it ends with the window from now, and
 * not with one from a time that is still to come. Returns the same slices where there are none of the future.
 */
export function settled(slices: readonly Slice[], { sliceMs }: Budget, now: Date): readonly Slice[] {
  const current = Math.floor(now.getTime() / sliceMs);
  if (slices.every(([slice]) => slice <= current)) return slices;
  const past = slices.filter(([slice]) => slice < current);
  const rest = slices.filter(([slice]) => slice >= current);
  return [...past, [current, total(rest, 1), total(rest, 2)]];
}

/** What a draw would exceed. */
export function exceeds(slices: readonly Slice[], budget: Budget, now: Date): Exceeded | undefined {
  const { name, limit, windowMs, sliceMs, fruitful } = budget;
  let held = within(slices, budget, now);
  const barren = () =>
    fruitful !== undefined && total(held, 1) >= fruitful.after && total(held, 2) < total(held, 1) * fruitful.share;
  const full = () => total(held, 1) >= limit || barren();
  if (!full()) return undefined;
  let end = now.getTime();
  while (held[0] && full()) {
    end = (held[0][0] + 1) * sliceMs + windowMs;
    held = held.slice(1);
  }
  return { name, retryTime: new Date(end) };
}

function add(
  slices: readonly Slice[],
  budget: Budget,
  { now, drawn, fruitful }: { now: Date; drawn: 0 | 1; fruitful: 0 | 1 },
) {
  const current = Math.floor(now.getTime() / budget.sliceMs);
  const held = within(slices, budget, now);
  const known = held.find(([slice]) => slice === current);
  if (!known) return [...held, [current, drawn, fruitful] as const];
  return held.map((slice) => (slice === known ? ([current, known[1] + drawn, known[2] + fruitful] as const) : slice));
}

/** What drawing from several budgets comes to, in the unit that asked; nothing is drawn before `draw`. */
export interface Considered {
  readonly exceeded: readonly Exceeded[];
  draw(): Promise<void>;
}

/**
 * Considers drawing from several budgets at once. The rows are touched in the order given, so that units which draw from
 * the same ones wait for each other: give them in the same order everywhere, after the user's own row.
 */
export async function consider(tx: Tx, draws: readonly Draw[], now: Date): Promise<Considered> {
  const rows = budgetRepository(tx);
  const touched: { draw: Draw; slices: readonly Slice[] }[] = [];
  for (const draw of draws) {
    const kept = await rows.touch(keyOf(draw), now);
    const slices = settled(kept, draw.budget, now);
    if (slices !== kept) await rows.update(keyOf(draw), slices);
    touched.push({ draw, slices });
  }
  return {
    exceeded: touched.flatMap(({ draw, slices }) => exceeds(slices, draw.budget, now) ?? []),
    async draw() {
      for (const { draw, slices } of touched) {
        await rows.update(keyOf(draw), add(slices, draw.budget, { now, drawn: 1, fruitful: 0 }));
      }
    },
  };
}

/** Notes that a draw came to something. Order and user's row as for `consider`. */
export async function bearFruit(tx: Tx, draws: readonly Draw[], now: Date): Promise<void> {
  const rows = budgetRepository(tx);
  for (const draw of draws) {
    const slices = settled(await rows.touch(keyOf(draw), now), draw.budget, now);
    await rows.update(keyOf(draw), add(slices, draw.budget, { now, drawn: 0, fruitful: 1 }));
  }
}
